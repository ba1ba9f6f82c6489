"""Encodes values of a graph's state as text in an archive, and decodes them: LangGraph's msgpack, never
pickle.

An archive may only name types that this service knows: LangGraph's, LangChain's, and those in the schemas of
its graphs. With any other type a document could run code here.
"""

from __future__ import annotations

import binascii
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Final

from langgraph._internal._serde import build_serde_allowlist
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener

from lgs_runtime.checkpoint.serializer import Serializer
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.graphs.schemas import Graph

SAFE_FORMS: Final = frozenset({"null", "bytes", "bytearray", "msgpack"})
BLOCKED: Final = frozenset({"msgpack_blocked", "msgpack_method_blocked"})


class ValueCodec:
    """The codec of archived values. `trusted`: the document is trusted like the database itself, so all types
    are allowed."""

    def __init__(self, graphs: Iterable[Graph] = (), *, trusted: bool = False) -> None:
        allowed: Any = True if trusted else tuple(_types_of(graphs))
        self._serde = Serializer(allowed_msgpack_modules=allowed)

    def dump(self, value: Any, place: str) -> list[str]:
        """The form and the base64 text of a value. Raises `InvalidRequest` for a value that only pickle could
        encode."""
        try:
            form, raw = self._serde.dumps_typed(value)
        except (TypeError, ValueError) as unknown:
            raise InvalidRequest(
                f"{place}: {type(value).__name__}: can't be exported: {unknown}"
            ) from unknown
        return [form, b64encode(raw).decode()]

    def load(self, given: Any, place: str) -> Any:
        """The value of a pair of form and base64 text. Raises `InvalidRequest`."""
        if not (isinstance(given, list) and len(given) == 2 and all(isinstance(part, str) for part in given)):
            raise InvalidRequest(f"{place}: {given!r:.80}: must be a pair of form and base64")
        form, text = given
        if form not in SAFE_FORMS:
            raise InvalidRequest(f"{place}: form {form!r}: must be one of {', '.join(sorted(SAFE_FORMS))}")
        try:
            raw = b64decode(text, validate=True)
        except binascii.Error as wrong:
            raise InvalidRequest(f"{place}: {text[:40]!r}: must be base64") from wrong
        return self._decoded(form, raw, place)

    def _decoded(self, form: str, raw: bytes, place: str) -> Any:
        blocked: list[str] = []
        own = threading.get_ident()

        def listen(event: SerdeEvent) -> None:
            if event["kind"] in BLOCKED and threading.get_ident() == own:
                blocked.append(f"{event['module']}.{event['name']}")

        forget = register_serde_event_listener(listen)
        try:
            value = self._serde.loads_typed((form, raw))
        except Exception as wrong:
            # Any error of the decoder is the fault of these bytes, which come from outside.
            raise InvalidRequest(f"{place}: {len(raw)} bytes: must be a value in msgpack: {wrong}") from wrong
        finally:
            forget()
        if blocked:
            raise InvalidRequest(
                f"{place}: type {blocked[0]}: must be in the schema of the thread's graph; an operator can "
                "bring it in with `lgs-runtime import`"
            )
        return value


def _types_of(graphs: Iterable[Graph]) -> set[tuple[str, ...]]:
    allowed = build_serde_allowlist()
    for graph in graphs:
        schemas = getattr(getattr(graph, "builder", None), "schemas", {})
        allowed |= build_serde_allowlist(schemas=list(schemas), channels=dict(graph.channels))
    return allowed
