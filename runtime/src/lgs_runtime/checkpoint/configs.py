"""Addresses of checkpoints as configs of savers and graphs: a thread, a namespace (empty: the root graph's),
and an id (none: the latest checkpoint)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from lgs_runtime.errors import InvalidRequest

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


OF_THE_REQUEST: Final = frozenset(
    {
        "langgraph_auth_user",
        "langgraph_auth_user_id",
        "langgraph_auth_permissions",
        "langgraph_request_id",
    }
)
"""Keys of a graph's config that identify the caller. Savers copy the config into a checkpoint's metadata,
which anybody can read who may read the thread."""
NAMES_OF_A_CHECKPOINT: Final[tuple[str, ...]] = (
    "thread_id",
    "checkpoint_ns",
    "checkpoint_id",
    "checkpoint_map",
)
"""Keys of a config that name a checkpoint, as clients get them."""

ADDRESS: Final = ("thread_id", "checkpoint_ns", "checkpoint_id")
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")


def checkpoint_config(
    thread_id: str, namespace: str = "", checkpoint_id: str | None = None
) -> RunnableConfig:
    """The config that names a checkpoint."""
    named: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": namespace}
    if checkpoint_id:
        named["checkpoint_id"] = checkpoint_id
    return {"configurable": named}


def address_of(config: RunnableConfig) -> RunnableConfig:
    """The config reduced to the checkpoint's address: savers would copy other keys into the metadata."""
    configurable = config["configurable"]
    return {"configurable": {name: configurable[name] for name in ADDRESS if name in configurable}}


def check_names(config: RunnableConfig, channels: Collection[str] = (), *task: str) -> None:
    """Raises `InvalidRequest` if one of the databases can't store the name of the thread, the namespace, a
    channel or the task."""
    configurable = config["configurable"]
    thread_id, namespace = configurable["thread_id"], configurable.get("checkpoint_ns", "")
    together = "".join((f"{thread_id}{namespace}", *channels, *task))
    if together.isascii() and "\0" not in together:
        return
    named = {"thread_id": (str(thread_id),), "checkpoint_ns": (namespace,), "channel": channels, "task": task}
    for what, names in named.items():
        for name in names:
            if _UNFIT.search(name):
                rule = "must have neither the character NUL nor half a character (a lone surrogate)"
                raise InvalidRequest(f"{what}: {name!r}: {rule}")


def without_who_asked(config: RunnableConfig) -> RunnableConfig:
    """A config without the keys that identify the caller, which a checkpoint must not show."""
    shown: RunnableConfig = {**config}
    for part in ("configurable", "metadata"):
        if part in shown:
            shown[part] = kept = dict(shown[part])
            for name in OF_THE_REQUEST:
                kept.pop(name, None)
    return shown


def checkpoint_id_of(config: RunnableConfig) -> str:
    """The id in the config of a stored checkpoint."""
    return str(config["configurable"]["checkpoint_id"])


def namespace_of(config: RunnableConfig) -> str:
    """The namespace that a config names."""
    return str(config["configurable"].get("checkpoint_ns", ""))


def parent_id_of(parent: RunnableConfig | None) -> str | None:
    """The id in the config of a checkpoint's parent; None if it has no parent."""
    return parent["configurable"].get("checkpoint_id") if parent else None
