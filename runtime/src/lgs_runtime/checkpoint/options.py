"""The section `checkpointer` of langgraph.json, checked key by key, as frozen values.

Wrong types and unknown keys are a `ConfigError` of the form `name: value: rule`. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from lgs_runtime.checks import (
    LONGEST_MINUTES,
    Gathered,
    boolean_of,
    checked_path,
    checked_positive,
)
from lgs_runtime.errors import ConfigError
from lgs_runtime.model import Ttl, TtlStrategy

if TYPE_CHECKING:
    from lgs_runtime.checkpoint.serializer import Serializer

Modules = Literal[True] | tuple[tuple[str, ...], ...] | None
"""Types that stored values may be decoded to: these, each as module and name; all (True); or none of the
user's own (None)."""

CHECKPOINTER_KEYS: Final = ("path", "serde", "ttl", "backend")
BACKENDS: Final = {"default": False, "custom": True}
"""Values of `backend`, and whether each needs a `path`."""
TTL_KEYS: Final = ("strategy", "default_ttl", "sweep_interval_minutes", "sweep_limit")
SWEEP_MINUTES: Final = 1.0
SWEEP_LIMIT: Final = 1000
SERDE_KEYS: Final = ("allowed_json_modules", "allowed_msgpack_modules", "pickle_fallback")


@dataclass(frozen=True, slots=True)
class SerdeOptions:
    """`checkpointer.serde`: how values are encoded, and which types they may be decoded to.

    LangGraph's own and LangChain's types are always allowed. Pickle lets anybody who can write to the
    database run code in the replicas, so it is used only if the options say so.
    """

    allowed_json_modules: Modules = None
    allowed_msgpack_modules: Modules | Literal["environment"] = "environment"
    """`environment`: all types, or, with `LANGGRAPH_STRICT_MSGPACK`, only those in the graphs' schemas."""
    pickle_fallback: bool = False

    def serializer(self) -> Serializer:
        """LangGraph's serialiser with these rules."""
        from lgs_runtime.checkpoint.serializer import Serializer  # noqa: PLC0415 - settings are light

        rules: dict[str, Any] = {
            "pickle_fallback": self.pickle_fallback,
            "allowed_json_modules": self.allowed_json_modules,
        }
        if self.allowed_msgpack_modules != "environment":
            rules["allowed_msgpack_modules"] = self.allowed_msgpack_modules
        return Serializer(**rules)


@dataclass(frozen=True, slots=True)
class ThreadTtl:
    """`checkpointer.ttl`: how long threads are kept that have no time to live of their own."""

    default_minutes: float | None = None
    """Minutes after their last change; None: for ever."""
    strategy: TtlStrategy = "delete"
    """What happens to such threads afterwards."""
    sweep_interval_minutes: float = SWEEP_MINUTES
    sweep_limit: int = SWEEP_LIMIT
    """How many threads a replica handles in one sweep."""

    @property
    def default(self) -> Ttl | None:
        """The time to live of a thread that has none of its own; None: it is kept for ever."""
        return None if self.default_minutes is None else Ttl(self.default_minutes * 60, self.strategy)


@dataclass(frozen=True, slots=True)
class CheckpointerOptions:
    """The section `checkpointer` of langgraph.json."""

    path: str | None = None
    """`path:variable` of the application's own checkpointer; None: the service's database is used."""
    serde: SerdeOptions = field(default_factory=SerdeOptions)
    ttl: ThreadTtl = field(default_factory=ThreadTtl)


def parse_checkpointer(content: Any, where: str) -> CheckpointerOptions:
    """Parses the object `checkpointer`. Raises `ConfigError`."""
    found = Gathered()
    given = found.entries(content, CHECKPOINTER_KEYS, where)
    serde = found.read(SerdeOptions(), _serde, given.get("serde"), f"{where}.serde")
    path = found.read(None, checked_path, given.get("path"), f"{where}.path")
    found.read(None, _backend, given.get("backend"), given.get("path") is not None, f"{where}.backend")
    ttl = found.read(ThreadTtl(), parse_ttl, given.get("ttl"), f"{where}.ttl")
    found.done()
    return CheckpointerOptions(path, serde, ttl)


def _backend(value: Any, has_path: bool, where: str) -> None:
    backend = value or ("custom" if has_path else "default")
    if not isinstance(backend, str) or BACKENDS.get(backend) is not has_path:
        raise ConfigError(
            f"{where}: {backend!r}: must be default, or custom with a path; others come as a path"
        )


def parse_ttl(content: Any, where: str) -> ThreadTtl:
    """Parses the object `checkpointer.ttl`. Raises `ConfigError`."""
    found = Gathered()
    given = found.entries(content, TTL_KEYS, where)
    default, interval = (
        found.read(None, checked_positive, given.get(name), f"{where}.{name}", LONGEST_MINUTES)
        for name in ("default_ttl", "sweep_interval_minutes")
    )
    strategy: TtlStrategy = found.read(
        "delete", _strategy, given.get("strategy", "delete"), f"{where}.strategy"
    )
    limit = found.read(None, _limit, given.get("sweep_limit"), f"{where}.sweep_limit")
    found.done()
    return ThreadTtl(default, strategy, interval or SWEEP_MINUTES, limit or SWEEP_LIMIT)


def _strategy(value: Any, where: str) -> TtlStrategy:
    if value not in get_args(TtlStrategy):
        raise ConfigError(f"{where}: {value!r}: must be delete or keep_latest")
    return cast(TtlStrategy, value)


def _limit(value: Any, where: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{where}: {value!r}: must be a whole number of at least 1")
    return value


def _serde(content: Any, where: str) -> SerdeOptions:
    found = Gathered()
    given = found.entries(content, SERDE_KEYS, where)
    rules: dict[str, Any] = {}
    for name, value in given.items():
        reader: Callable[[Any, str], Any] = boolean_of if name == "pickle_fallback" else _modules
        rules[name] = found.read(None, reader, value, f"{where}.{name}")
    found.done()
    return SerdeOptions(**rules)


def _modules(value: Any, where: str) -> Modules:
    if isinstance(value, bool | None):
        return True if value else None
    valid = isinstance(value, list) and all(_is_symbol(symbol) for symbol in value)
    if not valid:
        raise ConfigError(
            f"{where}: {value!r}: must be true, null, or a list of types by module and name, "
            'such as ["my_agent.models", "Profile"]'
        )
    return tuple(tuple(symbol) for symbol in value)


def _is_symbol(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(part, str) for part in value)
