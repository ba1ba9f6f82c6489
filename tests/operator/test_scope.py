"""Which namespaces are a cluster-wide operator's: not those that an installation of their own has claimed, as
long as that lives."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from lgs_operator.kube import scope as scopes
from lgs_operator.kube.scope import OperatorScope
from lgs_operator.settings import from_environment
from support.waiting import until

SERVICE = {"metadata": {"namespace": "team"}, "spec": {}}


class Claims:
    """The watched claims, on a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.claim: dict[str, Any] = {}
        self.changed: list[str] = []
        self.rounds = 0
        monkeypatch.setattr(scopes, "_now", lambda: self.now)
        monkeypatch.setattr(scopes, "asyncio", SimpleNamespace(sleep=self.pause))
        monkeypatch.setenv("LGS_OPERATOR_CLAIM_SECONDS", "0.01")
        self.scope = OperatorScope(object(), from_environment())  # type: ignore[arg-type]
        self.scope.changed = self.changed.append
        (self.informer,) = self.scope.informers
        self.informer.followed_since = 0.0

    def are(self, version: str, holder: str) -> None:
        metadata = {"namespace": "team", "name": "claim", "resourceVersion": version}
        self.claim = {
            "metadata": metadata | {"labels": {"lgs.dev/operator-class": "default"}},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 300},
        }
        self.informer._take(self.claim)

    async def pause(self, seconds: float) -> None:
        """Before each look at the claims."""
        self.rounds += 1
        await asyncio.sleep(seconds)

    async def seen_at(self, now: float) -> bool:
        """Whether the services of the namespace are ours then."""
        self.now = now
        noticing = asyncio.create_task(self.scope.run())
        before = self.rounds
        await until(lambda: self.rounds >= before + 2)  # the first of them is over then
        noticing.cancel()
        return self.scope.serves(SERVICE)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Claims:
    return Claims(monkeypatch)


async def test_a_claim_that_nobody_renews_any_more_is_void_and_counts_again_when_it_is(
    claims: Claims,
) -> None:
    claims.are("5", "team/own")
    assert not await claims.seen_at(1200)
    claims.are("6", "team/own")
    claims.are("6", "team/own")  # listed anew
    assert not await claims.seen_at(1450)
    claims.changed.clear()

    assert await claims.seen_at(1501)
    assert claims.changed == ["team"]
    claims.are("7", "team/own")
    assert not claims.scope.serves(SERVICE)


async def test_a_claim_counts_on_while_nobody_can_reach_the_api_server(claims: Claims) -> None:
    claims.are("5", "team/own")

    claims.informer.followed_since = None
    assert not await claims.seen_at(5000)
    claims.informer.followed_since = 5000.0
    assert not await claims.seen_at(5200)
    assert await claims.seen_at(5301)


async def test_a_claim_that_is_gone_does_not_end_a_second_time(claims: Claims) -> None:
    claims.are("5", "team/own")
    claims.informer._drop(claims.claim)
    claims.informer._changed(claims.claim)
    assert claims.scope.serves(SERVICE)
    claims.changed.clear()

    assert await claims.seen_at(5000)
    assert claims.changed == []
