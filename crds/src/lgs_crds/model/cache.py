"""`spec.cache`: the response cache, its Redis, its warm-up and the graphs whose answers it keeps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lgs_crds.model.base import MOST_ENTRIES, AnyObject, Part, Resources, SecretKey
from lgs_crds.texts import Quantity


class ManagedRedis(Part):
    """One Redis server without a disk that the operator runs for this service."""

    resources: Resources | None = Field(default=None, description="Resources of the server's container.")
    max_memory: Quantity = Field(
        default="256Mi", description="Memory for data, as a quantity; the least used keys go first."
    )


class Redis(Part):
    """The Redis of the cache and of the streams between replicas: exactly one of these."""

    uri_secret: SecretKey | None = Field(
        default=None,
        description="Secret that holds a URI: redis:// or rediss:// of one server, redis+sentinel:// with "
        "the sentinels and the name of the master, or redis+cluster:// with nodes of a Cluster.",
    )
    managed: ManagedRedis | None = None


WarmupText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class WarmupInput(Part):
    """A run that fills the cache before a replica takes work."""

    assistant: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="Graph, or id of an assistant, that is run. Not set: the only graph that there is.",
    )
    input: AnyObject = Field(description="The input of the run, as in a request.")
    context: AnyObject | None = Field(
        default=None, description="The context of the run, as in a request. Not set: the assistant's own."
    )


class Warmup(Part):
    """Runs that fill the cache before a replica takes work. They leave no thread, and a run that fails keeps
    no replica from its start."""

    timeout_seconds: float = Field(
        default=30, gt=0, le=300, description="Seconds after which a replica takes work even so."
    )
    inputs: list[WarmupInput] = Field(
        default_factory=list, max_length=MOST_ENTRIES, description="What is run, beside the lines of file."
    )
    file: WarmupText | None = Field(
        default=None,
        description="File with more of them, one a line in JSON, as a path in the folder of the graphs' "
        "code. Not set: none.",
    )


class GraphAnswers(Part):
    """For how long the answers of one graph are cached."""

    ttl_seconds: int | None = Field(
        default=None,
        ge=1,
        le=31536000,
        description="Seconds for which an answer is kept. Not set: cache.ttlSeconds.",
    )


class Cache(Part):
    """The response cache, and Redis for it and for streams."""

    redis: Redis | None = Field(default=None, description="Not set: each replica caches in its own memory.")
    ttl_seconds: int = Field(
        default=3600, ge=1, le=31536000, description="Seconds for which an answer is kept in the cache."
    )
    compression_threshold_bytes: int = Field(
        default=1024, ge=0, le=1073741824, description="Values of at least so many bytes are compressed."
    )
    warmup: Warmup | None = Field(
        default=None,
        description="Runs that fill the cache before a replica takes work. Not set: a replica starts with "
        "what Redis has.",
    )
    answers: dict[str, GraphAnswers] = Field(
        default_factory=dict,
        max_length=100,
        description="Graphs, by their ids, whose first run on a thread is answered without the graph where "
        "the same was asked before: by the same user, of the same code, with the same configuration. What "
        "their nodes do beside answering does not happen then. Not set: none.",
    )
