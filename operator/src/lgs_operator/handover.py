"""What stays as it is while a service changes its topology, so that a request always meets a replica that
answers it; while it moves from its managed Redis to another; and while replicas can't start. Pure.

To Split: the Service and the replicas that do both jobs stay until a replica that only answers is ready. To
Combined: the Service and the replicas that answer stay until all others do both jobs; the policy of who may
connect to them stays until they have ended. A managed Redis that is no longer wanted stays until the last
replica that uses it is gone: replicas use it as long as the manifest names a Secret that does not exist, and
as long as they drain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from lgs_operator.desired.deployment import CONTAINER, first_replicas
from lgs_operator.desired.environment import ROLE_VARIABLE, WORKER
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.kept import kept_keys
from lgs_operator.desired.revision import revision_of
from lgs_operator.kube.kinds import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    JOB,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    Key,
    Manifest,
    ServiceKey,
)
from lgs_operator.kube.pods import is_ended, is_going, is_ready, reads_secret
from lgs_operator.naming import ANSWERS_LABEL, COMPONENT_LABEL, REPLICAS, object_name
from lgs_operator.status.restore import RestoreView
from lgs_operator.status.rollout import is_rolled_out
from lgs_operator.status.room import lacks_room

OF_THE_API = (DEPLOYMENT, DISRUPTION_BUDGET, NETWORK_POLICY)
OF_REDIS = (DEPLOYMENT, NETWORK_POLICY, SECRET, SERVICE)


def held(
    key: ServiceKey,
    inputs: Inputs,
    live: Mapping[Key, Manifest],
    pods: Collection[Manifest],
    api_pods: Collection[Manifest],
    *,
    lacking: bool,
    paused: bool,
    restore: RestoreView,
    alone: bool = False,
) -> frozenset[Key]:
    """All objects that are neither written nor deleted now. `lacking`: something that the manifest names does
    not exist; with `alone`, it is missing only for the stable revision beside a canary. `paused`: the
    database may not have taken over a new password yet."""
    # pods that can't start are not rolled out: running pods continue with what they have
    waits = paused or restore.waits
    replicas = replicas_of(key) if lacking or waits else frozenset()
    if waits or (lacking and not alone):
        replicas |= canary_of(key, live)
    if waits or lacking:
        replicas |= kept_keys(key, live)
    some_wanted = first_replicas(inputs.service) > 0
    of_topology = kept(key, live, pods, api_pods, split=inputs.split, some_wanted=some_wanted)
    of_redis = (
        frozenset() if inputs.managed_redis else kept_redis(key, live, (*pods, *api_pods), held=lacking)
    )
    return replicas | of_topology | of_redis | _ended_restores(live, restore)


def replicas_of(key: ServiceKey) -> frozenset[Key]:
    """The Deployments of both kinds of replicas, whether they exist or not."""
    return frozenset(Key(DEPLOYMENT, key.namespace, object_name(key.name, each)) for each in REPLICAS)


def kept_canary(
    key: ServiceKey, inputs: Inputs, live: Mapping[Key, Manifest], pods: Iterable[Manifest] = ()
) -> frozenset[Key]:
    """The Deployment of a canary that becomes the whole, until all replicas run its revision: its threads
    stay with it. It goes earlier if the others have no room to start; `pods` are those of the whole."""
    canary, whole = canary_of(key, live), live.get(Key(DEPLOYMENT, *key))
    if inputs.revision is None or whole is None:
        return canary
    number = inputs.revision.number
    if any(revision_of(live[each]["spec"]["template"]) != number for each in canary):
        return frozenset()
    is_begun = revision_of(whole["spec"]["template"]) == number
    is_over = is_begun and (is_rolled_out(whole) or lacks_room(whole, pods))
    return frozenset() if is_over else canary


def canary_of(key: ServiceKey, live: Mapping[Key, Manifest]) -> frozenset[Key]:
    """The Deployment of the canary, if there is one."""
    canary = Key(DEPLOYMENT, key.namespace, object_name(key.name, "canary"))
    return frozenset({canary}) & live.keys()


def kept(
    key: ServiceKey,
    live: Mapping[Key, Manifest],
    pods: Iterable[Manifest],
    api_pods: Iterable[Manifest],
    *,
    split: bool,
    some_wanted: bool,
) -> frozenset[Key]:
    """The objects that are neither written nor deleted now because of a change of topology. `some_wanted`:
    the manifest asks for at least one replica; without one, nothing would ever become ready."""
    service, runtime = Key(SERVICE, *key), Key(DEPLOYMENT, *key)
    if service not in live or runtime not in live:
        return frozenset()
    to_api, of_the_api = leads_to_api(key, live), object_name(key.name, "api")
    api_pods = tuple(api_pods)
    if split and not to_api and not any(map(is_ready, api_pods)):
        return frozenset({service, runtime})
    if not split and to_api and some_wanted and not _all_answer(pods):
        return frozenset({service, *(Key(kind, key.namespace, of_the_api) for kind in OF_THE_API)})
    if not split and api_pods:
        return frozenset({Key(NETWORK_POLICY, key.namespace, of_the_api)})
    return frozenset()


def kept_redis(
    key: ServiceKey, live: Mapping[Key, Manifest], pods: Iterable[Manifest], *, held: bool
) -> frozenset[Key]:
    """The objects of the managed Redis, as long as running replicas use it. `held`: replicas are not rolled
    out now, so replacements of their pods use it, too."""
    name = object_name(key.name, "redis")
    running = (pod for pod in pods if pod.get("status", {}).get("phase") == "Running")
    deployments = (live.get(Key(DEPLOYMENT, key.namespace, object_name(key.name, each))) for each in REPLICAS)
    made = (each["spec"]["template"] for each in deployments if held and each is not None)
    if not any(reads_secret(each, name) for each in (*running, *made)):
        return frozenset()
    return frozenset(Key(kind, key.namespace, name) for kind in OF_REDIS)


def leads_to_api(key: ServiceKey, live: Mapping[Key, Manifest]) -> bool:
    """Whether the Service leads to replicas that only answer requests."""
    chosen = live.get(Key(SERVICE, *key), {}).get("spec", {}).get("selector") or {}
    return bool(chosen.get(COMPONENT_LABEL) == "api")


def leads_to_marked(
    key: ServiceKey, inputs: Inputs, live: Mapping[Key, Manifest], pods: Iterable[Manifest]
) -> bool:
    """Whether the Service may lead to the replicas alone that have the label of those that answer: once all
    of the service's own `pods` have it, and from then on."""
    if not inputs.marks_those_that_answer:
        return False
    chosen = live.get(Key(SERVICE, *key), {}).get("spec", {}).get("selector") or {}
    staying = [pod["metadata"].get("labels", {}) for pod in pods if not is_going(pod) and not is_ended(pod)]
    are_all = bool(staying) and all(ANSWERS_LABEL in labels for labels in staying)
    return ANSWERS_LABEL in chosen or are_all


def _ended_restores(live: Mapping[Key, Manifest], restore: RestoreView) -> frozenset[Key]:
    """The Jobs of a finished restore: they stay for their logs, and go by themselves."""
    return frozenset(key for key in live if key.kind == JOB and restore.result is not None)


def _all_answer(pods: Iterable[Manifest]) -> bool:
    """Whether some replicas take work, and none of those that stay would refuse a request."""
    staying = [pod for pod in pods if not is_going(pod) and not is_ended(pod)]
    return any(map(is_ready, staying)) and not any(map(_only_executes, staying))


def _only_executes(pod: Manifest) -> bool:
    containers = pod.get("spec", {}).get("containers", [])
    worker = {"name": ROLE_VARIABLE, "value": WORKER}
    return any(worker in each.get("env", []) for each in containers if each.get("name") == CONTAINER)
