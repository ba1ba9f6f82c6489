"""The settings of one replica as a frozen value, read by `settings_loader`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lgs_runtime.budgets.limits import Budgets
from lgs_runtime.checkpoint.options import CheckpointerOptions
from lgs_runtime.graphs.auth_section import AuthCache
from lgs_runtime.graphs.circuit_section import GraphPolicy
from lgs_runtime.graphs.http_section import HttpSection
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.warmup_section import Warmup
from lgs_runtime.graphs.webhook_section import WebhookSection
from lgs_runtime.model import Pinning, QueueLimits
from lgs_runtime.roles import Role
from lgs_runtime.storage.options import VERSIONS_LIMIT, StorageOptions
from lgs_runtime.storage.tables import CHECKPOINTS, STORE, VECTORS
from lgs_runtime.store.options import StoreOptions
from lgs_runtime.tracing_options import TracingOptions


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that may differ between two replicas. Durations in seconds unless the name says
    otherwise."""

    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    source: Path = Path()
    """Folder that graph paths are relative to."""
    import_paths: tuple[Path, ...] = ()
    """Folders to put on the import path, in order."""
    database_uri: str = ""
    """`postgres://…` or `sqlite:///path`."""
    database_direct_uri: str | None = None
    """Direct URI of the database, if `database_uri` goes through a pooler."""
    database_id: str | None = None
    """Id of the database that the service is known to use."""
    data_dir: Path = Path(".lgs")
    redis_uri: str | None = None
    service: str = "default"
    replica_id: str = "replica"
    role: Role = Role.COMBINED
    """Whether it answers requests, executes runs, or both."""
    concurrency: int = 50
    queue_limits: QueueLimits = field(default_factory=QueueLimits)
    run_timeout_seconds: float = 3600.0
    max_attempts: int = 3
    unserved_seconds: float = 3600.0
    """How long a run waits for a graph that no replica takes; 0: for ever."""
    drain_seconds: float = 60.0
    run_ttl_hours: float = 24.0
    versions_limit: int = VERSIONS_LIMIT
    """How many versions of a thread are kept."""
    lease_seconds: float = 10.0
    stall_seconds: float = 300.0
    """How long a replica's lease is kept if its process is unresponsive, but exists and is not stopped."""
    lame_duck_seconds: float = 3.0
    max_body_bytes: int = 16 * 1024 * 1024
    cache_ttl_seconds: float = 3600.0
    cache_compression_threshold_bytes: int = 1024
    warmup: Warmup | None = None
    """How the cache is filled before the replica takes work; None: not at all."""
    http: HttpSection = field(default_factory=HttpSection)
    """The section `http` of `langgraph.json`."""
    webhooks: WebhookSection = field(default_factory=WebhookSection)
    """The section `webhooks`, with the variables in its headers substituted."""
    checkpointer: CheckpointerOptions = field(default_factory=CheckpointerOptions)
    host: str = "127.0.0.1"
    port: int = 8000
    reuse_port: bool = False
    admin_port: int | None = None
    """Port on the loopback interface that reaches only this process; needed if processes share `port`."""
    store: StoreOptions = field(default_factory=StoreOptions)
    priority_path: str | None = None
    """`path:variable` of the `langgraph_sdk.Priority` object."""
    encryption_path: str | None = None
    """`path:variable` of the `langgraph_sdk.Encryption` object; None: data is stored unencrypted."""
    auth_path: str | None = None
    """`path:variable` of the graphs' `langgraph_sdk.Auth` object."""
    disable_studio_auth: bool = False
    not_a_laptop: str | None = "it was not checked where it runs"
    """Why requests that claim to come from LangGraph Studio are not trusted; None: they are, as by a
    development server."""
    auth_openapi: Mapping[str, Any] = field(default_factory=dict)
    """`securitySchemes` and `security` for the API's OpenAPI description."""
    auth_cache: AuthCache | None = None
    api_keys: str = field(default="", repr=False)
    api_keys_file: Path | None = None
    answers: Mapping[str, float] = field(default_factory=dict)
    """Seconds for which the answers of each graph are cached; those of graphs that are not listed are not."""
    revision: str = ""
    """Name of the graphs' revision, chosen by who deploys them; runs and checkpoints are marked with it."""
    canary_percent: int | None = None
    """Percentage of threads whose runs this replica takes, as long as other replicas take the rest. None: it
    is no canary."""
    pinning: Pinning | None = None
    """How this replica takes threads that are pinned to revisions; None: it takes no account of pins."""
    pinned_wait_seconds: float = 120.0
    """For how long a revision must have no replicas until others take what is pinned to it."""
    revision_digest: str = ""
    """Digest of whatever, besides the files, determines the graphs' answers."""
    budgets: Budgets | None = None
    """What may be spent on models in an hour or a day; None: without limit."""
    circuits: Mapping[str, GraphPolicy] = field(default_factory=dict)
    """When the circuit breaker of each graph opens; graphs that are not listed have none."""
    tracing: TracingOptions | None = None
    """How runs are traced; None: they are not."""
    file_env: Mapping[str, str] = field(default_factory=dict)
    """Variables that `langgraph.json` sets for the graphs; the process's own take precedence."""

    @property
    def storage_options(self) -> StorageOptions:
        """The options that the storage is opened with."""
        return StorageOptions(
            lease_seconds=self.lease_seconds,
            versions_limit=self.versions_limit,
            direct_uri=self.database_direct_uri,
            database_id=self.database_id,
            families=self.families,
        )

    @property
    def families(self) -> frozenset[str]:
        """The families of tables that checkpointer and store have in the service's database."""
        families = set() if self.checkpointer.path else {CHECKPOINTS}
        if not self.store.path:
            families |= {STORE} if self.store.index is None else {STORE, VECTORS}
        return frozenset(families)


USUAL: Final = Settings()
"""The default settings."""
