"""The Deployments of the runtime. Their pods are restricted, drain on SIGTERM and are replaced step by step.

With topology Split there are two: replicas that answer requests, and replicas that execute runs. In mode Auto
the number of the latter is left out here: it belongs to the autoscaler.
"""

from __future__ import annotations

from math import ceil

from lgs_crds import LangGraphService
from lgs_operator.desired.credentials import (
    CREDENTIALS_ANNOTATION,
    REDIS_CREDENTIALS_ANNOTATION,
    password_digest,
)
from lgs_operator.desired.environment import (
    API_KEYS_DIR,
    API_KEYS_FILE,
    DATA_DIR,
    PINNING_VARIABLE,
    SOURCE_DIR,
    environment,
)
from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.objects import container_security, name_of, owned
from lgs_operator.desired.pod_additions import containers_of, fields_of, security_of, sleep_before_stop
from lgs_operator.desired.source_copy import SOURCE_VOLUME
from lgs_operator.kube.kinds import DEPLOYMENT, Manifest
from lgs_operator.naming import (
    ANSWERS_LABEL,
    CONTENTS_ANNOTATION,
    DIGEST_ANNOTATION,
    FORGET_ANNOTATION,
    PINNED,
    REVISION_LABEL,
    RUNTIME_PORT,
    TRACK_LABEL,
    Component,
    labels,
    selector,
)

RUNTIME_UID = 10001
CONTAINER = "runtime"
CANARY = "canary"
PERCENT_VARIABLE = "LGS_CANARY_PERCENT"
OF_THE_OPERATOR = frozenset({REVISION_LABEL, TRACK_LABEL, ANSWERS_LABEL})
"""Labels that only the operator sets, as their presence or absence says what a replica is."""
# Seconds beyond the runtime's own drain, so that it ends by itself and hands its work back.
_GRACE_OVER_DRAIN = 15
_STARTUP_SECONDS = 300
_LOST_NODE_SECONDS = 20


def deployment(inputs: Inputs) -> Manifest:
    """The Deployment of the replicas that execute runs. Always wanted."""
    spec = inputs.service.spec
    manifest = _deployment(inputs, "runtime")
    if spec.scaling.mode != "Auto":
        manifest["spec"]["replicas"] = spec.replicas
    return manifest


def canary_deployment(inputs: Inputs, percent: int, replicas: int) -> Manifest:
    """The Deployment of a canary, whose replicas take the runs of `percent` % of the threads. They are
    replicas of the service like others, and have one more label by which their Deployment selects them."""
    variable = {"name": PERCENT_VARIABLE, "value": str(percent)}
    return _beside(inputs, name_of(inputs, "canary"), CANARY, variable, replicas)


def kept_deployment(inputs: Inputs, name: str, replicas: int) -> Manifest:
    """The Deployment of an old revision, whose replicas take what is pinned to it and nothing else. No
    requests come to them: for weeks, some would be answered by old code."""
    closed = {"name": PINNING_VARIABLE, "value": "closed"}
    manifest = _beside(inputs, name, PINNED, closed, replicas)
    manifest["spec"]["template"]["metadata"]["labels"].pop(ANSWERS_LABEL, None)
    return manifest


def _beside(inputs: Inputs, name: str, track_name: str, variable: Manifest, replicas: int) -> Manifest:
    """The Deployment of replicas beside the service's own. `variable` wins over the manifest's."""
    manifest, track = _deployment(inputs, "runtime"), {TRACK_LABEL: track_name}
    manifest["metadata"]["name"] = name
    manifest["metadata"]["labels"] |= track
    if inputs.revision is not None:
        manifest["metadata"]["annotations"] = {DIGEST_ANNOTATION: inputs.revision.digest}
    spec = manifest["spec"]
    spec["replicas"] = replicas
    spec["selector"]["matchLabels"] |= track
    spec["template"]["metadata"]["labels"] |= track
    for container in spec["template"]["spec"]["containers"]:
        if container["name"] != CONTAINER:
            continue
        variables = [each for each in container["env"] if each["name"] != variable["name"]]
        container["env"] = [*variables, variable]
    return manifest


