"""The chart's rights are enough for the operator, and no more: it works with them and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from controlplane.controlplane_server import ControlPlane, binaries
from controlplane.manifests import service
from controlplane.operators import Operators
from controlplane.waiting import until
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import DEPLOYMENT, SECRET, STATEFUL_SET
from lgs_operator.settings import from_environment

pytestmark = pytest.mark.controlplane
CHART = Path(__file__).parents[2] / "helm" / "lgs-operator"


def helm(*arguments: str) -> str:
    folder = binaries()
    assert folder is not None
    command = [folder / "helm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("scope", ["cluster", "namespaced"])
async def test_the_operator_works_with_the_rights_of_the_chart(
    plane: ControlPlane, cluster: KubeClient, namespace: str, operators: Operators, tmp_path: Path, scope: str
) -> None:
    values = [f"namespaces={{{namespace}}}" if scope == "namespaced" else "clusterWide=true"]
    sets = [part for value in [*values, "crds.install=false"] for part in ("--set", value)]
    rendered = helm("template", "lgs-operator", str(CHART), "-n", namespace, "--kube-version=1.35.0", *sets)
    plane.run("apply", "-f", "-", stdin=rendered)
    token = plane.run("create", "token", "lgs-operator", "-n", namespace).strip()

    await operators.start(
        kubeconfig=plane.kubeconfig_for(token, tmp_path / "operator.conf"),
        env={"LGS_OPERATOR_NAMESPACES": namespace if scope == "namespaced" else ""},
    )
    wanted = service(persistence={"postgres": {"managed": {}}}, cache={"redis": {"managed": {}}})
    plane.run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(wanted))

    for kind, name in (
        (SECRET, "support-redis"),
        (STATEFUL_SET, "support-postgres"),
        (DEPLOYMENT, "support"),
    ):

        async def is_there(kind=kind, name=name) -> bool:  # type: ignore[no-untyped-def]
            return await cluster.get(kind, namespace, name) is not None

        await until(is_there, f"{kind.name} {name} does not appear")

    async def told() -> bool:
        status = plane.run("get", "lgs", "support", "-n", namespace, "-o", "jsonpath={.status.conditions}")
        events = plane.run("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].involvedObject.kind}")
        return "PersistenceReady" in status and "LangGraphService" in events

    await until(told, "neither status nor Event tells of it")
    plane.run("delete", "-f", "-", "--wait=false", stdin=rendered)


def test_the_crd_of_the_chart_is_kept_only_when_asked_for() -> None:
    kept = helm("template", "x", str(CHART), "--kube-version=1.35.0")
    not_kept = helm("template", "x", str(CHART), "--kube-version=1.35.0", "--set", "crds.keep=false")

    assert "helm.sh/resource-policy: keep" in kept
    assert "helm.sh/resource-policy" not in not_kept
    assert "kind: CustomResourceDefinition" in not_kept


def test_the_operator_gets_the_times_of_the_values() -> None:
    (operator,) = [
        each
        for each in yaml.safe_load_all(
            helm(
                "template", "x", str(CHART), "--kube-version=1.35.0",
                "--set", "leaseSeconds=20,scaling.intervalSeconds=2.5",
            )
        )
        if each and each["kind"] == "Deployment"
    ]  # fmt: skip
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    settings = from_environment({each["name"]: each.get("value", "") for each in container["env"]})

    assert (settings.lease_seconds, settings.scale_interval, settings.port) == (20, 2.5, 8080)
    with pytest.raises(AssertionError, match="leaseSeconds"):
        helm("template", "x", str(CHART), "--kube-version=1.35.0", "--set", "leaseSeconds=0")


def test_an_installation_looks_after_its_own_namespace_unless_it_is_told_more() -> None:
    def namespaces(*sets: str) -> str:
        rendered = helm("template", "x", str(CHART), "-n", "team", "--kube-version=1.35.0", *sets)
        roles = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] == "ClusterRole"]
        assert bool(roles) == ("clusterWide=true" in sets)
        return rendered.split("LGS_OPERATOR_NAMESPACES\n")[1].split("value: ")[1].splitlines()[0]

    assert namespaces() == '"team"'
    assert namespaces("--set", "namespaces={a,b}") == '"a,b"'
    assert namespaces("--set", "clusterWide=true") == '""'
    with pytest.raises(AssertionError, match="set one of them"):
        namespaces("--set", "clusterWide=true,namespaces={a}")


def test_a_misspelt_value_is_refused() -> None:
    with pytest.raises(AssertionError, match="rplicas"):
        helm("template", "x", str(CHART), "--kube-version=1.35.0", "--set", "rplicas=2")
