"""A small play of the centre from end to end: the real application under `lgs up`, a replica is killed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench.centre.panel import panel
from bench.centre.play import Asked, played
from bench.centre.service import Size, centre
from bench.centre.story import Act

PROC = Path("/proc")


def test_sessions_of_a_replica_that_is_killed_come_to_their_right_answers() -> None:
    asked = Asked(customers=6, rate=3.0, seconds=6.0, seed=1, size=Size(1, 2, 10), eventful=False)
    with ExitStack() as stack:
        service = stack.enter_context(centre(asked.size, more={"LGS_LEASE_SECONDS": "2"}))

        account = played(stack, service, asked, [Act(1.0, "a replica is killed", service.kill)])

        pids = [service.up.pid, service.postgres_pid, *(each.pid for each in service.replicas())]
        assert all((PROC / str(pid)).exists() for pid in pids)

    assert account.wrong == []
    assert len(account.turns) >= 18
    assert account.interrupted
    assert account.recovered == len(account.interrupted)
    assert "as their replica was killed" in panel(account)
    assert any("was killed by SIGKILL" in each.text for each in account.happenings)
    assert [pid for pid in pids if (PROC / str(pid)).exists()] == []
