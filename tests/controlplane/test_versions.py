"""What an operator with other images makes of the services that there are: a database stays with its major
version of PostgreSQL (docs/data.md), and services go over to another stock runtime in turn
(docs/deploying.md)."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.databases import SET, gone, managed
from controlplane.fake_kubelet import FakeKubelet
from controlplane.manifests import condition, service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT, SERVICE_OF_OURS, STATEFUL_SET
from support.waiting import until

pytestmark = pytest.mark.controlplane


async def test_a_database_stays_with_its_major_version_when_the_operator_brings_another(
    story: Story, operators: Operators
) -> None:
    first = await operators.start(env={"LGS_POSTGRES_IMAGE": "postgres:16.1", "LGS_POSTGRES_UID": "70"})
    story.apply(managed())
    await story.appears(STATEFUL_SET, SET)
    first.process.terminate()
    await first.process.wait()

    second = await operators.start(env={"LGS_POSTGRES_IMAGE": "postgres:17.2", "LGS_POSTGRES_UID": "999"})

    async def database() -> dict[str, Any] | None:
        """What the status says of it, once it says of the other one too."""
        said: dict[str, Any] = (await story.get(SERVICE_OF_OURS))["status"].get("database", {})
        return said if "upgradeAvailable" in said else None

    await story.event("UpgradeAvailable", "postgres:17.2")
    told = await until(database, "the status does not tell of the other version")
    server = (await story.get(STATEFUL_SET, SET))["spec"]["template"]["spec"]
    assert server["containers"][0]["image"] == "postgres:16.1"
    assert server["securityContext"]["runAsUser"] == 70
    assert (told["majorVersion"], told["upgradeAvailable"]) == (16, "postgres:17.2")

    second.process.terminate()
    await second.process.wait()
    await operators.start(env={"LGS_POSTGRES_IMAGE": "postgres:16.9", "LGS_POSTGRES_UID": "70"})

    async def released() -> bool:
        server = (await story.get(STATEFUL_SET, SET))["spec"]["template"]["spec"]
        return server["containers"][0]["image"] == "postgres:16.9"

    await until(released, "a release of the same major version is not taken")


async def test_a_volume_keeps_its_major_version_when_its_service_is_made_again(
    story: Story, operators: Operators
) -> None:
    first = await operators.start(env={"LGS_POSTGRES_IMAGE": "postgres:16.1"})
    story.apply(managed())
    await story.appears(STATEFUL_SET, SET)
    await gone(story)
    first.process.terminate()
    await first.process.wait()
    await operators.start(env={"LGS_POSTGRES_IMAGE": "postgres:17.2"})

    story.apply(managed())

    server = (await story.appears(STATEFUL_SET, SET))["spec"]["template"]["spec"]
    assert server["containers"][0]["image"] == "postgres:16.1"


NAMES = ("first", "second", "third")
CODE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"graph.py": "1"}}

SECOND = {"LGS_RUNTIME_IMAGE": "stock-runtime:2", "LGS_RUNTIME_MAX_ROLLOUTS": "1"}


class StockServices:
    """Services without an image of their own, the third of which keeps a version."""

    def __init__(self, story: Story) -> None:
        self.story = story

    def apply(self) -> None:
        stock: dict[str, Any] = {"image": None, "source": {"configMap": "code"}}
        for each in (CODE, *(service(name, **stock) for name in NAMES[:2])):
            self.story.apply(each)
        self.story.apply(service(NAMES[2], **stock, runtimeVersion="1"))

    async def images(self) -> list[str]:
        """What new pods of each run."""
        made = [await self.story.get(DEPLOYMENT, each) for each in NAMES]
        return [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in made if each]

    async def told(self, kind: str) -> list[str]:
        """The reason of this condition of each."""
        services = [await self.story.get(SERVICE_OF_OURS, each) for each in NAMES]
        return [condition(each.get("status", {}), kind).get("reason", "") for each in services]

    async def is_complete(self) -> bool:
        return await self.told("Progressing") == ["Complete"] * 3


async def test_services_go_over_to_another_stock_runtime_in_turn_and_no_further_where_it_can_not_be_had(
    story: Story, operators: Operators
) -> None:
    services = StockServices(story)
    first = await operators.start()
    services.apply()
    async with FakeKubelet(story.cluster, story.namespace) as nodes:
        await until(services.is_complete, "the services do not come up")
        assert await services.images() == ["stock-runtime:1"] * 3
        first.process.terminate()
        await first.process.wait()
        nodes.lacks("stock-runtime:2")

        second = await operators.start(env=SECOND)

        one_has_it = ["stock-runtime:1"] * 2 + ["stock-runtime:2"]

        async def one_waits() -> bool:
            told, images = await services.told("Reconciled"), await services.images()
            return sorted(told) == ["Done", "Done", "UpdatePending"] and sorted(images) == one_has_it

        await until(one_waits, "none waits for its turn")
        await second.shows("lgs_operator_stock_rollouts", 2)
        second.process.terminate()
        await second.process.wait()

        third = await operators.start(env=SECOND)
        await third.shows("lgs_operator_stock_rollouts", 2)
        assert sorted(await services.images()) == one_has_it

        nodes.has("stock-runtime:2")

        async def all_have_it() -> bool:
            wanted = ["stock-runtime:2", "stock-runtime:2", "stock-runtime:1"]
            is_done = await services.told("Reconciled") == ["Done"] * 3
            return is_done and await services.images() == wanted and await services.is_complete()

        await until(all_have_it, "the next does not follow")
        await third.shows("lgs_operator_stock_rollouts", 0)
