"""Signals between replicas, as both storages send them."""

from __future__ import annotations

from lgs_runtime.model import Signal
from lgs_runtime.storage.notifications import packed, unpacked


def test_signals_travel_without_doubles_and_in_payloads_that_fit() -> None:
    signals = [Signal("finished", f"{'x' * 36}{number % 120}") for number in range(200)]

    payloads = packed(signals)

    assert [signal for payload in payloads for signal in unpacked(payload)] == signals[:120]
    assert max(len(payload) for payload in payloads) < 8000
    assert unpacked("hello world") == []
