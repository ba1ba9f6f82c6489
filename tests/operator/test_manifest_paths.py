"""What the API server refuses of a Deployment's pods is told by the place that the manifest has for it."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_crds import parse
from lgs_operator.desired.deployment import api_deployment, deployment
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.manifest_paths import LONGEST_MESSAGE, in_the_manifest
from lgs_operator.kube.kinds import Manifest
from lgs_operator.settings import Images

PROXY = {"name": "proxy", "image": "example.com/proxy:1"}
MODELS = {"name": "models", "emptyDir": {}}


def made(topology: str = "Combined") -> Manifest:
    pod: dict[str, Any] = {
        "volumes": [MODELS],
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
        "env": [{"name": "KEY", "value": "x"}],
        "containers": [PROXY | {"env": [{"name": "A", "value": "1"}]}],
        "hostAliases": [{"ip": "nonsense", "hostnames": ["a"]}],
    }
    postgres = {"postgres": {"managed": {}}}
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team", "uid": "u1"},
        "spec": {"image": "a:1", "topology": topology, "persistence": postgres, "pod": pod},
    }
    inputs = Inputs(parse(document), Images(), "abc", None, "redis-password", "lgs-system")
    found = deployment(inputs) if topology == "Combined" else api_deployment(inputs)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("spec.containers[1].resources.requests", 'containers[name="proxy"].resources.requests'),
        ("spec.containers[1].env[0].name", 'containers[name="proxy"].env[name="A"].name'),
        ('spec.containers[name="proxy"].env', 'containers[name="proxy"].env'),
        ("spec.volumes[2].configMap.defaultMode", 'volumes[name="models"].configMap.defaultMode'),
        ("spec.containers[0].volumeMounts[2].subPath", 'volumeMounts[mountPath="/models"].subPath'),
        ("spec.containers[0].env[ENV].value", 'env[name="KEY"].value'),
        ("spec.containers[0].resources.limits[a]", "resources.limits[a]"),
        ("spec.containers[0].lifecycle.preStop.sleep", "lifecycle.preStop.sleep"),
        ("spec.hostAliases[0].ip", "hostAliases[0].ip"),
        ("spec.dnsConfig.nameservers[0]", "dnsConfig.nameservers[0]"),
        ("annotations[a.b/c]", "annotations[a.b/c]"),
    ],
)
@pytest.mark.parametrize("dot", ["", "."])
def test_a_path_of_the_deployment_is_one_of_the_manifest_where_that_has_it(
    said: str, path: str, dot: str
) -> None:
    wanted = made()
    env = wanted["spec"]["template"]["spec"]["containers"][0]["env"]
    said = f"{dot}spec.template.{said}".replace("ENV", str([each["name"] for each in env].index("KEY")))

    words = in_the_manifest(f'"support" is invalid: [{said}: Invalid value: 1, {said}: no]', wanted)

    assert words == f'"support" is invalid: [spec.pod.{path}: Invalid value: 1, spec.pod.{path}: no]'


def test_the_image_of_the_runtime_is_the_services() -> None:
    assert in_the_manifest("spec.template.spec.containers[0].image: x", made()) == "spec.image: x"


@pytest.mark.parametrize(
    "said",
    [
        "spec.template.spec.containers[0].startupProbe.periodSeconds",
        "spec.template.spec.containers[7].image",
        "spec.template.spec.hostNetwork",
        "spec.template.spec",
        "spec.template",
        "spec.strategy",
        "x.spec.template.spec.volumes[0]",
    ],
)
def test_what_no_manifest_says_stays_as_it_is(said: str) -> None:
    assert in_the_manifest(f"{said}: no", made()) == f"{said}: no"


def test_resources_of_the_replicas_that_answer_may_be_of_their_own_section() -> None:
    said = "spec.template.spec.containers[0].resources.requests: Invalid value"

    assert in_the_manifest(said, made("Split")) == said


def test_of_other_objects_nothing_is_said_otherwise() -> None:
    said = "spec.template.spec.containers[0].image: Required value"

    assert in_the_manifest(said, {"kind": "StatefulSet"}) == said


@pytest.mark.parametrize("quoted", ["[spec.template.x[" * 2_000, " spec.template.a" * 2_000, "9" * 200_000])
def test_a_refusal_that_quotes_a_long_text_of_a_manifest_keeps_nobody_waiting(quoted: str) -> None:
    """To read all of a megabyte took minutes, in which no other service was worked on."""
    said = f'spec.template.spec.hostAliases[0].ip: Invalid value: "{quoted}": must be a valid IP address'

    told = in_the_manifest(said, made())

    assert told.startswith('spec.pod.hostAliases[0].ip: Invalid value: "')
    assert len(told) <= LONGEST_MESSAGE


def test_a_number_that_no_list_has_is_left_as_it_is() -> None:
    said = f"spec.template.spec.containers[{'9' * 350}].x, spec.template.spec.containers[{'9' * 5_000}].x"

    assert in_the_manifest(said, made()).startswith(said[:300])
