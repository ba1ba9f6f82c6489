"""Calls the application's handlers in the way that `langgraph_sdk.Encryption` promises.

A sealed document has the same keys as the plain one, and in addition the context that it was sealed with. In
metadata the context is stored beside each key: databases merge metadata key by key, so parts of one document
may have been sealed at different times, or not at all. A value without a context was stored before encryption
was set up, and is returned as it is.

A handler that raises becomes an `EncryptionFailed` that names the model, the field and the kind of error, but
not its text, which may hold the data to be hidden.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
import structlog
from langgraph_sdk import Encryption, EncryptionContext
from langgraph_sdk.encryption.types import DecryptResult

from lgs_runtime.database.json_columns import dump, load
from lgs_runtime.encryption.context import encryption_context
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.model import Json

MARK: Final = "__encryption_context__"
"""Key of the context, beside the sealed data. Alone it is the context of a whole document; `….key` that of
one key."""
CARRIED: Final = "__blob_encryption_context__"
"""Key in a run's kwargs and a cron's payload: the context to seal their checkpoints with."""
ESCAPE: Final = "__escaped__"
"""Prefix of the application's own keys that would be taken for the keys above."""
TEXT: Final = "lgs-encrypted:"
BLOB: Final = b"lgs-encrypted-blob:"
DOCUMENT: Final = b"lgs-encrypted-json:"

NESTED: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("run", "kwargs"): ("input", "config", "context", "command"),
    ("run", "config"): ("configurable", "metadata"),
    ("cron", "payload"): ("metadata", "context", "input", "config", "command"),
    ("cron", "config"): ("configurable", "metadata"),
    ("assistant", "config"): ("configurable", "metadata"),
    ("thread", "config"): ("configurable",),
}
"""Objects inside of a document that handlers get separately, under their own names."""

IDS: Final = frozenset({"thread_id", "run_id", "assistant_id", "checkpoint_id", "task_id", "cron_id"})
OF_CHECKPOINTS: Final = frozenset(
    {"source", "step", "parents", "attempt", "run_attempt", "counters_since_delta_snapshot"}
)
_Result = TypeVar("_Result")
log = structlog.get_logger(__name__)


def stays_plain(model: str, field: str, name: str, value: Any) -> bool:
    """Whether a key is the service's own, by which it finds records. A key of the same name that the
    application fills with something else is sealed."""
    if name in IDS:
        return model == "checkpoint" or _is_uuid(value)
    if name == "rollback_from":
        return isinstance(value, int)
    if name == "graph_id" or (name, value) == ("created_by", "system"):
        return True
    return model == "checkpoint" and field == "metadata" and name in OF_CHECKPOINTS


def _is_uuid(value: Any) -> bool:
    try:
        return bool(str(UUID(value)) == value)
    except (ValueError, AttributeError, TypeError):
        return False


