"""Whatever the CRD admits, the operator's pure core makes of it what it promises, or says what is wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lgs_crds import LangGraphService, ManifestError, parse
from lgs_crds.status import Status
from lgs_operator.desired.credentials import Credentials, Login
from lgs_operator.desired.deployment import first_replicas
from lgs_operator.desired.environment import environment
from lgs_operator.desired.everything import everything
from lgs_operator.desired.inputs import Inputs, PostgresInputs
from lgs_operator.desired.references import references
from lgs_operator.desired.server_image import ServerImage
from lgs_operator.kube.kept_pod import kept_pod
from lgs_operator.kube.kinds import DEPLOYMENT, Key, Manifest, key_of
from lgs_operator.kube.referenced import LONGEST_NAME, NAME
from lgs_operator.reconcile_plan import SCALER, plan
from lgs_operator.scaling import Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.settings import Images
from lgs_operator.status.observed import ObservedService
from lgs_operator.status.scaling import ScalingView, scaling_view
from lgs_operator.status.service import invalid_message, status_of
from support.drawn_answers import JSON
from support.drawn_manifests import examples, services
from support.drawn_pods import pods

SECRET_WORDS = "s3cr3t"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def inputs_of(service: LangGraphService, images: Images | None = None) -> Inputs:
    password = f"{SECRET_WORDS}-%@:/?#\n"
    images = images or Images()
    postgres = service.spec.persistence.postgres
    managed = None
    if postgres is not None and postgres.managed is not None:
        image = ServerImage(images.postgres, images.postgres_uid)
        managed = PostgresInputs(postgres.managed, image, Credentials(Login("lgs", password)))
    return Inputs(service, images, "abc", managed, password, "lgs-system")


def parsed(document: dict[str, Any]) -> LangGraphService | None:
    """The manifest, or None where it says what is wrong with it."""
    try:
        return parse(document, on_cluster=True)
    except ManifestError as error:
        assert error.problems
        assert invalid_message(error.problems)
        return None


def test_nearly_all_that_is_drawn_is_worked_on() -> None:
    """The premise of the other tests here."""
    seen: Counter[bool] = Counter()

    @examples(100)
    @given(services())
    def draw(document: dict[str, Any]) -> None:
        seen[parsed(document) is not None] += 1

    draw()
    assert seen[True] > 9 * seen[False]


@examples(300)
@given(services())
def test_all_that_a_manifest_renders_is_its_services_own_and_stays_so(document: dict[str, Any]) -> None:
    service = parsed(document)
    if service is None:
        return

    wanted = everything(inputs_of(service))

    assert json.dumps(wanted) == json.dumps(everything(inputs_of(service)))
    json.dumps(wanted, allow_nan=False)
    for each in wanted:
        assert_is_of_the_service(each)
    assert_reads_only_what_has_a_name(service)
    assert_each_variable_is_a_text_once(environment(inputs_of(service)))
    assert_is_settled_when_written(service, wanted)


def assert_is_of_the_service(manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    assert NAME.fullmatch(metadata["name"])
    assert len(metadata["name"]) <= LONGEST_NAME
    assert metadata["namespace"] == "team"
    assert metadata["labels"]["lgs.dev/service"] == "support"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "lgs-operator"
    if not is_left_behind(manifest):
        assert [each["uid"] for each in metadata["ownerReferences"]] == ["u-1"]
    told = "".join(json.dumps(part) for name, part in manifest.items() if name != "data")
    assert SECRET_WORDS not in told
    spec = manifest.get("spec", {})
    if "selector" in spec and "template" in spec:
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def is_left_behind(manifest: Manifest) -> bool:
    """The volume and its password, where the manifest's policy is that they stay."""
    if manifest["metadata"]["name"].startswith("support-backup"):
        return manifest["kind"] == "PersistentVolumeClaim"
    name = manifest["kind"], manifest["metadata"]["name"]
    kept = {("PersistentVolumeClaim", "data-support-postgres-0"), ("Secret", "support-postgres")}
    return name in kept and "ownerReferences" not in manifest["metadata"]


def assert_reads_only_what_has_a_name(service: LangGraphService) -> None:
    assert all(each.name and each.field.startswith("spec.") for each in references(service.spec))


def assert_each_variable_is_a_text_once(variables: list[Manifest]) -> None:
    names = [each["name"] for each in variables]
    assert len(names) == len(set(names))
    assert all(isinstance(each.get("value", ""), str) for each in variables)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names)


def assert_is_settled_when_written(service: LangGraphService, wanted: list[Manifest]) -> None:
    first = plan(wanted, {}, uid="u-1", first_replicas=first_replicas(service))
    live = {key_of(each): json.loads(json.dumps(each)) for each in first.applies}
    runtime = live[Key(DEPLOYMENT, "team", "support")]
    runtime["metadata"]["managedFields"] = [{"manager": SCALER, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]

    assert len(first.applies) == len(wanted)
    assert not plan(wanted, live, uid="u-1", first_replicas=first_replicas(service))


@examples(150)
@given(services(), pods(), pods("postgres"), st.none() | st.text(max_size=50))
def test_whatever_state_pods_are_in_the_status_can_be_written(
    document: dict[str, Any],
    runtime: tuple[Manifest, ...],
    database: tuple[Manifest, ...],
    refused: str | None,
) -> None:
    service = parsed(document)
    if service is None:
        return
    objects = {(each["kind"], each["metadata"]["name"]): each for each in everything(inputs_of(service))}
    view = ObservedService(
        service,
        deployment=objects["Deployment", "support"],
        pods=runtime,
        postgres=objects.get(("StatefulSet", "support-postgres")),
        postgres_pods=database,
        postgres_refused=refused,
        redis=objects.get(("Deployment", "support-redis")),
        reports={"support-1": {"database": "down"}},
    )
    observed = Observation(0.0, (ReplicaSample("a", 0.0, 5, waiting=3),), ready=1)
    scaling = scaling_view(
        service, decide(Policy.of(service.spec), observed, Memory(), 0.0), ScalingView(), 0.0
    )

    status = status_of(view, scaling, {}, NOW)

    written = json.dumps(status, allow_nan=False)
    assert SECRET_WORDS not in written
    assert len(written) < 32768
    assert Status.model_validate(json.loads(written)) == Status.model_validate(status)
    assert 0 <= status["desiredReplicas"] <= 1000
    assert status_of(view, scaling, status, NOW) == status
    kept, kept_too = (tuple(map(kept_pod, each)) for each in (runtime, database))
    assert status_of(replace(view, pods=kept, postgres_pods=kept_too), scaling, {}, NOW) == status


@examples(200)
@given(services(), st.data(), JSON)
def test_whatever_stands_in_a_manifest_it_is_one_or_its_problems_are_told(
    document: dict[str, Any], data: st.DataObject, odd: Any
) -> None:
    """`lgs` reads files that no API server has seen, and older services hold what it would refuse now."""
    part = document
    while name := data.draw(st.sampled_from(sorted(part))):
        if not isinstance(part[name], dict) or not part[name] or data.draw(st.booleans()):
            part[name] = odd
            break
        part = part[name]

    parsed(document)
