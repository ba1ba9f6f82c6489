"""A cache of assistants, for runs that are made from the same assistant hundreds of times a second.

A cached assistant may be outdated: a run says as of when its assistant was read, and the storage refuses it
if the assistant has changed since (`NewRun.assistant_as_of`). So no replica needs to be notified when an
assistant changes.
"""

from __future__ import annotations

from collections import OrderedDict

from lgs_runtime.model import Assistant
from lgs_runtime.storage.contract import Assistants

KEPT = 1000


class KnownAssistants:
    """Assistants by id; the least recently used ones are dropped first."""

    def __init__(self, assistants: Assistants) -> None:
        self._assistants = assistants
        self._known: OrderedDict[str, Assistant] = OrderedDict()

    async def get(self, assistant_id: str) -> Assistant:
        """An assistant, perhaps an outdated version. Raises `NotFound`, `StorageUnavailable`."""
        known = self._known.get(assistant_id)
        if known is None:
            known = self._known[assistant_id] = await self._assistants.get(assistant_id)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(assistant_id)
        return known

    def forget(self, assistant_id: str) -> None:
        """Drops an assistant, so that it is read again when it is next needed."""
        self._known.pop(assistant_id, None)
