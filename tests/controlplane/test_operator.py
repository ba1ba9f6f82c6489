"""The operator against a real API server: from a manifest to objects, kept so, and gone with it."""

from __future__ import annotations

import json

import pytest

from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import (
    CLAIM,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_OF_OURS,
    STATEFUL_SET,
)
from support.waiting import until

pytestmark = pytest.mark.controlplane
CODE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"graph.py": "1"}}
DELETED = {"postgres": {"managed": {"storage": "1Gi", "deletionPolicy": "Delete"}}}


async def test_a_manifest_becomes_its_objects_and_deletion_leaves_nothing(
    story: Story, operators: Operators
) -> None:
    await operators.start(by_command=True)
    managed_redis = {"redis": {"managed": {}}}

    story.apply(CODE)
    story.apply(
        service(
            image=None,
            source={"configMap": "code"},
            graphs={"agent": "./graph.py:graph"},
            persistence=DELETED,
            cache=managed_redis,
            network={"allowFrom": [{"podSelector": {}}]},
        )
    )

    everything = [
        *(
            (kind, "support")
            for kind in (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, DISRUPTION_BUDGET, NETWORK_POLICY)
        ),
        *((kind, "support-postgres") for kind in (STATEFUL_SET, SERVICE, SECRET, NETWORK_POLICY)),
        (CLAIM, "data-support-postgres-0"),
        *((kind, "support-redis") for kind in (DEPLOYMENT, SERVICE, SECRET, NETWORK_POLICY)),
    ]
    for kind, name in everything:
        await story.appears(kind, name)
    (source,) = [each for each in (await story.template())["spec"]["volumes"] if each["name"] == "source"]
    revisions, _ = await story.cluster.list(
        CONTROLLER_REVISION, story.namespace, labels="app.kubernetes.io/component=revision"
    )
    released = [(CONFIG_MAP, source["configMap"]["name"])]
    released += [(CONTROLLER_REVISION, each["metadata"]["name"]) for each in revisions]
    assert len(released) == 2

    story.plane.run("delete", "lgs", "support", "-n", story.namespace)

    for kind, name in (*everything, *released):
        await story.vanishes(kind, name)
    assert await story.get(CONFIG_MAP, "code"), "what the user made goes with nothing"


async def test_an_edit_reaches_the_pods_and_what_is_not_wanted_any_more_goes(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service(cache={"redis": {"managed": {}}}, pod={"nodeSelector": {"disk": "fast"}}))
    await story.appears(DEPLOYMENT, "support-redis")
    await story.appears(DEPLOYMENT)

    story.apply(service(image="example.com/support:2", pod={"nodeSelector": {}}))

    await story.vanishes(DEPLOYMENT, "support-redis")
    await story.vanishes(SECRET, "support-redis")
    template = await story.template()
    assert template["spec"]["containers"][0]["image"] == "example.com/support:2"
    assert "nodeSelector" not in template["spec"]


async def test_a_managed_redis_stays_for_the_replicas_that_use_it(story: Story, operators: Operators) -> None:
    elsewhere = {"redis": {"uriSecret": {"name": "theirs"}}}
    await operators.start()
    story.apply(service(cache={"redis": {"managed": {}}}))
    async with FakeKubelet(story.cluster, story.namespace) as pods:
        await story.has_condition("Ready", "True", "Serving")

        story.apply(service(cache=elsewhere))
        await story.has_condition("Reconciled", "False", "SecretNotFound")
        await redis_is_whole(story)

        pods.lacks("example.com/support:2")
        story.apply(service(image="example.com/support:2", cache=elsewhere))
        uri = "--from-literal=uri=redis://theirs"
        story.plane.run("create", "secret", "generic", "theirs", "-n", story.namespace, uri)
        await story.has_condition("Progressing", "False", "ImagePullBackOff")
        await redis_is_whole(story)

        story.apply(service(cache=elsewhere))
        for kind in (DEPLOYMENT, SERVICE, SECRET, NETWORK_POLICY):
            await story.vanishes(kind, "support-redis")
        await story.has_condition("Reconciled", "True", "Done")


async def redis_is_whole(story: Story) -> None:
    for kind in (DEPLOYMENT, SERVICE, SECRET, NETWORK_POLICY):
        assert await story.get(kind, "support-redis"), kind


async def test_what_was_taken_away_and_is_wanted_again_is_made_again_at_once(
    story: Story, operators: Operators
) -> None:
    # No watch reports Secrets, and the next read of this one comes too late.
    await operators.start(env={"LGS_OPERATOR_SECRETS_SECONDS": "3600"})
    managed = service(cache={"redis": {"managed": {}}})
    story.apply(managed)
    await story.appears(DEPLOYMENT, "support-redis")
    story.apply(service(cache={}))
    await story.vanishes(SECRET, "support-redis")

    story.apply(managed)

    await story.appears(SECRET, "support-redis")


@pytest.mark.parametrize("reason", ["ContainerCreating", "CreateContainerConfigError"])
async def test_a_lost_secret_that_pods_wait_for_is_made_again_at_once(
    story: Story, operators: Operators, reason: str
) -> None:
    # No watch reports Secrets, and the next read of this one comes too late.
    await operators.start(env={"LGS_OPERATOR_SECRETS_SECONDS": "3600"})
    story.apply(service(cache={"redis": {"managed": {}}}))
    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        await story.has_condition("Ready", "True", "Serving")
        story.plane.run("delete", "secret", "support-redis", "-n", story.namespace)

        kubelet.waits(reason, 'secret "support-redis" not found')

        await story.appears(SECRET, "support-redis")