def percent_of(canary: Manifest) -> int | None:
    """The share of the threads that a canary's Deployment takes, in percent; None if it has none."""
    containers = canary["spec"]["template"]["spec"]["containers"]
    runtime = (each for each in containers if each["name"] == CONTAINER)
    variables = (each for container in runtime for each in container.get("env", []))
    said = next((each.get("value", "") for each in variables if each["name"] == PERCENT_VARIABLE), "")
    return int(said) if said.isdecimal() else None


def canary_replicas(service: LangGraphService, replicas: int, percent: int) -> int:
    """How many replicas a canary needs beside `replicas` that have the rest of the threads; none beside none.
    That rest may be small, so there are at most as many as the whole service may have."""
    scaling = service.spec.scaling
    most = (scaling.max_replicas or 0) if scaling.mode == "Auto" else 0
    return min(ceil(replicas * percent / (100 - percent)), max(replicas, most if replicas else 0))


def api_deployment(inputs: Inputs) -> Wanted:
    """The Deployment of the replicas that answer requests. Wanted with topology Split."""
    if not inputs.split:
        return None
    manifest = _deployment(inputs, "api")
    manifest["spec"]["replicas"] = inputs.service.spec.api.replicas
    return manifest


def _deployment(inputs: Inputs, component: Component) -> Manifest:
    manifest = owned(inputs, DEPLOYMENT, component)
    manifest["spec"] = {
        "selector": {"matchLabels": selector(inputs.name, component)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": _max_unavailable(inputs, component)},
        },
        "progressDeadlineSeconds": 600,
        "revisionHistoryLimit": inputs.service.spec.revision_history_limit,
        "template": _template(inputs, component),
    }
    return manifest


def _max_unavailable(inputs: Inputs, component: Component) -> int | str:
    """How many replicas may be missing during a rollout: none, unless the present ones fail their runs. Then
    runs wait meanwhile, and at least half of the replicas that answer requests stay."""
    if not inputs.retreats or component == "api":
        return 0
    return "100%" if inputs.split else "50%"


def first_replicas(service: LangGraphService) -> int:
    """How many replicas a new service starts with."""
    spec = service.spec
    return spec.scaling.min_replicas if spec.scaling.mode == "Auto" else spec.replicas


def image_of(inputs: Inputs) -> str:
    """The image that the pods run."""
    return inputs.service.spec.image or inputs.images.runtime


def _template(inputs: Inputs, component: Component) -> Manifest:
    pod = inputs.service.spec.pod
    spread = pod.topology_spread_constraints
    spec: Manifest = {
        "serviceAccountName": pod.service_account_name or inputs.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security_of(pod, RUNTIME_UID),
        "terminationGracePeriodSeconds": sleep_before_stop(pod)
        + inputs.service.spec.workers.drain_seconds
        + _GRACE_OVER_DRAIN,
        "topologySpreadConstraints": _over_nodes(inputs.name, component) if spread is None else spread,
        "affinity": _over_zones(inputs.name, component) if pod.affinity is None else pod.affinity,
        "tolerations": [*pod.tolerations, *_leave_lost_nodes(pod.tolerations)],
        "containers": [_container(inputs, component), *containers_of(pod.containers)],
        "volumes": [*_volumes(inputs), *pod.volumes],
    } | fields_of(pod)
    annotations = pod.annotations | {CONTENTS_ANNOTATION: inputs.contents}
    if inputs.postgres is not None:
        annotations[CREDENTIALS_ANNOTATION] = inputs.postgres.credentials.digest
    if (forgotten := inputs.service.metadata.annotations.get(FORGET_ANNOTATION)) is not None:
        # Replicas that know the old database are replaced.
        annotations[FORGET_ANNOTATION] = forgotten
    if inputs.managed_redis:
        annotations[REDIS_CREDENTIALS_ANNOTATION] = password_digest(inputs.redis_password)
    given = {name: each for name, each in pod.labels.items() if name not in OF_THE_OPERATOR}
    marks = given | labels(inputs.name, component)
    if inputs.revision is not None:
        marks[REVISION_LABEL] = str(inputs.revision.number)
    if inputs.marks_those_that_answer and component == "runtime":
        marks[ANSWERS_LABEL] = "true"
    return {
        "metadata": {"labels": marks, "annotations": annotations},
        "spec": spec,
    }


