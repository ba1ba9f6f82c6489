"""Everything that a request may need; `opening.py` opens it, and the API gets it as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lgs_runtime.streams.delivery import DeliveryBarriers

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

    from lgs_runtime.auth.access_control import AccessControl
    from lgs_runtime.budgets.ledger import Ledger
    from lgs_runtime.cache.manager import CacheManager
    from lgs_runtime.checkpoint.upkeep import Upkeep
    from lgs_runtime.encryption.cipher import Cipher
    from lgs_runtime.graphs.assistants import KnownAssistants
    from lgs_runtime.graphs.circuits import GraphCircuits
    from lgs_runtime.graphs.priority import PriorityHandler
    from lgs_runtime.graphs.registry import GraphRegistry
    from lgs_runtime.metrics import Metrics
    from lgs_runtime.notifier import Notifier
    from lgs_runtime.readiness import Readiness
    from lgs_runtime.settings import Settings
    from lgs_runtime.storage.contract import Storage
    from lgs_runtime.streams.contract import StreamBroker
    from lgs_runtime.tracing.tracer import Tracing
    from lgs_runtime.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Services:
    """The open parts of one replica."""

    settings: Settings
    storage: Storage
    checkpointer: BaseCheckpointSaver[Any]
    store: BaseStore
    upkeep: Upkeep
    graphs: GraphRegistry
    cache: CacheManager
    streams: StreamBroker
    notifier: Notifier
    worker: Worker
    metrics: Metrics
    readiness: Readiness
    access: AccessControl
    assistants: KnownAssistants
    circuits: GraphCircuits
    cipher: Cipher | None = None
    """Encrypts stored data; None: it is stored unencrypted."""
    priorities: PriorityHandler | None = None
    """Decides the priority of new runs in the queue; None: the requests do."""
    ledger: Ledger | None = None
    """The spending against budgets; None: there are none."""
    tracing: Tracing | None = None
    """Tracing of runs; None: runs are not traced."""
    deliveries: DeliveryBarriers = field(default_factory=DeliveryBarriers)
    """The listeners of each thread in this replica."""
