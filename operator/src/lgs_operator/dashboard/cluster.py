"""The services of a cluster for the page: their names from the API server, their history from the operator.

If the operator's history can't be had, a single point from the status is shown, and the reason.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp

from lgs_crds.status import status_before
from lgs_operator.dashboard.cached import Cached
from lgs_operator.dashboard.sources import Api, Json
from lgs_operator.dashboard.ways import Unreachable, Ways

_PATIENCE: Final = aiohttp.ClientTimeout(total=10)
_STEP: Final = 5
_SERVICES_SECONDS: Final = 1.0


class ClusterSource:
    """The source for a cluster. `services_of` reads the services (raises `Unread`)."""

    def __init__(
        self,
        services_of: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]],
        ways: Ways,
        session: aiohttp.ClientSession,
    ) -> None:
        self._services_of = Cached(services_of, _SERVICES_SECONDS)
        self._ways = ways
        self._session = session

    async def services(self) -> Json:
        """See `Source`."""
        found = await self._services_of()
        known, trouble = await self._known()
        trouble = self._services_of.trouble or trouble
        services = []
        for each in found:
            meta = each["metadata"]
            namespace, name = meta.get("namespace", ""), meta["name"]
            one = known.get((namespace, name)) or from_status(each)
            services.append({**one, "namespace": namespace, "name": name})
        return {"now": time.time(), "services": services, **({"trouble": trouble} if trouble else {})}

    async def history(self, namespace: str, name: str, seconds: float, since: float | None) -> Json | None:
        """See `Source`."""
        service = await self._service(namespace, name)
        if service is None:
            return None
        more = "" if since is None else f"&since={since!r}"
        path = f"/api/services/{namespace}/{name}/history?span={seconds:g}{more}"
        found, trouble = await self._of_operator(path)
        return found if found is not None else one_point(service, time.time(), trouble)

    async def api(self, namespace: str, name: str) -> Api | None:
        """See `Source`. Raises `Unreachable`."""
        service = await self._service(namespace, name)
        if service is None:
            return None
        uid = service["metadata"].get("uid", "")
        url = await self._ways.to_service(namespace, name, uid)
        # kubectl waits for a pod: meanwhile the service may have been replaced, and the way lead to the new
        # one
        there = await self._service(namespace, name)
        return Api(url, uid) if there is not None and there["metadata"].get("uid", "") == uid else None

    async def _service(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The service of this name; None without one. Only existing services are asked, so that no name
        leads anywhere else."""
        for each in await self._services_of():
            if (each["metadata"].get("namespace", ""), each["metadata"]["name"]) == (namespace, name):
                return each
        return None

    async def _known(self) -> tuple[dict[tuple[str, str], Json], str]:
        found, trouble = await self._of_operator("/api/services")
        services = found["services"] if found is not None else []
        return {(each["namespace"], each["name"]): each for each in services}, trouble

    async def _of_operator(self, path: str) -> tuple[Json | None, str]:
        """The answer of the acting operator, else why there is none. An operator that stands
        by knows nothing."""
        empty: Json | None = None
        trouble = "no pod of an operator was found: what is shown is what the status of each service says"
        for way_of in await self._ways.to_operators():
            try:
                url, headers = await way_of()
                async with self._session.get(
                    f"{url}{path}", headers=headers, timeout=_PATIENCE, allow_redirects=False
                ) as answer:
                    if answer.status != 200:
                        trouble = _refused(answer.status) or trouble
                        continue
                    found: Json = await answer.json()
            except Unreachable as error:
                trouble = f"no history, only what the status says: {error}"
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                trouble = f"no history, only what the status says: the operator: {type(error).__name__}"
            else:
                if found.get("services", True):
                    return found, ""
                empty = found
        return empty, "" if empty is not None else trouble


def _refused(status: int) -> str:
    """Why an operator refuses its history, in words; empty if it merely has none."""
    return f"no history, only what the status says: the operator answers {status}" if status != 404 else ""


def from_status(service: Mapping[str, Any]) -> Json:
    """A service for the page, from its status. Pure."""
    status = status_before(service.get("status") or {})
    inputs = (status.scaling.inputs if status.scaling is not None else None) or {}
    decision = None
    if status.scaling is not None and status.scaling.reason:
        wanted = status.scaling.desired_replicas
        decision = {
            "at": 0.0,
            "replicas": wanted,
            "before": wanted,
            "code": "",
            "reason": status.scaling.reason,
        }
    values = {
        "ready": _number(status.ready_replicas),
        "desired": _number(status.desired_replicas),
        "queueNormal": _number(status.queue),
        "inUse": _number(inputs.get("slotsInUse")),
        "slots": _number(inputs.get("slots")),
        "oldest": _number(inputs.get("oldestSeconds")),
        "arrived": _number(inputs.get("arrivalsPerSecond")),
    }
    return {"at": None, "spark": [], "values": values, "decision": decision}


def one_point(service: Mapping[str, Any], now: float, trouble: str) -> Json:
    """The status as a history with a single point. Pure."""
    one = from_status(service)
    at = now // _STEP * _STEP
    decisions = [] if one["decision"] is None else [{**one["decision"], "at": at}]
    values = {name: [value] for name, value in one["values"].items()}
    return {
        "now": now, "step": _STEP, "at": [at], "values": values, "decisions": decisions, "alerts": [],
        "whole": True, "trouble": trouble,
    }  # fmt: skip


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
