"""Pods drawn in every state that a cluster can leave them in, and some that it should not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from support.drawn_manifests import TEXTS

WORDS = TEXTS | st.sampled_from(
    ["OOMKilled", "Error", "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"]
)
WAITING = st.sampled_from(["CrashLoopBackOff", "ImagePullBackOff", "CreateContainerConfigError", "", "Odd"])
TRUTHS = st.sampled_from(["True", "False", "Unknown", ""])


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields; all of them are optional in Kubernetes' own types."""
    return st.fixed_dictionaries({}, optional=fields)


ENDED = _some(exitCode=st.sampled_from([0, 1, 137, -1, 255]), reason=WORDS, message=WORDS)
STATE = _some(waiting=_some(reason=WAITING, message=WORDS), terminated=ENDED, running=st.just({}))
CONTAINER = _some(
    name=st.sampled_from(["runtime", "postgres", "other(", ""]),
    image=WORDS,
    ready=st.booleans(),
    started=st.booleans(),
    state=STATE,
    lastState=_some(terminated=ENDED),
)
CONDITION = _some(
    type=st.sampled_from(["Ready", "PodScheduled", "Odd"]), status=TRUTHS, reason=WORDS, message=WORDS
)
STATUS = _some(
    phase=st.sampled_from(["Pending", "Running", "Failed", "Succeeded", "Unknown"]),
    conditions=st.lists(CONDITION, max_size=3),
    containerStatuses=st.lists(CONTAINER, max_size=2),
    initContainerStatuses=st.lists(CONTAINER, max_size=1),
    podIP=st.sampled_from(["10.0.0.1", "fd00::1", "", "../x", "0.0.0.0", "1.2.3.4%eth0"]),
)
LIMITED = "LimitRanger plugin set: cpu, memory limit for container runtime; memory request for container x"


def pods(component: str = "runtime") -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    """Some pods of a component of the service `support`."""
    labels = {"lgs.dev/service": "support", "app.kubernetes.io/component": component}
    metadata = st.fixed_dictionaries(
        {"name": st.sampled_from(["support-1", "support-2"]), "labels": st.just(labels)},
        optional={
            "annotations": st.sampled_from([{}, {"kubernetes.io/limit-ranger": LIMITED}]),
            "creationTimestamp": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]),
            "deletionTimestamp": st.just("2026-01-01T00:00:00Z"),
        },
    )
    pod = st.fixed_dictionaries({"metadata": metadata}, optional={"status": STATUS})
    return st.lists(pod, max_size=3).map(tuple)
