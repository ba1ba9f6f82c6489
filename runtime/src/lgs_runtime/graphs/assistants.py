"""Assistants as they were read last, for runs that are made from them by the hundred a second.

What is kept may be old: a run says as of when it was made, and the storage refuses it when the assistant was
changed since (`NewRun.assistant_as_of`). So no replica needs to be notified when an assistant changes.
"""

from __future__ import annotations

from collections import OrderedDict

from lgs_runtime.model import Assistant
from lgs_runtime.storage.contract import Assistants

KEPT = 1000


class KnownAssistants:
    """Assistants by id, the least recently used dropped first."""

    def __init__(self, assistants: Assistants) -> None:
        self._assistants = assistants
        self._known: OrderedDict[str, Assistant] = OrderedDict()

    async def get(self, assistant_id: str) -> Assistant:
        """An assistant, perhaps as it was some time ago. Raises `NotFound`, `StorageUnavailable`."""
        known = self._known.get(assistant_id)
        if known is None:
            known = self._known[assistant_id] = await self._assistants.get(assistant_id)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(assistant_id)
        return known

    def forget(self, assistant_id: str) -> None:
        """Reads it anew when it is wanted next."""
        self._known.pop(assistant_id, None)
