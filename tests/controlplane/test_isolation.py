"""One service can't hurt another: what a tenant writes, and what a pod of theirs answers, is theirs alone."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import condition, service
from controlplane.operators import Operators, Running
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT, SECRET, SERVICE_OF_OURS
from lgs_operator.naming import MANAGED_BY, MANAGED_BY_LABEL, SERVICE_LABEL
from support.waiting import until

pytestmark = pytest.mark.controlplane


class Tenants:
    """A namespace with a service that can't work, and others beside it."""

    def __init__(self, plane: ControlPlane, cluster: KubeClient, namespace: str, operator: Running) -> None:
        self.plane, self.cluster, self.namespace, self.operator = plane, cluster, namespace, operator

    def apply(self, manifest: dict[str, Any]) -> None:
        self.plane.run("apply", "-n", self.namespace, "-f", "-", stdin=json.dumps(manifest))

    async def says(self, name: str, kind: str, status: str) -> dict[str, Any]:
        """The condition, when it has this status."""
        seen: dict[str, Any] = {}

        async def found() -> bool:
            body = await self.cluster.get(SERVICE_OF_OURS, self.namespace, name) or {}
            seen.update(condition(body.get("status", {}), kind))
            return seen.get("status") == status

        await until(found, lambda: f"{kind} of {name} is not {status}: {seen}")
        return seen

    async def goes_on(self, name: str = "neighbour") -> None:
        """The operator still works for others: a new service gets its Deployment."""
        self.apply(service(name))

        async def there() -> bool:
            return await self.cluster.get(DEPLOYMENT, self.namespace, name) is not None

        await until(there, f"{name} is not reconciled")
        assert self.operator.process.returncode is None, self.operator.log.read_text()[-3000:]
        assert await self.operator.leads()


@pytest.fixture
async def tenants(plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators) -> Tenants:
    return Tenants(plane, cluster, namespace, await operators.start())


async def test_a_managed_password_that_is_no_text_is_told_and_others_go_on(tenants: Tenants) -> None:
    managed = {"postgres": {"managed": {"storage": "1Gi"}}}
    tenants.apply(service(persistence=managed))

    async def made() -> bool:
        return await tenants.cluster.get(SECRET, tenants.namespace, "support-postgres") is not None

    await until(made, "no Secret is made")
    broken = base64.b64encode(bytes([0xFF, 0xFE])).decode()
    patch = json.dumps({"data": {"password": broken}})

    tenants.plane.run("patch", "secret", "support-postgres", "-n", tenants.namespace, "-p", patch)

    said = await tenants.says("support", "Reconciled", "False")
    assert "Secret support-postgres: password" in said["message"]
    await tenants.goes_on()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ServiceAccount", "support"), ("Secret", "support-redis"), ("Secret", "support-postgres")],
)
async def test_no_pod_gets_an_account_or_a_secret_of_somebody_else_by_the_name_of_its_service(
    tenants: Tenants, kind: str, name: str
) -> None:
    theirs: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    keys = {"stringData": {"uri": "theirs", "password": "theirs"}} if kind == "Secret" else {}
    tenants.apply(theirs | keys)

    tenants.apply(service(persistence={"postgres": {"managed": {}}}, cache={"redis": {"managed": {}}}))

    said = await tenants.says("support", "Reconciled", "False")
    assert f"{kind} {name} exists" in said["message"]
    workloads = ("get", "deployments,statefulsets,pods", "-o", "name")
    assert tenants.plane.run(*workloads, "-n", tenants.namespace).strip() == "", "its pods would get it"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("v1 Service", "support-postgres"),
        ("v1 Service", "support-redis"),
        ("networking.k8s.io/v1 NetworkPolicy", "support"),
        ("networking.k8s.io/v1 NetworkPolicy", "support-postgres"),
    ],
)
async def test_no_pod_is_led_to_a_server_of_somebody_else_nor_is_there_without_what_guards_it(
    tenants: Tenants, kind: str, name: str
) -> None:
    """Who has the name of a managed server would be sent its password, and what is kept in it; the policy of
    `network.allowFrom` comes before what it is about, or nothing does."""
    (version, named), spec = kind.split(), {"ports": [{"port": 5432}]}
    if named == "NetworkPolicy":
        spec = {"podSelector": {"matchLabels": {"app": "theirs"}}}
    tenants.apply({"apiVersion": version, "kind": named, "metadata": {"name": name}, "spec": spec})

    managed = {"persistence": {"postgres": {"managed": {}}}, "cache": {"redis": {"managed": {}}}}
    tenants.apply(service(network={"allowFrom": []}, **managed))

    said = await tenants.says("support", "Reconciled", "False")
    assert f"{named} {name} exists" in said["message"]
    workloads = ("get", "deployments,statefulsets,pods", "-o", "name")
    assert tenants.plane.run(*workloads, "-n", tenants.namespace).strip() == "", "they would be led there"


