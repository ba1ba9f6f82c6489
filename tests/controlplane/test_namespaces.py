"""An operator of several namespaces, with the chart's rights: what a tenant does in one of them ends the
service of that one alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controlplane.chart import environment, objects, rendered
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.story import Story
from lgs_operator.kube.kinds import DEPLOYMENT

pytestmark = pytest.mark.controlplane
ACCOUNT = "lgs-operator"
CLAIM = "lgs-operator-namespace-default"
OFTEN = {"LGS_OPERATOR_CLAIM_SECONDS": "5"}


async def test_who_deletes_the_lease_or_the_rights_of_one_namespace_never_ends_the_operator_of_the_others(
    story: Story, operators: Operators, tmp_path: Path
) -> None:
    plane, namespace, other = story.plane, story.namespace, f"{story.namespace}-other"
    plane.run("create", "namespace", other)
    there = Story(plane, story.cluster, other)
    chart = rendered("crds.install=false", f"namespaces={{{namespace},{other}}}", namespace=namespace)
    plane.run("apply", "-f", "-", stdin=chart)
    plane.run("delete", "lease", ACCOUNT, "-n", namespace)
    kept = ("LGS_OPERATOR_NAMESPACES", "LGS_OPERATOR_LEASE", "LGS_OPERATOR_PATCH_PODS", "LGS_OPERATOR_CLASS")
    settings = {name: value for name, value in environment(chart).items() if name in kept}
    token = plane.run("create", "token", ACCOUNT, "-n", namespace).strip()
    leases = [each for each in objects(chart, "Lease") if each["metadata"]["name"] == CLAIM]
    binding = objects(chart, "RoleBinding")
    taken = {
        "lease": next(each for each in leases if each["metadata"]["namespace"] == other),
        "rolebinding": next(each for each in binding if each["metadata"]["namespace"] == other),
    }
    rights = taken["rolebinding"]
    plane.run("delete", "rolebinding", rights["metadata"]["name"], "-n", other)
    try:
        operator = await operators.start(
            kubeconfig=plane.kubeconfig_for(token, tmp_path / "operator.conf"), env=settings | OFTEN
        )
        story.apply(service())
        there.apply(service())
        await story.appears(DEPLOYMENT)
        plane.run("create", "-f", "-", stdin=json.dumps(rights))
        await operator.shows("lgs_operator_services", 2)

        for number, kind in enumerate(("lease", "rolebinding")):
            plane.run("delete", kind, taken[kind]["metadata"]["name"], "-n", other)
            await operator.shows("lgs_operator_services", 1 + number)
            story.apply(service(f"meanwhile-{number}"))
            await story.appears(DEPLOYMENT, f"meanwhile-{number}")
            plane.run("create", "-f", "-", stdin=json.dumps(taken[kind]))
            await operator.shows("lgs_operator_services", 3 + number)
            there.apply(service(f"after-{number}"))
            await there.appears(DEPLOYMENT, f"after-{number}")
            plane.run("delete", "langgraphservice", f"after-{number}", "-n", other)
            await operator.shows("lgs_operator_services", 3 + number)

        assert operator.process.returncode is None
    finally:
        plane.run("delete", "-f", "-", "--wait=false", stdin=chart)
        plane.run("delete", "namespace", other, "--wait=false")
