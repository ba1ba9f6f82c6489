"""Whatever the API server admits never stops other services: each bad one has its condition, the process
lives, and what the operator wrote is no drift to it afterwards."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given

from controlplane.controlplane_server import ControlPlane
from controlplane.manifests import condition, service
from controlplane.operators import Operators, Running
from controlplane.story import Story
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import DEPLOYMENT, SECRET, SERVICE, SERVICE_OF_OURS, Manifest
from support.drawn_manifests import TIMES, examples, services
from support.waiting import until

pytestmark = pytest.mark.controlplane
EXAMPLES = 60
AT_ONCE = 20
WORDS = "s3cr3t"


def drawn(namespace: str) -> list[Manifest]:
    """Manifests, each with a name of its own."""
    found: list[Manifest] = []

    @examples(EXAMPLES)
    @given(services(namespace=namespace))
    def draw(document: Manifest) -> None:
        name = f"drawn-{len(found)}"
        # one of another class is another operator's, which is not here
        document["spec"].pop("operatorClass", None)
        found.append(document | {"metadata": {"name": name, "namespace": namespace}})

    draw()
    return found


@pytest.fixture
async def watched(story: Story, operators: Operators) -> AsyncIterator[tuple[Running, str]]:
    """An operator of two namespaces; a canary stands in the other one."""
    other = f"{story.namespace}-canary"
    story.plane.run("create", "namespace", other)
    namespaces = f"{story.namespace},{other}"
    running = await operators.start(
        # a busy machine takes the Lease from nobody
        env={"LGS_OPERATOR_NAMESPACES": namespaces, "LGS_OPERATOR_LEASE_SECONDS": "60"}
    )
    yield running, other
    story.plane.run("delete", "namespace", other, "--wait=false")


class Canary:
    """A service of somebody else, which must be served all the time."""

    def __init__(self, plane: ControlPlane, cluster: KubeClient, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._turn = 0
        self._story = Story(plane, cluster, namespace)

    async def is_looked_after(self) -> None:
        """Its newest manifest reaches its pods."""
        self._turn += 1
        self._story.apply(service(workers={"concurrency": self._turn}))

        async def there() -> bool:
            deployment = await self._cluster.get(DEPLOYMENT, self._namespace, "support")
            given = f'"LGS_CONCURRENCY", "value": "{self._turn}"'
            return deployment is not None and given in json.dumps(deployment)

        await until(there, "the canary is not looked after")


async def told(cluster: KubeClient, namespace: str, name: str) -> dict[str, Any] | None:
    """What the status says of the newest manifest, when it says anything."""
    body = await cluster.get(SERVICE_OF_OURS, namespace, name) or {}
    said = condition(body.get("status", {}), "Reconciled")
    generation = body.get("metadata", {}).get("generation")
    return said if said and said["observedGeneration"] == generation else None


async def test_whatever_is_admitted_is_that_services_own_trouble(
    story: Story, cluster: KubeClient, watched: tuple[Running, str]
) -> None:
    operator, other = watched
    canary = Canary(story.plane, cluster, other)
    admitted = []
    for number, document in enumerate(drawn(story.namespace)):
        try:
            await cluster.create(SERVICE_OF_OURS, story.namespace, document)
            admitted.append(document["metadata"]["name"])
        except KubeError as error:
            assert error.status in (400, 422), error
        if number % AT_ONCE == AT_ONCE - 1:
            await canary.is_looked_after()

    reasons = set()
    for name in admitted:
        said = await until(lambda name=name: told(cluster, story.namespace, name), f"{name} has no condition")
        reasons.add(said["reason"])
        assert said["reason"] != "InternalError", said
    await canary.is_looked_after()
    assert len(admitted) > EXAMPLES * TIMES / 2
    assert {"Done", "Refused"} & reasons
    assert await operator.metric("lgs_operator_internal_errors_total") == 0
    assert await operator.metric("lgs_operator_drift_repaired_total") == 0
    assert operator.process.returncode is None

    story.plane.run("delete", "lgs", "--all", "-n", story.namespace, "--wait=false")
    await until(lambda: only_the_canary(operator), "what is gone is remembered")
    await canary.is_looked_after()


async def only_the_canary(operator: Running) -> bool:
    return await operator.metric("lgs_operator_services") == 1


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


HOSTILE = {
    "binary": {"data": {"uri": encoded(b"\xff\xfe\x00" + WORDS.encode())}},
    "lines": {"data": {"uri": encoded(f"postgres://u:{WORDS}%zz@h\n/db\0".encode())}},
    "huge": {"data": {"uri": encoded(WORDS.encode() * 100_000)}},
    "empty": {"data": {"uri": ""}},
    "other": {"data": {"else": encoded(WORDS.encode())}},
    "nothing": {},
}


async def test_no_secret_whatever_it_holds_is_told_or_stops_anybody(
    story: Story, cluster: KubeClient, watched: tuple[Running, str]
) -> None:
    operator, other = watched
    for name, content in HOSTILE.items():
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}} | content
        # as it is: `kubectl apply` would note all of it in an annotation
        await cluster.create(SECRET, story.namespace, secret)
        story.apply(service(f"reads-{name}", persistence={"postgres": {"uriSecret": {"name": name}}}))

    for name in HOSTILE:
        said = await until(
            lambda name=name: told(cluster, story.namespace, f"reads-{name}"),
            f"reads-{name} has no condition",
        )
        wanted = "SecretKeyNotFound" if name in ("other", "nothing") else "Done"
        assert said["reason"] == wanted
    story.plane.run("delete", "secret", "huge", "-n", story.namespace)
    await until(lambda: says(cluster, story.namespace, "reads-huge", "SecretNotFound"), "nobody misses it")
    await Canary(story.plane, cluster, other).is_looked_after()

    seen = story.plane.run("get", "lgs,events", "-n", story.namespace, "-o", "json")
    assert WORDS not in seen
    assert WORDS not in operator.log.read_text()


async def says(cluster: KubeClient, namespace: str, name: str, reason: str) -> bool:
    return (await told(cluster, namespace, name) or {}).get("reason") == reason


NONSENSE: dict[str, dict[str, Any]] = {
    "broken-annotations": {"annotations": {"lgs.dev/desired": '{"', "lgs.dev/contents": "\u2028🚀"}},
    "no-annotations": {"annotations": None},
    "no-label-of-ours": {"labels": {"lgs.dev/service": None}},
    "no-labels-at-all": {"labels": None},
    "of-another-service": {"labels": {"lgs.dev/service": "other"}},
    "held": {"finalizers": ["example.com/held"]},
    "no-owner": {"ownerReferences": None},
}


async def test_an_object_of_ours_that_a_hand_made_nonsense_of_is_mended_or_told(
    story: Story, cluster: KubeClient, watched: tuple[Running, str]
) -> None:
    operator, other = watched
    for name in NONSENSE:
        story.apply(service(name))
    for name, metadata in NONSENSE.items():
        for kind in (DEPLOYMENT, SERVICE):
            await story.appears(kind, name)
            await cluster.merge(kind, story.namespace, name, {"metadata": metadata})

    for name in NONSENSE:
        words = f"{name} is neither mended nor told"
        await until(lambda name=name: is_whole_or_told(cluster, story, name), words)
    await Canary(story.plane, cluster, other).is_looked_after()
    assert await operator.metric("lgs_operator_internal_errors_total") == 0
    for kind in (DEPLOYMENT, SERVICE):
        await cluster.merge(kind, story.namespace, "held", {"metadata": {"finalizers": None}})


async def is_whole_or_told(cluster: KubeClient, story: Story, name: str) -> bool:
    found = [(await story.get(kind, name)).get("metadata", {}) for kind in (DEPLOYMENT, SERVICE)]
    labels = [each.get("labels", {}).get("lgs.dev/service") for each in found]
    owners = [each.get("ownerReferences", [{}])[0].get("name") for each in found]
    is_whole = labels == [name, name] and owners == [name, name]
    return is_whole or await says(cluster, story.namespace, name, "Refused")
