"""What the chart makes of its values."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.chart import CHART, documents, environment, helm, objects, rendered
from controlplane.controlplane_server import ControlPlane
from lgs_operator.monitoring.generate import DASHBOARD, RULES
from lgs_operator.naming import COMPONENT_LABEL, REPLICAS
from lgs_operator.settings import SettingsError, from_environment

pytestmark = pytest.mark.controlplane


def test_the_crd_of_the_chart_is_kept_only_when_asked_for() -> None:
    kept, not_kept = rendered(), rendered("crds.keep=false")

    assert "helm.sh/resource-policy: keep" in kept
    assert "helm.sh/resource-policy" not in not_kept
    assert "kind: CustomResourceDefinition" in not_kept


def test_the_operator_gets_the_times_of_the_values() -> None:
    settings = from_environment(environment(rendered("leaseSeconds=20", "scaling.intervalSeconds=2.5")))

    assert (settings.lease_seconds, settings.scale_interval, settings.port) == (20, 2.5, 8080)
    with pytest.raises(AssertionError, match="leaseSeconds"):
        rendered("leaseSeconds=0")


def test_images_are_had_by_tag_or_by_a_whole_digest() -> None:
    digest = "sha256:" + "0a" * 32
    by_tag, by_digest = (
        rendered("image.tag=v7"),
        rendered(f"image.digest={digest}", f"images.runtime=r@{digest}"),
    )

    assert [operator_image(each) for each in (by_tag, by_digest)] == [
        "ghcr.io/langgraphservice/operator:v7",
        f"ghcr.io/langgraphservice/operator@{digest}",
    ]
    assert from_environment(environment(by_digest)).images.runtime == f"r@{digest}"
    for name in ("image.digest=", "images.runtime=r@"):
        with pytest.raises(AssertionError, match="pattern"):
            rendered(f"{name}{digest[:-1]}")


def operator_image(text: str) -> str:
    (operator,) = objects(text, "Deployment")
    return str(operator["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize(
    ("values", "namespaces"), [((), "team"), (("namespaces={a,b}",), "a,b"), (("clusterWide=true",), "")]
)
def test_an_installation_looks_after_its_own_namespace_unless_it_is_told_more(
    values: tuple[str, ...], namespaces: str
) -> None:
    chart = rendered(*values, namespace="team")

    assert environment(chart)["LGS_OPERATOR_NAMESPACES"] == namespaces
    assert [each["metadata"]["namespace"] for each in objects(chart, "Role")][:-1] == (
        namespaces.split(",") if namespaces else ["kube-system"]
    )
    assert bool(objects(chart, "ClusterRole")) == (namespaces == "")


@pytest.mark.parametrize(
    ("values", "networks", "peers"),
    [
        ((), "public", {"0.0.0.0/0", "2000::/3"}),
        (
            ("webhooks.networks={public,10.20.0.0/16}",),
            "public,10.20.0.0/16",
            {"0.0.0.0/0", "2000::/3", "10.20.0.0/16"},
        ),
        (("webhooks.networks=null",), "", set()),
    ],
)
def test_the_operator_calls_the_networks_of_the_values_and_is_let_out_to_them(
    values: tuple[str, ...], networks: str, peers: set[str]
) -> None:
    chart = rendered(*values)

    assert environment(chart)["LGS_OPERATOR_WEBHOOK_NETWORKS"] == networks
    assert from_environment(environment(chart)).webhooks.public == ("public" in networks)
    (policy,) = objects(chart, "NetworkPolicy")
    blocks = [
        to["ipBlock"] for each in policy["spec"]["egress"] for to in each.get("to", []) if "ipBlock" in to
    ]
    assert {each["cidr"] for each in blocks} == peers
    for block in blocks:
        if block["cidr"] in ("0.0.0.0/0", "2000::/3"):
            assert [each for each in NOT_PUBLIC if is_let_out(block, each)] == []


def test_the_values_of_an_older_chart_alone_are_refused_with_what_they_lack() -> None:
    # as `helm upgrade --reuse-values` gives them; with --reset-then-reuse-values the new defaults are there
    with pytest.raises(AssertionError, match=r"(?s)dashboard is required|missing property 'dashboard'"):
        rendered("dashboard=null")
    with pytest.raises(
        AssertionError, match=r"(?s)storedVersion is required|missing property 'storedVersion'"
    ):
        rendered("crds.storedVersion=null")


NOT_PUBLIC = (
    "0.0.0.0",
    "10.1.2.3",
    "100.100.100.200",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
)


def is_let_out(block: dict[str, Any], address: str) -> bool:
    """By a network of a policy and its exceptions."""
    found = ip_address(address)
    inside = [found in ip_network(each) for each in (block["cidr"], *block.get("except", ()))]
    return inside[0] and not any(inside[1:])


def test_names_that_look_like_numbers_stay_names() -> None:
    chart = rendered("serviceAccount.name=0x7", namespace="456")

    everything = documents(chart)
    namespaces = [each["metadata"]["namespace"] for each in everything if "namespace" in each["metadata"]]
    (binding,) = [
        each
        for each in objects(chart, "ValidatingAdmissionPolicyBinding")
        if each["spec"].get("matchResources")
    ]
    (selector,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    (account,) = objects(chart, "ServiceAccount")
    assert set(namespaces) == {"456"}
    assert selector["values"] == ["456"]
    assert account["metadata"]["name"] == "0x7"


def test_an_installation_for_namespaces_and_for_all_is_refused() -> None:
    with pytest.raises(AssertionError, match="set one of them"):
        rendered("clusterWide=true", "namespaces={a}")


@pytest.mark.parametrize("name", ["No", "a/b", "x" * 41, "-a"])
def test_a_class_that_can_be_none_is_refused_by_the_chart_and_by_the_operator(name: str) -> None:
    with pytest.raises(AssertionError, match="operatorClass"):
        rendered(f"operatorClass={name}")
    with pytest.raises(SettingsError, match="LGS_OPERATOR_CLASS"):
        from_environment({"LGS_OPERATOR_CLASS": name})


def test_a_misspelt_value_is_refused() -> None:
    with pytest.raises(AssertionError, match="rplicas"):
        rendered("rplicas=2")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("operatorClass=default", ["kubectl apply -n team -f", "kubectl get lgs -n team --watch"]),
        ("namespaces={a,b}", ["for the namespaces a, b.", "kubectl apply -n a -f"]),
        ("clusterWide=true", ["for the whole cluster.", "kubectl apply -f"]),
        ("operatorClass=blue", ["    operatorClass: blue\n", "spec.operatorClass is blue"]),
    ],
)
def test_what_helm_says_at_the_end_makes_a_service_that_is_served(
    plane: ControlPlane, values: str, words: list[str]
) -> None:
    """A service in another namespace, or of another class, is not touched, and nothing would show it."""
    sets = ("--set", values, "--set", "crds.install=false")
    dry = ("--dry-run=server", "--kubeconfig", str(plane.kubeconfig))

    notes = helm("install", "lgs-operator", str(CHART), "-n", "team", *dry, *sets).split("\nNOTES:\n")[1]

    assert [each for each in words if each not in notes] == []


def test_the_operator_may_ask_replicas_of_both_kinds_for_their_metrics() -> None:
    (policy,) = objects(rendered(), "NetworkPolicy")

    (metrics,) = [
        each for each in policy["spec"]["egress"] if {"port": 8000, "protocol": "TCP"} in each["ports"]
    ]
    (chosen,) = [each["podSelector"]["matchExpressions"] for each in metrics["to"]]

    assert chosen == [{"key": COMPONENT_LABEL, "operator": "In", "values": list(REPLICAS)}]


def test_what_watches_the_operator_is_made_as_it_is_described_and_only_when_asked_for() -> None:
    each = ("podMonitor", "prometheusRule", "dashboard")
    chart = rendered(*(f"metrics.{name}.enabled=true" for name in each), namespace="lgs")

    (monitor,), (rule,) = objects(chart, "PodMonitor"), objects(chart, "PrometheusRule")
    (dashboard,) = objects(chart, "ConfigMap")
    assert monitor["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True
    assert rule["spec"] == yaml.safe_load(RULES.read_text("utf-8"))
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["data"] == {"lgs-lgs-operator.json": DASHBOARD.read_text("utf-8")}
    assert not any(objects(rendered(), kind) for kind in ("PodMonitor", "PrometheusRule", "ConfigMap"))


def test_more_objects_are_made_with_the_release_and_may_have_templates(tmp_path: Path) -> None:
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    values = tmp_path / "values.yaml"
    as_text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: text}\ndata: {of: '{{ .Release.Name }}'}\n"
    as_object = head | {"metadata": {"name": "object"}, "data": {"in": "{{ .Release.Namespace }}"}}
    values.write_text(json.dumps({"extraObjects": [as_object, as_text]}))

    made = helm("template", "ours", str(CHART), "-n", "team", "--kube-version=1.35.0", "-f", str(values))

    extra = {each["metadata"]["name"]: each["data"] for each in objects(made, "ConfigMap")}
    assert extra == {"object": {"in": "team"}, "text": {"of": "ours"}}
    assert not objects(rendered(), "ConfigMap")
