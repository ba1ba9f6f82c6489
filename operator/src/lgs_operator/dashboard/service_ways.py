"""The ways inside a cluster: to an operator by the name of its headless Service, to a service by the address
of its Service. Nothing else is asked, whatever an object is called or says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from lgs_operator.dashboard.ways import Unreachable, Way
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SERVICE, Kind, Manifest
from lgs_operator.naming import RUNTIME_PORT, SERVICE_LABEL

_RESOLVING_SECONDS: Final = 5.0


class Cluster(Protocol):
    """Of the API server what is asked here."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The object; None without one. Raises `KubeError`."""
        ...


class ServiceWays:
    """See `Ways`. `operators` is the host name that leads to each operator, with the port of the history;
    `token_file` has the token that they ask for."""

    def __init__(self, cluster: Cluster, operators: tuple[str, int], token_file: Path) -> None:
        self._cluster = cluster
        self._operators = operators
        self._token_file = token_file

    async def to_operators(self) -> Sequence[Callable[[], Awaitable[Way]]]:
        """See `Ways`."""
        host, port = self._operators
        try:
            async with asyncio.timeout(_RESOLVING_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            return []
        return [partial(self._to_operator, url) for url in sorted({_url(each[4][0], port) for each in found})]

    async def _to_operator(self, url: str) -> Way:
        try:
            token = self._token_file.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise Unreachable(f"the token for the operator: {error}") from None
        return Way(url, {"Authorization": f"Bearer {token}"})

    async def to_service(self, namespace: str, name: str, uid: str) -> str:
        """See `Ways`."""
        try:
            found = await self._cluster.get(SERVICE, namespace, name)
        except KubeError as error:
            raise Unreachable(f"the Service {name}: {error}") from None
        if found is None:
            raise Unreachable(f"there is no Service {name} yet")
        return address_of(found, uid)


def address_of(service: Mapping[str, Any], uid: str) -> str:
    """The address of a Service that is as the operator makes it for the service with this `uid`. Another one,
    which whoever may write Services could have lead anywhere, is not used. Pure. Raises `Unreachable`."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    name = metadata["name"]
    owners = [each.get("uid") for each in metadata.get("ownerReferences") or [] if each.get("controller")]
    if owners != [uid] or not uid:
        raise Unreachable(f"the Service {name} is not that of the LangGraphService: the operator's owns it")
    if spec.get("type") == "ExternalName" or (spec.get("selector") or {}).get(SERVICE_LABEL) != name:
        raise Unreachable(f"the Service {name} does not lead to the pods of the LangGraphService")
    try:
        return _url(str(ip_address(spec.get("clusterIP") or "")), RUNTIME_PORT)
    except ValueError:
        raise Unreachable(f"the Service {name} has no address of its own") from None


def _url(address: Any, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in str(address) else f"http://{address}:{port}"
