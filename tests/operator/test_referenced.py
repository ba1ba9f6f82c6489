"""Names that a manifest gives lead to objects of its own namespace, or nowhere. Older services may hold names
that the API server takes no more."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_crds import parse
from lgs_operator.desired.references import references
from lgs_operator.kube.client import KubeClient, KubeError
from lgs_operator.kube.kinds import SECRET, Kind, ServiceKey
from lgs_operator.kube.referenced import ReferencedObjects
from lgs_operator.kube.secrets import SecretReader

KEY = ServiceKey("team", "support")


class NoCluster(KubeClient):
    """Fails the test that asks it anything."""

    def __init__(self) -> None:
        pass

    async def get(self, *asked: Any) -> None:
        raise AssertionError(f"asked for {asked}")


def manifest(pod: dict[str, Any]) -> Any:
    return {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team"},
        "spec": {"image": "example.com/support:1", "pod": pod},
    }


@pytest.mark.parametrize(
    "name", ["../../kube-system/secrets/foo", "a/b", "?watch=1", "x" * 254, ["x"], {"a": 1}]
)
async def test_a_name_that_can_not_be_is_told_and_nobody_is_asked(name: Any) -> None:
    service = parse(manifest({"envFrom": [{"secretRef": {"name": name, "optional": True}}]}))

    _, [missing] = await objects(NoCluster()).read(KEY, references(service.spec))

    assert missing.reason == "InvalidReference"
    assert "spec.pod.envFrom[0]" in missing.message


async def test_what_the_operator_may_not_read_is_told_and_holds_up_nothing_else() -> None:
    class Narrow(NoCluster):
        async def get(self, kind: Kind, namespace: str, name: str, **_: Any) -> dict[str, Any]:
            if name == "hidden":
                raise KubeError(403, "Forbidden", "may not get")
            return {"metadata": {"resourceVersion": "1"}, "data": {"k": "eA=="}}

    sources = [{"secretRef": {"name": "hidden"}}, {"secretRef": {"name": "open"}}]
    service = parse(manifest({"envFrom": sources}))

    contents, [missing] = await objects(Narrow()).read(KEY, references(service.spec))

    assert missing.reason == "ReferenceForbidden"
    assert "spec.pod.envFrom[0]: hidden: the operator may not read this Secret" in missing.message
    assert contents


def objects(cluster: KubeClient) -> ReferencedObjects:
    return ReferencedObjects(cluster, SecretReader(cluster, 30.0, lambda _: None))


def test_a_path_names_one_object_whatever_its_name() -> None:
    assert SECRET.path("team", "../x?y=1") == "/api/v1/namespaces/team/secrets/..%2Fx%3Fy%3D1"