class Cipher:
    """Seals and opens documents, texts and bytes. Without a handler for a kind, that kind stays plain."""

    def __init__(self, encryption: Encryption, where: str) -> None:
        """`where` begins the messages."""
        self._encryption = encryption
        self._where = where

    @property
    def seals_json(self) -> bool:
        """Whether there are handlers for documents and texts."""
        return self._encryption._json_encryptor is not None

    @property
    def seals_blobs(self) -> bool:
        """Whether there are handlers for bytes."""
        return self._encryption._blob_encryptor is not None

    async def context_of(self, user: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The context of a request, made by the application from the user and from the header. Raises
        `EncryptionFailed`."""
        handler = self._encryption._context_handler
        if handler is None:
            return dict(given)
        made = await self._called(
            "context of a request", lambda: handler(user, EncryptionContext(metadata=dict(given)))
        )
        if not isinstance(made, dict):
            raise EncryptionFailed(f"{self._where}: context: {type(made).__name__}: must return a dict")
        return dict(load(dump(made)))

    async def seal(self, model: str, field: str, document: Json) -> dict[str, Any]:
        """Seals a document. Raises `EncryptionFailed`."""
        if not self.seals_json or not document:
            return dict(document)
        return await self._seal(model, field, load(dump(document)))

    async def _seal(self, model: str, field: str, document: dict[str, Any]) -> dict[str, Any]:
        nested = NESTED.get((model, field), ())
        parts = [name for name in nested if isinstance(document.get(name), dict)]
        plain = {n: v for n, v in document.items() if n in parts or stays_plain(model, field, n, v)}
        # A nested name whose value is no object is sealed with the rest, escaped: the name must tell,
        # whatever the handler makes of the value.
        secret = {_escaped(n, nested): v for n, v in document.items() if n not in plain}
        sealed, *inside = await asyncio.gather(
            self._sealed(model, field, secret), *(self._seal(model, name, document[name]) for name in parts)
        )
        return {**plain, **sealed, **dict(zip(parts, inside, strict=True))}

    async def _sealed(self, model: str, field: str, secret: dict[str, Any]) -> dict[str, Any]:
        handler = self._encryption._json_encryptor
        if not secret or handler is None:
            return secret
        context = encryption_context()
        what = f"encrypt.json of {model}.{field}"
        names = set(secret)
        given = EncryptionContext(model=model, field=field, metadata=dict(context))
        sealed = await self._called(what, lambda: handler(given, secret))
        if not isinstance(sealed, dict):
            raise EncryptionFailed(f"{self._where}: {what}: {type(sealed).__name__}: must return a dict")
        if changed := sorted(names ^ set(sealed)):
            raise EncryptionFailed(
                f"{self._where}: {what}: {', '.join(changed)}: keys must be neither added nor removed"
            )
        marks = {f"{MARK}.{name}": context for name in names} if field == "metadata" else {MARK: context}
        return {**sealed, **marks}

    async def wanted(self, model: str, field: str, document: Json | None) -> dict[str, Any] | None:
        """Seals a value that is searched for, without its context. The search finds only values that the
        handler leaves plain, or seals the same way each time. Raises `EncryptionFailed`."""
        if document is None:
            return None
        sealed = await self.seal(model, field, document)
        return {name: value for name, value in sealed.items() if not name.startswith(MARK)}

    async def open(self, model: str, field: str, document: Json) -> dict[str, Any]:
        """Opens a document. Raises `EncryptionFailed`."""
        parts = [name for name in NESTED.get((model, field), ()) if isinstance(document.get(name), dict)]
        groups: dict[bytes, dict[str, Any]] = {}
        opened: dict[str, Any] = {}
        for name, value in document.items():
            if name.startswith(MARK) or name == CARRIED or name in parts:
                continue
            context = document.get(f"{MARK}.{name}")
            if context is None and not stays_plain(model, field, name, value):
                context = document.get(MARK)
            if context is None:
                opened[name] = value
            else:
                groups.setdefault(orjson.dumps(context, option=orjson.OPT_SORT_KEYS), {})[name] = value
        found = await asyncio.gather(
            *(self._opened(model, field, orjson.loads(context), part) for context, part in groups.items()),
            *(self.open(model, name, document[name]) for name in parts),
        )
        for part in found[: len(groups)]:
            opened |= {_unescaped(name): value for name, value in part.items()}
        return {**opened, **dict(zip(parts, found[len(groups) :], strict=True))}

    async def _opened(
        self, model: str, field: str, context: dict[str, Any], sealed: dict[str, Any]
    ) -> dict[str, Any]:
        handler = self._encryption._json_decryptor
        what = f"decrypt.json of {model}.{field}"
        if handler is None:
            raise EncryptionFailed(f"{self._where}: {what}: no handler: what is encrypted needs one")
        given = EncryptionContext(model=model, field=field, metadata=context)
        plain: Any = await self._called(what, lambda: handler(given, sealed))
        plain = plain.plaintext if isinstance(plain, DecryptResult) else plain
        if not isinstance(plain, dict):
            raise EncryptionFailed(f"{self._where}: {what}: {type(plain).__name__}: must return a dict")
        return plain

    async def seal_text(self, model: str, field: str, text: str) -> str:
        """Seals a text. Raises `EncryptionFailed`."""
        if not self.seals_json:
            return text
        return TEXT + dump(await self.seal(model, field, {field: text}))

    async def open_text(self, model: str, field: str, text: str) -> str:
        """Opens a text. Raises `EncryptionFailed`."""
        if not text.startswith(TEXT):
            return text
        return str((await self.open(model, field, load(text.removeprefix(TEXT))))[field])

    async def seal_bytes(self, model: str, field: str, data: bytes) -> bytes:
        """Seals bytes; as a document if the service has no handlers for bytes. Raises `EncryptionFailed`."""
        if self.seals_blobs:
            context = encryption_context()
            sealed = await self.seal_blob(model, field, data, context)
            return BLOB + orjson.dumps(context) + b"\n" + sealed
        text = data.decode("utf-8", "surrogateescape")
        return DOCUMENT + json.dumps(await self.seal(model, field, {"data": text})).encode()

    async def open_bytes(self, model: str, field: str, data: bytes) -> bytes:
        """Opens bytes. Raises `EncryptionFailed`."""
        if data.startswith(BLOB):
            context, _, sealed = data.removeprefix(BLOB).partition(b"\n")
            return await self.open_blob(model, field, sealed, orjson.loads(context))
        if data.startswith(DOCUMENT):
            document = await self.open(model, field, json.loads(data.removeprefix(DOCUMENT)))
            return str(document["data"]).encode("utf-8", "surrogateescape")
        return data

    async def seal_blob(self, model: str, field: str, data: bytes, context: dict[str, Any]) -> bytes:
        """Calls the handler that seals bytes. Raises `EncryptionFailed`."""
        handler = self._encryption._blob_encryptor
        assert handler is not None, "asked for where there is one"
        what = f"encrypt.blob of {model}.{field}"
        given = EncryptionContext(model=model, field=field, metadata=dict(context))
        return self._bytes(what, await self._called(what, lambda: handler(given, data)))

    async def open_blob(self, model: str, field: str, data: bytes, context: dict[str, Any]) -> bytes:
        """Calls the handler that opens bytes. Raises `EncryptionFailed`."""
        handler = self._encryption._blob_decryptor
        what = f"decrypt.blob of {model}.{field}"
        if handler is None:
            raise EncryptionFailed(f"{self._where}: {what}: no handler: what is encrypted needs one")
        given = EncryptionContext(model=model, field=field, metadata=dict(context))
        plain: Any = await self._called(what, lambda: handler(given, data))
        return self._bytes(what, plain.plaintext if isinstance(plain, DecryptResult) else plain)

    def _bytes(self, what: str, made: Any) -> bytes:
        if not isinstance(made, bytes | bytearray | memoryview):
            raise EncryptionFailed(f"{self._where}: {what}: {type(made).__name__}: must return bytes")
        return bytes(made)

    async def _called(self, what: str, call: Callable[[], Awaitable[_Result]]) -> _Result:
        try:
            return await call()
        # The handler is the application's: it may raise anything. The error's text may hold the data to be
        # hidden, so only its kind and place are reported, and it is not chained.
        except RAISED as raised:
            if is_cancelled(raised):
                raise
            kind = type(raised).__name__
            place = traceback.extract_tb(raised.__traceback__)[-1]
            log.error("encryption.failed", what=what, raised=kind, at=f"{place.filename}:{place.lineno}")
        raise EncryptionFailed(f"{self._where}: {what} raised {kind}; the log of this replica says where")


def _escaped(name: str, nested: Collection[str]) -> str:
    return ESCAPE + name if name in nested or name.startswith((MARK, CARRIED, ESCAPE)) else name


def _unescaped(name: str) -> str:
    return name.removeprefix(ESCAPE)