def variable(**source: Any) -> dict[str, Any]:
    return {"env": [{"name": "X", "valueFrom": source}]}


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        (variable(secretKeyRef={"name": "../../kube-system/secrets/x", "key": "k"}), "secretKeyRef.name"),
        (variable(configMapKeyRef={"name": "a/b", "key": "k"}), "configMapKeyRef.name"),
        ({"envFrom": [{"secretRef": {"name": "?watch=true"}}]}, "envFrom[0].secretRef.name"),
        ({"envFrom": [{"secretRef": {"name": ["x"]}}]}, "envFrom[0].secretRef.name"),
        ({"envFrom": [{"secretRef": {"name": 5}}]}, "envFrom[0].secretRef.name"),
        ({"envFrom": "all"}, "envFrom"),
        ({"tolerations": [{"tolerationSeconds": "long"}]}, "tolerationSeconds"),
        ({"affinity": {"nodeAffinity": []}}, "nodeAffinity"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologyKey"),
        ({"resources": {"limits": {"cpu": "a lot"}}}, "limits.cpu"),
    ],
)
async def test_nonsense_is_refused_where_it_is_written(
    tenants: Tenants, pod: dict[str, Any], path: str
) -> None:
    with pytest.raises(AssertionError, match=r"is invalid|BadRequest") as refused:
        tenants.apply(service(pod=pod))

    assert path in str(refused.value)
    await tenants.goes_on()


async def test_a_manifest_of_thousands_of_levels_ends_no_watch(tenants: Tenants) -> None:
    """The API server takes 10,000 of an object, and lists and watches it with three more; nothing that
    follows the services may fail to read it. Python's own parser ends at 1,500 in 3.12.1, 10,000 in 3.13."""
    inputs = [{"input": {"levels": "LEVELS"}}]
    deep = service("deep", cache={"warmup": {"inputs": inputs}})
    deep["metadata"]["namespace"] = tenants.namespace
    manifest = json.dumps(deep)
    written = manifest.replace('"LEVELS"', "[" * 9_993 + "]" * 9_993)
    tenants.plane.send(SERVICE_OF_OURS.path(tenants.namespace), written.encode())

    def said() -> str:
        message = "jsonpath={.status.conditions[?(@.type=='Reconciled')].message}"
        return tenants.plane.run("get", "lgs", "deep", "-n", tenants.namespace, "-o", message)

    await until(lambda: "at most 100 levels of lists" in said(), lambda: f"it says {said()!r}")
    await tenants.goes_on()


async def test_a_revision_whose_data_are_no_text_ends_no_watch(
    tenants: Tenants, operators: Operators
) -> None:
    """The API server keeps them byte by byte: here a key with a byte that is no UTF-8, and more of `<` than a
    watch once took, each of which is six bytes there."""
    for name, data in (("bytes", b'{"a\xff": 1}'), ("long", b'{"a": "%b"}' % (b"<" * 1_480_000))):
        metadata = {"name": name, "labels": {MANAGED_BY_LABEL: MANAGED_BY, SERVICE_LABEL: "ghost"}}
        head = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1}
        written = json.dumps(head).encode()[:-1] + b', "data": ' + data + b"}"
        tenants.plane.send(CONTROLLER_REVISION.path(tenants.namespace), written)

    await tenants.goes_on("by-watch")
    tenants.operator.process.terminate()
    await tenants.operator.process.wait()
    tenants.operator = await operators.start()
    await tenants.goes_on("by-list")


async def test_services_of_a_megabyte_take_neither_the_time_nor_the_memory_of_others(
    tenants: Tenants,
) -> None:
    """kopf copied each at each event, and a list of empty mappings is forty times as large in memory."""
    inputs = [{"input": {"a": [{}] * 400_000}}]
    for number in range(3):
        large = service(f"large-{number}", cache={"warmup": {"inputs": inputs}})
        large["metadata"]["namespace"] = tenants.namespace
        path = SERVICE_OF_OURS.path(tenants.namespace)
        tenants.plane.send(path, json.dumps(large, separators=(",", ":")).encode())

    await tenants.goes_on()

    for number in range(3):
        said = await tenants.says(f"large-{number}", "Reconciled", "False")
        assert said["message"].startswith("spec: must be smaller: at most 1048576 bytes")


async def test_an_annotation_of_kopf_keeps_no_service_from_being_served(tenants: Tenants) -> None:
    annotated = service("annotated")
    annotated["metadata"]["annotations"] = {"kopf.zalando.org/last-handled-configuration": "{"}

    tenants.apply(annotated)

    await tenants.says("annotated", "Reconciled", "True")
