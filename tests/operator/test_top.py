"""`lgs top`: the services of a cluster at a glance, those in need first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from lgs_operator.commands import top
from lgs_operator.commands.top import rows, screen
from lgs_operator.kube.errors import KubeError

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SERVING = {"type": "Ready", "status": "True", "reason": "Serving"}
DOWN = {"type": "Ready", "status": "False", "reason": "DatabaseDown"}
LIMITED = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}


def service(name: str, *conditions: dict[str, Any], mode: str = "Auto", **status: Any) -> dict[str, Any]:
    """One of which the operator has said this; nothing at all without conditions."""
    said = {
        "conditions": list(conditions),
        "readyReplicas": 3,
        "desiredReplicas": 4,
        "queue": 5,
        "p95": "8.10s",
        "scaling": {
            "reason": "7 slots are in use",
            "decidedAt": "2030-01-01T11:59:55Z",
            "inputs": {"slotsInUse": 7, "slots": 8, "oldestSeconds": 0.25, "arrivalsPerSecond": 3.2},
        },
    }
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"scaling": {"mode": mode}},
        "status": said | status if conditions else {},
    }


def printed(*services: dict[str, Any], trouble: str = "", **options: Any) -> str:
    out = StringIO()
    shown = screen(
        rows(services, NOW), NOW, with_namespace=options.get("with_namespace", False), trouble=trouble
    )
    Console(file=out, width=200).print(shown)
    return out.getvalue()


def test_a_row_has_what_the_operator_said_last() -> None:
    [row] = rows([service("support", SERVING)], NOW)

    assert (row.name, row.ready, row.in_use, row.waiting) == ("support", "3/4", "7/8", "5")
    assert (row.oldest, row.rate, row.p95, row.wrong) == ("0.25s", "3.2", "8.10s", "")
    assert row.decided == "7 slots are in use (5 s ago)"


def test_those_that_do_not_serve_come_first_then_those_with_trouble_then_the_longest_queues() -> None:
    given = [
        service("calm", SERVING, queue=0),
        service("busy", SERVING, queue=90),
        service("limited", SERVING, LIMITED, queue=1),
        service("down", DOWN, queue=2),
        service("unseen"),
    ]

    found = rows(given, NOW)

    assert [row.name for row in found] == ["down", "unseen", "limited", "busy", "calm"]
    assert [row.wrong for row in found[:3]] == [
        "Ready: DatabaseDown",
        "no operator has said anything of it yet",
        "ScalingLimited: TooManyReplicas",
    ]


def test_what_nobody_has_said_is_no_zero() -> None:
    [row] = rows([service("support", SERVING, scaling=None, queue=None, p95=None, readyReplicas=None)], NOW)

    assert (row.ready, row.in_use, row.waiting, row.p95) == ("?/4", "?/?", "?", "?")


def test_a_decision_that_does_not_count_is_not_shown_as_if_it_did() -> None:
    [row] = rows([service("support", SERVING, mode="Manual")], NOW)

    assert row.decided == "by scaling.mode Manual"


def test_what_a_service_says_is_printed_as_it_is() -> None:
    hostile = service("support", {**DOWN, "reason": "[bold]x[/bold]"})

    assert "Ready: [bold]x[/bold]" in printed(hostile)


def test_a_service_is_a_line_however_narrow_the_terminal_is() -> None:
    out = StringIO()
    found = rows([service("support", DOWN), service("sales", SERVING)], NOW)

    Console(file=out, width=90).print(screen(found, NOW, with_namespace=False))

    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["support", "sales"]
    assert "8.10s" in lines[2], "numbers are whole"
    assert lines[2].rstrip().endswith("…"), "texts are cut"


def test_namespaces_are_shown_where_there_may_be_several() -> None:
    assert "shop" not in printed(service("support", SERVING))
    assert "shop" in printed(service("support", SERVING), with_namespace=True)


def test_a_namespace_without_services_says_so() -> None:
    assert printed() == "there is no LangGraphService\n"


class Screen(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


async def test_what_was_seen_last_stays_while_the_api_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [
        [service("support", SERVING)],
        KubeError(0, "NoAnswer", "nobody there"),
        [service("later", SERVING)],
    ]

    async def read() -> list[dict[str, Any]]:
        if not answers:
            raise asyncio.CancelledError
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    @asynccontextmanager
    async def services_in(
        namespace: str | None, *, everywhere: bool
    ) -> AsyncIterator[Callable[[], Awaitable[list[dict[str, Any]]]]]:
        yield read

    monkeypatch.setattr(top, "services_in", services_in)
    out = Screen()
    console = Console(file=out, width=200, force_terminal=True)

    with pytest.raises(asyncio.CancelledError):
        await top.show(console, "shop", everywhere=False, every=0.001)

    first, away, later = (out.getvalue().index(said) for said in ("support", "nobody there", "later"))
    assert first < away < later
    assert out.getvalue().index("support", first + 1) < away, "the table stays above what is wrong"


def test_a_service_with_objectives_shows_what_is_left_of_its_error_budget() -> None:
    kept = {"budgetLeft": "-12.5%", "objectives": []}
    told, silent, none = (
        service("support", SERVING, **({"slo": kept} if told else {})) for told in (1, 0, 0)
    )
    for each in (told, silent):
        each["spec"]["observability"] = {"slo": {"availability": 0.99}}

    assert [rows([each], NOW)[0].budget for each in (told, silent, none)] == ["-12.5%", "?", ""]
    assert "error budget" in printed(told) and "-12.5%" in printed(told)


def test_the_words_of_others_command_no_terminal() -> None:
    decided = {
        "reason": "1 of the replicas gave no data (\x1b[2J\u202e)",
        "decidedAt": "2030-01-01T11:59:55Z",
    }

    shown = printed(service("support", SERVING, scaling=decided), trouble="refused: \x9b2J")

    assert "gave no data (\\x1b[2J\\u202e)" in shown
    assert "refused: \\x9b2J" in shown
