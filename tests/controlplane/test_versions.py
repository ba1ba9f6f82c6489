"""A database stays with its major version of PostgreSQL, whatever the operator brings (docs/data.md)."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.databases import SET, gone, managed
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import SERVICE_OF_OURS, STATEFUL_SET
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

    assert "postgres:17.2" in await story.event("UpgradeAvailable")
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
