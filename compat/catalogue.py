"""The operations that a LangGraph server offers, in the order of the table."""

from __future__ import annotations

OPERATIONS: tuple[str, ...] = tuple(
    line.strip()
    for line in """
    POST /assistants
    POST /assistants/search
    POST /assistants/count
    GET /assistants/{assistant_id}
    DELETE /assistants/{assistant_id}
    PATCH /assistants/{assistant_id}
    GET /assistants/{assistant_id}/graph
    GET /assistants/{assistant_id}/subgraphs
    GET /assistants/{assistant_id}/subgraphs/{namespace}
    GET /assistants/{assistant_id}/schemas
    POST /assistants/{assistant_id}/versions
    POST /assistants/{assistant_id}/latest
    POST /threads
    POST /threads/search
    POST /threads/count
    POST /threads/prune
    GET /threads/{thread_id}/storage
    GET /threads/{thread_id}/state
    POST /threads/{thread_id}/state
    GET /threads/{thread_id}/state/{checkpoint_id}
    POST /threads/{thread_id}/state/checkpoint
    GET /threads/{thread_id}/history
    POST /threads/{thread_id}/history
    POST /threads/{thread_id}/copy
    GET /threads/{thread_id}
    DELETE /threads/{thread_id}
    PATCH /threads/{thread_id}
    GET /threads/{thread_id}/stream
    POST /threads/{thread_id}/stream/events
    POST /threads/{thread_id}/commands
    GET /threads/{thread_id}/runs
    POST /threads/{thread_id}/runs
    POST /threads/{thread_id}/runs/stream
    POST /threads/{thread_id}/runs/wait
    GET /threads/{thread_id}/runs/{run_id}
    DELETE /threads/{thread_id}/runs/{run_id}
    GET /threads/{thread_id}/runs/{run_id}/join
    GET /threads/{thread_id}/runs/{run_id}/stream
    POST /threads/{thread_id}/runs/{run_id}/cancel
    POST /runs/cancel
    POST /threads/{thread_id}/runs/crons
    POST /runs/crons
    POST /runs/crons/search
    POST /runs/crons/count
    GET /runs/crons/{cron_id}
    PATCH /runs/crons/{cron_id}
    DELETE /runs/crons/{cron_id}
    POST /runs/stream
    POST /runs/wait
    POST /runs
    POST /runs/batch
    PUT /store/items
    DELETE /store/items
    GET /store/items
    POST /store/items/search
    POST /store/namespaces
    POST /a2a/{assistant_id}
    POST /mcp/
    GET /mcp/
    DELETE /mcp/
    GET /info
    GET /metrics
    GET /docs
    GET /ok
    """.strip().splitlines()
)
ROUTES = "custom routes"
START = "start"
ROWS = (START, *OPERATIONS, ROUTES)
