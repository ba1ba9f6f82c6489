"""`store` of langgraph.json, checked key by key, as frozen values: search by meaning, and how long items
live.

Wrong types and unknown keys are a `ConfigError` with the message `name: value: rule`. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lgs_runtime.checks import (
    LONGEST_MINUTES,
    Gathered,
    boolean_of,
    checked_path,
    checked_positive,
    kind_of,
)
from lgs_runtime.errors import ConfigError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langgraph.store.base import TTLConfig
    from langgraph.store.base.embed import AEmbeddingsFunc, EmbeddingsFunc

STORE_KEYS: Final = ("path", "index", "ttl")
INDEX_KEYS: Final = ("dims", "embed", "fields")
TTL_KEYS: Final = ("refresh_on_read", "default_ttl", "sweep_interval_minutes")
MOST_DIMENSIONS: Final = 16_000
"""The most that a vector of pgvector may have."""
SWEEP_MINUTES: Final = 5.0


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """`store.index`: what is embedded, and with which embeddings."""

    dims: int
    embed: str
    """`provider:model`, or `path:variable` of a function or an `Embeddings` object."""
    fields: tuple[str, ...] = ("$",)

    @property
    def is_path(self) -> bool:
        """Whether `embed` names the application's own code, rather than a provider's model."""
        location = self.embed.rpartition(":")[0]
        return location.endswith(".py") or "/" in location or "." in location


@dataclass(frozen=True, slots=True)
class TtlOptions:
    """`store.ttl`. Times are in minutes."""

    refresh_on_read: bool = True
    default_ttl: float | None = None
    sweep_interval_minutes: float = SWEEP_MINUTES

    def config(self) -> TTLConfig:
        """The same in the form of LangGraph's stores."""
        return {
            "refresh_on_read": self.refresh_on_read,
            "default_ttl": self.default_ttl,
            "omit_expired": True,
        }


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """`store` of langgraph.json."""

    path: str | None = None
    """`path:variable` of the application's own store; None: the database's."""
    index: IndexOptions | None = None
    ttl: TtlOptions = field(default_factory=TtlOptions)


@dataclass(frozen=True, slots=True)
class Index:
    """`store.index` with its embeddings loaded."""

    dims: int
    embeddings: Embeddings
    fields: Sequence[str]

    def config(self) -> dict[str, Any]:
        """The same in the form of LangGraph's stores."""
        # LangGraph's SQLite store calls the fields `text_fields`.
        fields = list(self.fields)
        return {"dims": self.dims, "embed": self.embeddings, "fields": fields, "text_fields": fields}


def parse_store(content: Any, where: str) -> StoreOptions:
    """Parses the object `store`. Raises `ConfigError`."""
    found = Gathered()
    given = found.entries(content, STORE_KEYS, where)
    index = given.get("index")
    options = StoreOptions(
        found.read(None, checked_path, given.get("path"), f"{where}.path"),
        None if index is None else found.read(None, _index, index, f"{where}.index"),
        found.read(TtlOptions(), _ttl, given.get("ttl"), f"{where}.ttl"),
    )
    found.done()
    return options


def open_index(options: IndexOptions, found: Any = None) -> Index:
    """The index with its embeddings: `found`, which `embed` names in the application's code, or the
    provider's model by LangChain's `init_embeddings`. Raises `ConfigError`."""
    from langchain_core.embeddings import Embeddings  # noqa: PLC0415 - settings are light
    from langgraph.store.base import ensure_embeddings  # noqa: PLC0415

    from lgs_runtime.store.embeddings import SizedEmbeddings  # noqa: PLC0415

    where = f"store.index.embed: {options.embed}"
    if found is not None and not isinstance(found, Embeddings) and not callable(found):
        raise ConfigError(f"{where}: it is {kind_of(found)}; it must be a function or Embeddings")
    embed: Embeddings | EmbeddingsFunc | AEmbeddingsFunc | str = options.embed if found is None else found
    try:
        embeddings = ensure_embeddings(embed)
    except (ImportError, ValueError) as missing:
        raise ConfigError(
            f"{where}: must be a model whose packages are installed (langchain and the provider's own), or "
            f"path:function: {missing}"
        ) from missing
    sized = SizedEmbeddings(embeddings, options.dims, options.embed)
    return Index(options.dims, sized, options.fields)


def check_dimensions(index: Index, stored: int | None) -> None:
    """Raises `ConfigError` if the database holds vectors of another length. `stored` is their length; None:
    it holds none."""
    if stored is not None and stored != index.dims:
        raise ConfigError(
            f"store.index.dims: {index.dims}: must be {stored}, as the vectors that this database holds; to "
            "embed anew, drop its table store_vectors (and vector_migrations) and put the items again"
        )


def _index(content: Any, where: str) -> IndexOptions:
    found = Gathered()
    given = found.entries(content, INDEX_KEYS, where)
    options = IndexOptions(
        found.read(1, _dims, given.get("dims"), f"{where}.dims"),
        found.read("", _embed, given.get("embed"), f"{where}.embed"),
        found.read(("$",), _fields, given.get("fields"), f"{where}.fields"),
    )
    found.done()
    return options


def _dims(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_DIMENSIONS:
        raise ConfigError(f"{where}: {value!r}: must be a whole number from 1 to {MOST_DIMENSIONS}")
    return value


def _embed(value: Any, where: str) -> str:
    if not isinstance(value, str) or ":" not in value.strip(":"):
        raise ConfigError(f"{where}: {value!r}: must be provider:model or path:function")
    return value


def _fields(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ("$",)
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{where}: {value!r}: must be a list of paths into an item, such as text")
    return tuple(value)


def _ttl(content: Any, where: str) -> TtlOptions:
    found = Gathered()
    given = found.entries(content, TTL_KEYS, where)
    refresh = found.read(True, boolean_of, given.get("refresh_on_read", True), f"{where}.refresh_on_read")
    default, sweep = (
        found.read(None, checked_positive, given.get(name), f"{where}.{name}", LONGEST_MINUTES)
        for name in ("default_ttl", "sweep_interval_minutes")
    )
    found.done()
    return TtlOptions(refresh, default, sweep or SWEEP_MINUTES)
