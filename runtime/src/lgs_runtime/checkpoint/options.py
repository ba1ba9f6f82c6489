"""`checkpointer` of langgraph.json, checked key by key, as frozen values.

Wrong types and unknown keys are a `ConfigError` in the words `name: value: rule`. Nothing is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from lgs_runtime.checks import LONGEST_MINUTES, checked_object, checked_path, checked_positive
from lgs_runtime.errors import ConfigError
from lgs_runtime.model import Ttl, TtlStrategy

if TYPE_CHECKING:
    from lgs_runtime.checkpoint.serializer import Serializer

Modules = Literal[True] | tuple[tuple[str, ...], ...] | None
"""Types that may be made from stored values, each by module and name: these, all (True), or none of the
user's own (None)."""

CHECKPOINTER_KEYS: Final = ("path", "serde", "ttl", "backend")
BACKENDS: Final = {"default": False, "custom": True}
"""Whether each has a `path`."""
TTL_KEYS: Final = ("strategy", "default_ttl", "sweep_interval_minutes", "sweep_limit")
SWEEP_MINUTES: Final = 1.0
SWEEP_LIMIT: Final = 1000
SERDE_KEYS: Final = ("allowed_json_modules", "allowed_msgpack_modules", "pickle_fallback")


@dataclass(frozen=True, slots=True)
class SerdeOptions:
    """`checkpointer.serde`: how values become bytes and what they may become again.

    LangGraph's own and LangChain's types are always allowed. Pickle lets everybody who can write to the
    database run code in the replicas, so it is used only where the options say so.
    """

    allowed_json_modules: Modules = None
    allowed_msgpack_modules: Modules | Literal["environment"] = "environment"
    """`environment`: all, or only what the schemas of the graphs name with `LANGGRAPH_STRICT_MSGPACK`."""
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
    """`checkpointer.ttl`: how long threads are kept that say nothing else."""

    default_minutes: float | None = None
    """After their last change; None: for ever."""
    strategy: TtlStrategy = "delete"
    """Of threads that say nothing else."""
    sweep_interval_minutes: float = SWEEP_MINUTES
    sweep_limit: int = SWEEP_LIMIT
    """How many threads a replica deals with in one sweep."""

    @property
    def default(self) -> Ttl | None:
        """What a thread gets that says nothing."""
        return None if self.default_minutes is None else Ttl(self.default_minutes * 60, self.strategy)


@dataclass(frozen=True, slots=True)
class CheckpointerOptions:
    """`checkpointer` of langgraph.json."""

    path: str | None = None
    """`path:variable` of the application's own checkpointer; None: the database's."""
    serde: SerdeOptions = field(default_factory=SerdeOptions)
    ttl: ThreadTtl = field(default_factory=ThreadTtl)


def parse_checkpointer(content: Any, where: str) -> CheckpointerOptions:
    """The object `checkpointer`. Raises `ConfigError`."""
    given = checked_object(content, CHECKPOINTER_KEYS, where)
    serde = _serde(given.get("serde"), f"{where}.serde")
    path = checked_path(given.get("path"), f"{where}.path")
    backend = given.get("backend") or ("custom" if path else "default")
    if BACKENDS.get(backend) is not (path is not None):
        raise ConfigError(
            f"{where}.backend: {backend!r}: must be default, or custom with a path; others come as a path"
        )
    return CheckpointerOptions(path, serde, parse_ttl(given.get("ttl"), f"{where}.ttl"))


def parse_ttl(content: Any, where: str) -> ThreadTtl:
    """The object `checkpointer.ttl`. Raises `ConfigError`."""
    given = checked_object(content, TTL_KEYS, where)
    strategy = given.get("strategy", "delete")
    if strategy not in get_args(TtlStrategy):
        raise ConfigError(f"{where}.strategy: {strategy!r}: must be delete or keep_latest")
    limit = given.get("sweep_limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ConfigError(f"{where}.sweep_limit: {limit!r}: must be a whole number of at least 1")
    interval = given.get("sweep_interval_minutes")
    return ThreadTtl(
        checked_positive(given.get("default_ttl"), f"{where}.default_ttl", LONGEST_MINUTES),
        strategy,
        checked_positive(interval, f"{where}.sweep_interval_minutes", LONGEST_MINUTES) or SWEEP_MINUTES,
        limit or SWEEP_LIMIT,
    )


def _serde(content: Any, where: str) -> SerdeOptions:
    given = checked_object(content, SERDE_KEYS, where)
    rules: dict[str, Any] = {}
    for name, value in given.items():
        if name == "pickle_fallback":
            if not isinstance(value, bool):
                raise ConfigError(f"{where}.{name}: {value!r}: must be true or false")
            rules[name] = value
        else:
            rules[name] = _modules(value, f"{where}.{name}")
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
