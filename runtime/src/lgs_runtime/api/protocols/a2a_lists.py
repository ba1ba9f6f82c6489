"""`ListTasks` of A2A 1.0: the tasks of an agent, in pages. Lists the tasks of one context or, without one,
those that the caller requested; in both cases only among the newest thousand runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import AliasGenerator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lgs_runtime.api.callers import Caller
from lgs_runtime.api.protocols import a2a_agents as agents
from lgs_runtime.api.protocols.a2a_versions import UNSUPPORTED
from lgs_runtime.api.protocols.jsonrpc import INVALID_PARAMS, RpcError
from lgs_runtime.api.schemas import bodies
from lgs_runtime.model import FINAL, Assistant, Page, Run
from lgs_runtime.runs.following import result_of
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery

MOST = 1000
UNSPECIFIED = "TASK_STATE_UNSPECIFIED"


class _Query(bodies.Body):
    """The parameters of a page. What the protocol may add is passed over."""

    model_config = ConfigDict(
        extra="ignore", alias_generator=AliasGenerator(validation_alias=to_camel), frozen=True
    )

    context_id: bodies.Id | None = None
    status: str = UNSPECIFIED
    page_size: int = Field(50, ge=1, le=100)
    page_token: str = ""
    status_timestamp_after: datetime | None = None
    include_artifacts: bool = False


async def listed(
    services: Services, caller: Caller, agent: Assistant, params: Mapping[str, Any]
) -> dict[str, Any]:
    """A page of tasks, last changed first. Raises `RpcError`, `InvalidRequest`."""
    query = bodies.checked(_Query, {name: value for name, value in params.items() if value != ""})
    begin = int(query.page_token or 0) if (query.page_token or "0").isdecimal() else -1
    if begin < 0:
        raise RpcError(
            INVALID_PARAMS, f"pageToken: {query.page_token!r}: must be a nextPageToken of this agent"
        )
    end = begin + query.page_size
    runs = [
        run
        for run in sorted(await _runs(services, caller, query), key=lambda run: run.updated_at, reverse=True)
        if run.assistant_id == agent.assistant_id and _later(run, query.status_timestamp_after)
    ]
    if query.status == UNSPECIFIED:
        count, page = len(runs), [await _task_json(services, run, query) for run in runs[begin:end]]
    else:
        # Only the values of its run show whether a task waits for input, so all of them are read.
        tasks = [await _task_json(services, run, query) for run in runs]
        found = [task for task in tasks if task["status"]["state"] == query.status]
        count, page = len(found), found[begin:end]
    return {
        "tasks": page,
        "nextPageToken": str(end) if end < count else "",
        "pageSize": query.page_size,
        "totalSize": count,
    }


async def _runs(services: Services, caller: Caller, query: _Query) -> list[Run]:
    if query.context_id is not None:
        scope = await caller.threads("search", query.context_id, limit=MOST, offset=0)
        return list(
            await services.storage.runs.of_thread(query.context_id, RunQuery(page=Page(MOST), scope=scope))
        )
    scope = await caller.threads("search", None, limit=MOST, offset=0)
    if caller.user is None:
        raise RpcError(UNSUPPORTED, "contextId: must be given: this service asks nobody who they are")
    return list(
        await services.storage.runs.of_user(caller.user.identity, RunQuery(page=Page(MOST), scope=scope))
    )


async def _task_json(services: Services, run: Run, query: _Query) -> dict[str, Any]:
    values = await result_of(services, run) if run.status in FINAL else None
    return agents.task(run, values, artifacts=query.include_artifacts)


def _later(run: Run, moment: datetime | None) -> bool:
    return moment is None or run.updated_at >= moment
