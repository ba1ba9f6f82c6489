"""Names that a manifest gives lead to objects of its own namespace, or nowhere. Older services may hold names
that the API server takes no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lgs_crds import parse
from lgs_operator.desired.references import references
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import CONFIG_MAP, SECRET, Key, Kind, ServiceKey
from lgs_operator.kube.referenced import ReferencedObjects
from lgs_operator.kube.secrets import SecretReader

KEY = ServiceKey("team", "support")


class Vault(KubeClient):
    """Holds one object, which may be changed while it is read."""

    def __init__(self) -> None:
        self.value = "one"
        self.meanwhile: Callable[[], object] | None = None
        self.reads = 0

    async def get(self, *_: Any) -> Any:
        self.reads += 1
        answer = {"data": {"uri": self.value}}
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return answer


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


async def test_an_object_that_changes_while_it_is_read_is_read_again() -> None:
    vault = Vault()
    objects = ReferencedObjects(vault, SecretReader(vault, 30.0, lambda _: None))
    wanted = references(parse(manifest({"envFrom": [{"configMapRef": {"name": "flags"}}]})).spec)

    def changes() -> None:
        vault.value = "two"
        assert objects.changed(Key(CONFIG_MAP, "team", "flags")) == {KEY}

    vault.meanwhile = changes
    before, _ = await objects.read(KEY, wanted)
    after, _ = await objects.read(KEY, wanted)

    assert before != after
    assert (await objects.read(KEY, wanted))[0] == after
    assert vault.reads == 2
