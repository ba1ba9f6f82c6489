"""Signals between replicas, as both storages send them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from lgs_runtime.model import Signal
from lgs_runtime.storage.notifications import packed, unpacked
from lgs_runtime.storage.sqlite.signals import SqliteSignals, folder_of
from support.waiting import until


def test_signals_travel_without_doubles_and_in_payloads_that_fit() -> None:
    signals = [Signal("finished", f"{'x' * 36}{number % 120}") for number in range(200)]

    payloads = packed(signals)

    assert [signal for payload in payloads for signal in unpacked(payload)] == signals[:120]
    assert max(len(payload) for payload in payloads) < 8000
    assert unpacked("hello world") == []


async def test_a_process_that_is_too_busy_to_take_more_gets_the_rest_when_it_can(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "queue.db")
    folder.mkdir(parents=True, exist_ok=True)
    signals, heard = SqliteSignals(folder), list[Signal]()
    sent = [Signal("queued", str(number)) for number in range(800)]

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as busy:
        busy.setblocking(False)
        busy.bind(str(folder / "busy.sock"))

        def take() -> int:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.extend(unpacked(busy.recv(65_536).decode()))
            return len(heard)

        for signal in sent:
            signals.send(signal)
            await asyncio.sleep(0)
        assert take() < len(sent), "the premise: its socket was full"

        await until(lambda: take() == len(sent))

    assert heard == sent
    signals.close()
