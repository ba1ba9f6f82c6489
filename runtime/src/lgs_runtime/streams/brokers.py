"""Opens the stream broker that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable

from lgs_runtime.settings import Settings
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.streams.local import LocalBroker
from lgs_runtime.streams.memory import MemoryBroker


def open_broker(settings: Settings, failed: Callable[[], None]) -> StreamBroker:
    """A broker over Redis if one is configured, over a file if several processes share the port, else in
    memory.

    `failed` is called for each publication that the broker did not take.
    """
    if settings.redis_uri is not None:
        from lgs_runtime.streams.redis import RedisBroker  # noqa: PLC0415 - load only the drivers in use

        return RedisBroker.connect(settings.redis_uri, settings.service, failed)
    if settings.reuse_port:
        return LocalBroker(settings.data_dir / "streams.db", failed)
    return MemoryBroker()
