"""15. Deletion leaves nothing behind.

The service goes with all that belongs to it, volumes too; then the operator goes with all of its own.
"""

from __future__ import annotations

import time

from e2e.harness.kubectl import run
from e2e.harness.report import Report
from e2e.story import NAME, RELEASE, RESOURCE, Story

KINDS = (
    "deployments,statefulsets,replicasets,pods,services,endpointslices,secrets,configmaps,serviceaccounts,"
    "persistentvolumeclaims,poddisruptionbudgets,networkpolicies,leases,roles,rolebindings,"
    "controllerrevisions"
)
CLUSTER_KINDS = (
    "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
)


def test_nothing_of_the_service_is_left(story: Story, report: Report) -> None:
    # What it had until now kept its volume; a policy that is changed before the end counts.
    policy = {"persistence": {"postgres": {"managed": {"deletionPolicy": "Delete"}}}}
    story.kubectl.merge(RESOURCE, {"spec": policy})
    story.kubectl.until("the volume belongs to the service", lambda: owners_of_the_volume(story), 180)
    began = time.monotonic()

    story.kubectl("delete", RESOURCE, "--wait=true")

    def gone() -> bool:
        return not story.kubectl("get", KINDS, "-l", f"lgs.dev/service={NAME}", "-o", "name").strip()

    story.kubectl.until("nothing with the service's label", gone, 180)
    report.add("delete until nothing is left", time.monotonic() - began, "s")
    names = story.kubectl("get", KINDS, "-o", "name").split()
    assert [name for name in names if name.split("/")[1].startswith(f"{NAME}-")] == [
        "configmap/support-graph"
    ], names


def owners_of_the_volume(story: Story) -> list[dict[str, str]]:
    """To what it belongs."""
    claim = story.kubectl.get("persistentvolumeclaim", f"data-{NAME}-postgres-0")
    owners: list[dict[str, str]] = claim["metadata"].get("ownerReferences", [])
    return owners


def test_nothing_of_the_operator_is_left(story: Story) -> None:
    run("helm", "uninstall", RELEASE, "--namespace", story.system.namespace, "--wait")

    def gone() -> bool:
        left = story.system("get", KINDS, "-o", "name").split()
        return not [name for name in left if "lgs" in name]

    story.system.until("nothing of the operator", gone, 120)
    cluster_wide = run("kubectl", "get", CLUSTER_KINDS, "-o", "name").split()
    claims = run("kubectl", "get", "leases,roles,rolebindings", "-n", "kube-system", "-o", "name").split()
    assert [name for name in cluster_wide + claims if "lgs" in name] == []