def _container(inputs: Inputs, component: Component) -> Manifest:
    pod = inputs.service.spec.pod
    own = inputs.service.spec.api.resources if component == "api" else None
    container: Manifest = {
        "name": CONTAINER,
        "image": image_of(inputs),
        "command": ["lgs-runtime", "serve"],
        "ports": [{"name": "http", "containerPort": RUNTIME_PORT, "protocol": "TCP"}],
        "env": environment(inputs, component),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": _probe("/ok", period=1, timeout=2, failures=_STARTUP_SECONDS),
        "readinessProbe": _probe("/ready", period=2, timeout=2, failures=2),
        "livenessProbe": _probe("/ok", period=10, timeout=5, failures=6),
        "volumeMounts": [*_mounts(inputs), *pod.volume_mounts],
    }
    policy = pod.image_pull_policy or inputs.images.pull_policy
    resources = pod.resources if own is None else own
    optional = {
        "resources": resources,
        "envFrom": pod.env_from,
        "imagePullPolicy": policy,
        "lifecycle": pod.lifecycle,
    }
    if inputs.service.spec.image is None:
        # An image of the application sets its own working folder: its langgraph.json may be below /app.
        optional["workingDir"] = SOURCE_DIR
    return container | {name: value for name, value in optional.items() if value}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _volumes(inputs: Inputs) -> list[Manifest]:
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}, {"name": "data", "emptyDir": {}}]
    source = inputs.service.spec.source
    if source and source.config_map:
        copy = inputs.source_copy or source.config_map
        volumes.append({"name": SOURCE_VOLUME, "configMap": {"name": copy}})
    if (keys := inputs.service.spec.auth.api_keys) is not None:
        # The whole folder is mounted: a file mounted by itself would never change.
        items = [{"key": keys.secret.key, "path": API_KEYS_FILE}]
        volumes.append({"name": "api-keys", "secret": {"secretName": keys.secret.name, "items": items}})
    return volumes


def _mounts(inputs: Inputs) -> list[Manifest]:
    mounts: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "data", "mountPath": DATA_DIR},
    ]
    source = inputs.service.spec.source
    if source and source.config_map:
        mounts.append({"name": SOURCE_VOLUME, "mountPath": SOURCE_DIR, "readOnly": True})
    if inputs.service.spec.auth.api_keys is not None:
        mounts.append({"name": "api-keys", "mountPath": API_KEYS_DIR, "readOnly": True})
    return mounts


def _over_nodes(name: str, component: Component) -> list[Manifest]:
    """Constraints that spread the replicas of one revision as evenly as possible over the nodes.
    They do not name zones: the scheduler would ignore every node without a zone, and so spread
    nothing if there are none."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(name, component)},
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]


def _over_zones(name: str, component: Component) -> Manifest:
    """An affinity that prefers zones with fewer replicas, if nodes have zones."""
    term = {
        "topologyKey": "topology.kubernetes.io/zone",
        "labelSelector": {"matchLabels": selector(name, component)},
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _leave_lost_nodes(given: list[Manifest]) -> list[Manifest]:
    """Tolerations that replace a replica on a lost node soon. A replica keeps nothing on its node, so
    there is no need to wait the five minutes that Kubernetes gives the node. The manifest's own
    tolerations for that win."""
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _LOST_NODE_SECONDS}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        if all((toleration.get("key") or key) != key for toleration in given)
    ]