async def test_a_hand_edit_is_repaired_and_what_others_own_is_left_alone(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())
    # An edit while it is being made would be written over as any other write of somebody else's.
    await story.has_condition("Reconciled", "True", "Done")
    edit = {
        "metadata": {"annotations": {"team.example.com/pager": "on"}},
        "spec": {"template": {"spec": {"containers": [{"name": "runtime", "image": "wrong:1"}]}}},
    }

    story.plane.run("patch", "deployment", "support", "-n", story.namespace, "-p", json.dumps(edit))
    story.plane.run("delete", "service", "support", "-n", story.namespace)

    async def repaired() -> bool:
        template = await story.template()
        return template["spec"]["containers"][0]["image"] == "example.com/support:1"

    await until(repaired, "the image is not repaired")
    await story.appears(SERVICE)
    assert (await story.get(DEPLOYMENT))["metadata"]["annotations"]["team.example.com/pager"] == "on"
    assert await story.event("DriftRepaired")


async def test_a_missing_secret_is_named_and_its_arrival_is_enough(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service(persistence={"postgres": {"uriSecret": {"name": "db", "key": "uri"}}}))

    said = await story.has_condition("Ready", "False", "SecretNotFound")
    await story.has_condition("PersistenceReady", "False", "SecretNotFound")

    assert "spec.persistence.postgres.uriSecret: db: there is no Secret of this name" in said["message"]
    assert not await story.get(DEPLOYMENT)

    story.plane.run("create", "secret", "generic", "db", "-n", story.namespace, "--from-literal=wrong=x")
    said = await story.has_condition("Ready", "False", "SecretKeyNotFound")
    assert "has no key 'uri'" in said["message"]
    assert "wrong" not in said["message"], "whoever writes manifests need not be one who may read Secrets"

    patch = json.dumps({"stringData": {"uri": "postgres://db/x"}})
    story.plane.run("patch", "secret", "db", "-n", story.namespace, "-p", patch)
    await story.appears(DEPLOYMENT)


async def test_a_paused_service_is_left_alone_and_says_so(story: Story, operators: Operators) -> None:
    await operators.start()
    story.apply(service())
    await story.appears(DEPLOYMENT)
    story.apply(service(paused=True))
    await story.has_condition("Ready", "False", "Paused")

    story.plane.run("set", "image", "deployment/support", "runtime=mine:1", "-n", story.namespace)
    story.apply(service(paused=True, image="example.com/support:2"))

    async def seen() -> bool:
        ours = await story.get(SERVICE_OF_OURS)
        return ours["status"]["observedGeneration"] == ours["metadata"]["generation"]

    await until(seen)
    assert (await story.template())["spec"]["containers"][0]["image"] == "mine:1"

    story.apply(service(paused=False, image="example.com/support:2"))

    async def resumed() -> bool:
        return (await story.template())["spec"]["containers"][0]["image"] == "example.com/support:2"

    await until(resumed, "the service is not taken up again")


async def test_what_the_api_server_refuses_is_told_and_mended(story: Story, operators: Operators) -> None:
    await operators.start()
    story.apply(service(pod={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}))

    said = await story.has_condition("Ready", "False", "Refused")
    assert "Deployment support was refused" in said["message"]
    assert "spec.pod.resources.requests: Invalid value" in said["message"]
    assert "cpu" in said["message"]

    story.apply(service(pod={"resources": {"requests": {"cpu": "1"}}}))
    await story.appears(DEPLOYMENT)


async def test_an_object_of_somebody_else_is_not_taken_over(story: Story, operators: Operators) -> None:
    story.plane.run("create", "service", "clusterip", "support", "-n", story.namespace, "--tcp=80:80")
    await operators.start()

    story.apply(service())

    said = await story.has_condition("Ready", "False", "Refused")
    assert "Service support exists" in said["message"]
    assert (await story.get(SERVICE))["spec"]["ports"][0]["port"] == 80


async def test_a_broken_image_and_a_crash_are_told_in_words_and_recover(
    story: Story, operators: Operators
) -> None:
    await operators.start()
    story.apply(service())

    async with FakeKubelet(story.cluster, story.namespace) as kubelet:
        kubelet.waits("ImagePullBackOff", "no such image")
        said = await story.has_condition("Ready", "False", "ImagePullBackOff")
        assert "example.com/support:1" in said["message"]

        kubelet.crashes(2, "LANGSERVE_GRAPHS: agent: ./graph.py has no variable graph")
        said = await story.has_condition("Ready", "False", "CrashLoopBackOff")
        assert "./graph.py has no variable graph" in said["message"]

        kubelet.runs()
        await story.has_condition("Ready", "True", "Serving")

    table = story.plane.run("get", "lgs", "-n", story.namespace)
    assert table.splitlines()[0].split() == [
        "NAME", "READY", "REVISION", "DESIRED", "REPLICAS", "QUEUE", "P95", "AGE",
    ]  # fmt: skip
    assert await story.event("ImagePullBackOff")
    described = story.plane.run("describe", "lgs", "support", "-n", story.namespace)
    assert "ImagePullBackOff" in described


async def test_another_operator_goes_on_where_the_leader_stopped(story: Story, operators: Operators) -> None:
    first = await operators.start(by_command=True)
    second = await operators.start(leads=False)
    story.apply(service())
    await story.appears(DEPLOYMENT)
    await until(lambda: "leader.waits" in second.log.read_text(), "it does not tell whom it waits for")
    assert not await second.leads()

    await operators.kill(first)
    story.apply(service("another"))

    await story.appears(DEPLOYMENT, "another")
    assert await second.leads()
