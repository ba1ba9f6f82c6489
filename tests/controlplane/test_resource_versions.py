"""Services in both versions of the resource: read and written by either, stored by one, moved to the other by
the commands of `docs/resource-versions.md`, and back.

The services were made with the chart of the release before, which has one version.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.chart import CHART, helm, rendered
from controlplane.controlplane_server import binaries
from controlplane.installation import RELEASE, TEAM, Installation, empty_cluster
from controlplane.manifests import service
from controlplane.waiting import established
from lgs_operator.kube.kinds import POD, SERVICE_OF_OURS
from support.waiting import until

pytestmark = pytest.mark.controlplane
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "resource-versions.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[0].replace("\\\n", "")
UPGRADE, REWRITE, FORGET = COMMANDS.strip().splitlines()
RESOURCE = "langgraphservices.lgs.dev"
OLD, NEW = "lgs.dev/v1alpha1", "lgs.dev/v1beta1"
POOL = {"persistence": {"postgres": {"uriSecret": {"name": "db"}}}}
SUPPORT = service("support", replicas=1, scaling={"mode": "Manual"}, rollout={"autoRollback": True}, **POOL)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """With a service that the chart of the release before has stored."""
    async with empty_cluster(tmp_path) as made:
        made.install(made.previous.chart)
        await established(made.story.plane, RESOURCE)
        made.story.apply(SUPPORT)
        yield made


def shell(installation: Installation, command: str) -> str:
    """What a command of the page prints, as the administrator."""
    programs = binaries()
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KUBECONFIG": str(installation.story.plane.kubeconfig),
    }
    command = command.replace("upgrade lgs ", f"upgrade {RELEASE} ")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stdout}"


def stored(installation: Installation, name: str = "support") -> dict[str, Any]:
    return installation.story.plane.servers.stored(f"lgs.dev/langgraphservices/{TEAM}/{name}")


def stored_versions(installation: Installation) -> list[str]:
    path = "jsonpath={.status.storedVersions}"
    versions: list[str] = json.loads(installation.story.plane.run("get", "crd", RESOURCE, "-o", path))
    return versions


def read(installation: Installation, version: str) -> dict[str, Any]:
    """The service by one of the versions."""
    name = version.partition("/")[2]
    kind = f"langgraphservices.{name}.lgs.dev"
    found: dict[str, Any] = json.loads(
        installation.story.plane.run("get", kind, "support", "-n", TEAM, "-o", "json")
    )
    return found


def without_version(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "apiVersion"}


async def test_what_the_release_before_stored_is_read_and_changed_by_either_version(
    installation: Installation,
) -> None:
    plane = installation.story.plane
    installation.install(CHART)
    await until(lambda: _serves_both(installation), "v1beta1 is not served")

    old, new = read(installation, OLD), read(installation, NEW)
    assert (old["apiVersion"], new["apiVersion"]) == (OLD, NEW)
    assert without_version(old) == without_version(new)
    assert stored(installation)["apiVersion"] == OLD
    assert json.loads(plane.run("get", "lgs", "support", "-n", TEAM, "-o", "json"))["apiVersion"] == NEW

    changed = SUPPORT | {"apiVersion": NEW, "spec": SUPPORT["spec"] | {"replicas": 3}}
    installation.story.apply(changed)
    assert read(installation, OLD)["spec"]["replicas"] == 3
    assert "unchanged" in plane.run("apply", "-n", TEAM, "-f", "-", stdin=json.dumps(changed))
    assert (stored(installation)["apiVersion"], stored_versions(installation)) == (OLD, ["v1alpha1"])

    for version in (OLD, NEW):
        wrong = SUPPORT | {"apiVersion": version, "spec": SUPPORT["spec"] | {"replicas": -1}}
        said = plane.run("apply", "-n", TEAM, "-f", "-", stdin=json.dumps(wrong), check=False)
        assert "spec.replicas" in said, version
    assert "v1alpha1" in plane.run("explain", "lgs", "--api-version", OLD)
    assert "Default: 10" in plane.run("explain", "lgs.spec.revisionHistoryLimit")


async def test_objects_move_to_the_new_version_by_the_commands_of_the_page_and_nothing_that_runs_notices(
    installation: Installation,
) -> None:
    story = installation.story
    settings = installation.install(CHART)
    operator = await installation.start(settings, leads=True)
    await story.has_condition("Progressing", "False", "Complete")
    before = await _what_runs(installation)
    assert "must appear" not in shell(installation, UPGRADE)
    assert (stored(installation)["apiVersion"], stored_versions(installation)) == (
        OLD,
        ["v1alpha1", "v1beta1"],
    )

    await until(lambda: _is_rewritten(installation), "the services are not written again")
    assert (
        shell(installation, FORGET) == f"customresourcedefinition.apiextensions.k8s.io/{RESOURCE} patched\n"
    )

    assert (stored(installation)["apiVersion"], stored_versions(installation)) == (NEW, ["v1beta1"])
    await story.is_looked_at(operator)
    await story.has_condition("Progressing", "False", "Complete")
    assert await _what_runs(installation) == before
    story.plane.run("patch", "lgs", "support", "-n", TEAM, "--type=merge", '-p={"spec":{"replicas":2}}')
    await until(lambda: _has_replicas(installation, 2), "the operator does not see the new version's change")
    assert await operator.metric("lgs_operator_internal_errors_total") == 0


async def test_the_way_back_to_the_chart_before_is_open_until_objects_are_stored_by_the_new_version(
    installation: Installation,
) -> None:
    installation.install(CHART)
    helm("rollback", RELEASE, "1", *installation.where)
    await established(installation.story.plane, RESOURCE)
    assert read(installation, OLD)["spec"]["rollout"]["autoRollback"] is True

    installation.install(CHART, "--set", "crds.storedVersion=v1beta1")
    with pytest.raises(AssertionError, match="v1beta1 was previously a storage version, and must remain"):
        helm("rollback", RELEASE, "1", *installation.where)
    installation.install(CHART)
    assert stored_versions(installation) == ["v1alpha1", "v1beta1"]
    await until(lambda: _is_rewritten(installation), "the services are not written again")
    shell(installation, FORGET.replace("v1beta1", "v1alpha1"))
    helm("rollback", RELEASE, "1", *installation.where)
    assert (stored(installation)["apiVersion"], stored_versions(installation)) == (OLD, ["v1alpha1"])


def test_a_version_that_is_not_served_can_not_be_stored() -> None:
    with pytest.raises(AssertionError, match=r"crds.storedVersion: v1: must be one of .*: v1beta1, v1alpha1"):
        rendered("crds.storedVersion=v1")


async def _serves_both(installation: Installation) -> bool:
    served = installation.story.plane.run("api-versions").splitlines()
    return {OLD, NEW} <= set(served)


async def _is_rewritten(installation: Installation) -> bool:
    """As the page says: again, where the operator wrote to a service in that moment."""
    return "replaced" in (said := shell(installation, REWRITE)) and not re.match(r"\d+: ", said)


async def _what_runs(installation: Installation) -> dict[str, Any]:
    """The generation of the service, and its pods."""
    cluster = installation.story.cluster
    pods, _ = await cluster.list(POD, TEAM)
    found = await installation.story.get(SERVICE_OF_OURS)
    return {
        "generation": found["metadata"]["generation"],
        "pods": sorted(each["metadata"]["uid"] for each in pods),
    }


async def _has_replicas(installation: Installation, number: int) -> bool:
    pods, _ = await installation.story.cluster.list(POD, TEAM)
    return len(pods) == number
