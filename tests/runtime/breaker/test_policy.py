"""What can't work is refused where the breaker is made, with its name, its value and the rule."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_runtime.breaker import CircuitBreaker


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"failure_threshold": -0.1},
            "failure_threshold: -0.1: must be above 0 and at most 1; it is a share",
        ),
        ({"failure_threshold": 0}, "failure_threshold: 0: must be above 0"),
        ({"failure_threshold": 5}, "failure_threshold: 5: must be above 0 and at most 1; it is a share"),
        ({"failure_threshold": float("nan")}, "failure_threshold: nan: must be a number"),
        ({"failure_threshold": "0.5"}, "failure_threshold: '0.5': must be a number"),
        ({"failure_threshold": True}, "failure_threshold: True: must be a number"),
        ({"recovery_timeout": 10**400}, "recovery_timeout: 10+: must be above 0 and at most 86400"),
        ({"clock": 7}, "clock: 7: must be a function that returns seconds"),
        ({"max_concurrent": 2, "max_wait_seconds": False}, "max_wait_seconds: False: must be a number"),
        ({"slow_call_threshold": 1.1}, "slow_call_threshold: 1.1: must be above 0 and at most 1"),
        ({"slow_call_seconds": 0}, "slow_call_seconds: 0: must be above 0"),
        ({"window_seconds": 0}, "window_seconds: 0: must be above 0"),
        ({"window_seconds": float("inf")}, "window_seconds: inf: must be above 0 and at most 86400"),
        ({"recovery_timeout": -1}, "recovery_timeout: -1: must be above 0"),
        ({"minimum_calls": 0}, "minimum_calls: 0: must be at least 1"),
        ({"minimum_calls": 2.5}, "minimum_calls: 2.5: must be a whole number"),
        ({"probes": 0}, "probes: 0: must be at least 1"),
        ({"max_concurrent": 0}, "max_concurrent: 0: must be at least 1"),
        (
            {"max_concurrent": 2, "max_wait_seconds": -1},
            "max_wait_seconds: -1: must be above 0 and at most 86400, or 0",
        ),
        ({"max_wait_seconds": 1}, "max_wait_seconds: 1: needs max_concurrent"),
        ({"timeout": 0}, "timeout: 0: must be above 0"),
        ({"ignore": "ValueError"}, "ignore: 'ValueError': must be exception classes"),
        ({"ignore": (ValueError, 3)}, r"ignore: .*: must be exception classes"),
        ({"name": " "}, "name: ' ': must be a text"),
        ({"name": "shop \ud800"}, "name: 'shop .ud800': must be a text"),
    ],
)
def test_what_can_not_work_is_refused_by_name_value_and_rule(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CircuitBreaker(**given)


def test_two_breakers_of_one_name_must_agree() -> None:
    CircuitBreaker("agreed", recovery_timeout=30)

    with pytest.raises(ValueError, match="recovery_timeout: 60: circuit 'agreed' has 30; give both the same"):
        CircuitBreaker("agreed", recovery_timeout=60)


def test_a_time_out_needs_something_that_can_be_cut() -> None:
    breaker = CircuitBreaker("cut", timeout=1.0)

    with pytest.raises(ValueError, match=r"timeout: 1\.0: needs an async function"):
        breaker(lambda: None)
    with pytest.raises(ValueError, match=r"timeout: 1\.0: needs `async with`"), breaker:
        pass


def test_a_function_can_not_wait_for_a_fallback() -> None:
    async def later(_: Exception) -> str:
        return "later"

    with pytest.raises(ValueError, match=r"fallback: .*: must not be async"):
        CircuitBreaker("waits", fallback=later)(lambda: "now")


def test_what_is_no_function_is_not_decorated() -> None:
    with pytest.raises(TypeError, match="decorates functions, not 3"):
        CircuitBreaker("no-function")(3)  # type: ignore[type-var]
