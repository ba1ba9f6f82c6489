"""`lgs why`: a service's replicas and why, its conditions, and what happened to it, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lgs_operator.commands.why import explanation

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
REASON = "3.2 runs/s of 2.1 s keep 7 slots in use: 4 replicas of 2 slots"


def service(*conditions: dict[str, Any], mode: str = "Auto", **status: Any) -> dict[str, Any]:
    """A service of which the operator has said this."""
    given = {
        "observedGeneration": 2,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Serving"}, *conditions],
        "readyReplicas": 3,
        "desiredReplicas": 4,
        "queue": 5,
        "p95": "8.10s",
        "scaling": {"desiredReplicas": 4, "reason": REASON, "decidedAt": "2030-01-01T11:59:55Z"},
    }
    return {"metadata": {"generation": 2}, "spec": {"scaling": {"mode": mode}}, "status": given | status}


def event(reason: str, at: str, **more: Any) -> dict[str, Any]:
    return {"reason": reason, "message": f"{reason} it was", "lastTimestamp": f"2030-01-01T{at}Z"} | more


def lines(given: dict[str, Any], *events: dict[str, Any], **options: Any) -> list[str]:
    return list(explanation("support", given, events, NOW, **options))


def test_the_last_decision_is_said_with_its_reason_and_age() -> None:
    assert lines(service()) == [
        "support: 3 of 4 replicas take work, 5 runs wait, p95 8.10s",
        "replicas: 4 wanted, decided 5 s ago",
        f"  {REASON}",
        "conditions: nothing to say",
    ]


def test_what_happened_is_said_from_the_newest_on_with_how_often_and_no_more_than_is_asked_for() -> None:
    happened = (
        event("ScaledIn", "09:00:00"),
        event("ScaledOut", "11:50:00", count=3),
        event("Serving", "11:59:00"),
        {"reason": "Odd", "message": "without a time"},
    )

    assert lines(service(), *happened, shown=3)[-4:] == [
        "what happened, the newest first:",
        "  60 s ago: Serving: Serving it was",
        "  10 min ago, 3 times: ScaledOut: ScaledOut it was",
        "  3 h ago: ScaledIn: ScaledIn it was",
    ]
    assert lines(service(), *happened)[-1] == "  at an unknown time: Odd: without a time"
    assert lines(service(), *happened, shown=0)[-1] == "conditions: nothing to say"


@pytest.mark.parametrize(
    ("kind", "status", "reason", "said"),
    [
        ("Ready", "False", "ImagePull", True),
        ("Ready", "False", "Starting", True),
        ("ScalingLimited", "True", "AtMaximum", True),
        ("ScalingLimited", "False", "NotLimited", False),
        ("Alerting", "True", "AlertsFiring", True),
        ("Alerting", "False", "NoneFiring", False),
        ("Progressing", "False", "Complete", False),
        ("Progressing", "True", "RollingOut", False),
        ("ScalingActive", "False", "Manual", False),
        ("Healthy", "Unknown", "Unverified", False),
    ],
)
def test_a_condition_is_said_where_something_is_not_as_it_should_be(
    kind: str, status: str, reason: str, said: bool
) -> None:
    given = {"type": kind, "status": status, "reason": reason, "message": "words"}
    moment = {"lastTransitionTime": "2030-01-01T11:00:00Z"}

    found = [each for each in lines(service(given | moment)) if kind in each]

    assert found == ([f"  {kind} is {status} for 60 min, {reason}: words"] if said else [])


def test_a_service_that_nobody_has_looked_at_says_what_to_ask_for() -> None:
    [said] = lines({"metadata": {"generation": 1}, "spec": {}})

    assert "no operator has said anything of it yet" in said and "spec.operatorClass" in said


def test_a_change_that_was_not_acted_on_is_named() -> None:
    given = service() | {"metadata": {"generation": 3}}

    assert "  the manifest's last change (generation 3) has not been acted on yet" in lines(given)


def test_a_mode_in_which_the_law_does_not_scale_is_named() -> None:
    assert "replicas: 4 by scaling.mode Manual; the law's own view, 5 s ago:" in lines(service(mode="Manual"))
    undecided = service(scaling=None)
    assert "replicas: nothing is decided yet (scaling.mode: Auto)" in lines(undecided)
