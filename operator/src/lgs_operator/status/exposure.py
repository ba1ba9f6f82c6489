"""The condition Exposed: whether clients outside of the cluster can reach a service, as the
controllers of its Ingress and HTTPRoute report. Pure; it does not affect the other conditions, as
clients inside can reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from lgs_crds.reasons import Reason
from lgs_crds.status import Condition, Status, Truth, condition
from lgs_operator.kube.kinds import HTTP_ROUTE, INGRESS, Manifest
from lgs_operator.status.diagnosis import LONGEST_QUOTE, Diagnosis

ASKED_OF_A_ROUTE: Final = ("Accepted", "ResolvedRefs")
"""The conditions that a Gateway's controller must report of a route before it is served
(https://gateway-api.sigs.k8s.io/reference/spec/#routeconditiontype)."""


@dataclass(frozen=True)
class ExposureView:
    """The wanted objects as they are in the cluster; `lacking` says why some could not be created."""

    routes: tuple[Manifest, ...] = ()
    lacking: Diagnosis | None = None


def exposed(view: ExposureView | None, before: Status) -> Iterator[Condition]:
    """One condition, or none if nothing is wanted. Without a `view` it stays as it was reported last."""
    if view is None:
        yield from (each for each in before.conditions if each.type == "Exposed")
        return
    if view.lacking is not None:
        yield condition("Exposed", "False", view.lacking.reason, view.lacking.message)
        return
    said = sorted(
        (_SAID[each["kind"]](each) for each in view.routes), key=lambda each: _WORST.index(each.status)
    )
    of_worst = [each for each in said if each.status == said[0].status]
    if of_worst:
        words = "; ".join(each.message for each in of_worst)
        yield condition("Exposed", of_worst[0].status, of_worst[0].reason, words)


class _Said(NamedTuple):
    status: Truth
    reason: Reason
    message: str


def _of_ingress(there: Manifest) -> _Said:
    spec, name = there["spec"], there["metadata"]["name"]
    given = there.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    addresses = ", ".join(filter(None, (each.get("hostname") or each.get("ip") for each in given)))
    if not addresses:
        kind = spec.get("ingressClassName")
        of_class = f"class {kind}" if kind else "the cluster's default class"
        words = f"no controller has given Ingress {name} an address: is there one for {of_class}?"
        return _Said("Unknown", "RoutePending", words)
    scheme = "https" if spec.get("tls") else "http"
    hosts = ", ".join(f"{scheme}://{rule['host']}" for rule in spec["rules"])
    return _Said("True", "Routed", f"{hosts} at {addresses[:LONGEST_QUOTE]} by Ingress {name}")


def _of_route(there: Manifest) -> _Said:
    name, here = there["metadata"]["name"], there["metadata"]["namespace"]
    silent = list[str]()
    for parent in there["spec"]["parentRefs"]:
        gateway, answers = _parent_words(parent), _answers(there, _place(parent, here))
        if any(_takes_it(each) for each in answers):
            continue
        refusals = [
            each[wanted] for each in answers for wanted in ASKED_OF_A_ROUTE if _is(each, wanted, "False")
        ]
        if refusals:
            why = f"{refusals[0].get('reason')}: {refusals[0].get('message')}"
            words = f"{gateway} does not take HTTPRoute {name}: {why[:LONGEST_QUOTE]}"
            return _Said("False", "NotAccepted", words)
        silent.append(gateway)
    if silent:
        words = (
            f"{', '.join(silent)} has not answered HTTPRoute {name}: is it there, and does a controller run?"
        )
        return _Said("Unknown", "RoutePending", words)
    gateways = ", ".join(_parent_words(each) for each in there["spec"]["parentRefs"])
    hosts = ", ".join(there["spec"].get("hostnames") or ["its hosts"])
    return _Said("True", "Routed", f"{hosts} at {gateways} by HTTPRoute {name}")


_Answer = Mapping[str, Mapping[str, Any]]
"""The current conditions of a parent, by their type."""


def _answers(there: Manifest, place: tuple[object, ...]) -> list[_Answer]:
    """What each controller says of this parent. There may be several: what a Gateway's earlier controller
    said stays, as each controller takes away its own words alone."""
    here = there["metadata"]["namespace"]
    return [
        {each["type"]: each for each in said.get("conditions") or [] if _is_current(each, there)}
        for said in there.get("status", {}).get("parents") or []
        if _place(said["parentRef"], here) == place
    ]


def _takes_it(answer: _Answer) -> bool:
    return _is(answer, "Accepted", "True") and not _is(answer, "ResolvedRefs", "False")


def _is(answer: _Answer, kind: str, status: Truth) -> bool:
    return answer.get(kind, {}).get("status") == status


def _place(parent: Mapping[str, Any], here: str) -> tuple[object, ...]:
    return (
        parent["name"],
        parent.get("namespace") or here,
        parent.get("sectionName"),
        parent.get("port"),
    )


def _parent_words(parent: Mapping[str, Any]) -> str:
    where = f"{parent['namespace']}/" if parent.get("namespace") else ""
    which = f", listener {parent['sectionName']}" if parent.get("sectionName") else ""
    return f"Gateway {where}{parent['name']}{which}"


def _is_current(said: Mapping[str, Any], there: Manifest) -> bool:
    return bool(said.get("observedGeneration", 0) >= there["metadata"].get("generation", 0))


_WORST: Final[tuple[Truth, ...]] = ("False", "Unknown", "True")
_SAID: Final[Mapping[str, Callable[[Manifest], _Said]]] = {
    INGRESS.name: _of_ingress,
    HTTP_ROUTE.name: _of_route,
}
