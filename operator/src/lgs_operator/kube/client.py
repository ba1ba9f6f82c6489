"""The only place that calls the API server: plain dictionaries in and out, over the official asyncio client.
Writes are server-side apply with a field manager, so what people and other controllers set stays theirs.
Every failure is a `KubeError` with the HTTP status (0 if the server was not reached)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import aiohttp
import structlog
from kubernetes.aio import client as kubernetes_client

from lgs_operator.kube.answers import LONGEST_OBJECT, parsed, read
from lgs_operator.kube.errors import KubeError, refusal
from lgs_operator.kube.kinds import Kind, Manifest, key_of
from lgs_operator.kube.kubeconfig import configured
from lgs_operator.kube.paging import whole_list
from lgs_operator.kube.watch_stream import events
from lgs_operator.kube.yaml_body import as_yaml
from lgs_operator.naming import FIELD_MANAGER

log = structlog.get_logger(__name__)
# with the charset, so that the client library sends the text as it is
_APPLY = "application/apply-patch+yaml; charset=utf-8"
_MERGE = "application/merge-patch+json"
_PATCH = "application/json-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1"
ANSWER_SECONDS = 15.0
"""Seconds within which the API server must answer a request that is no watch."""
_WATCH_SECONDS = 290
IDLE_SECONDS = 75.0
"""Seconds. The API server sends a bookmark a minute, so a watch that is silent for longer is most likely
dead."""


class KubeClient:
    """A connection to one API server. Close it with `close`."""

    def __init__(
        self,
        api: kubernetes_client.ApiClient,
        idle_seconds: float = IDLE_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._api = api
        self._idle_seconds = idle_seconds
        self._timeout = aiohttp.ClientTimeout(total=answer_seconds)

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        idle_seconds: float = IDLE_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> KubeClient:
        """Connects by `kubeconfig`, else by the pod's service account inside a cluster, else by
        KUBECONFIG."""
        configuration = await configured(kubeconfig)
        configuration.connection_pool_maxsize = 100
        return cls(kubernetes_client.ApiClient(configuration), idle_seconds, answer_seconds)

    async def close(self) -> None:
        """Ends all connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(
        self, kind: Kind, namespace: str, name: str, *, metadata_only: bool = False
    ) -> Manifest | None:
        """The object, or None if it does not exist."""
        accept = _METADATA_ONLY.format(list="") if metadata_only else None
        try:
            return await self._json("GET", kind.path(namespace, name), accept=accept)
        except KubeError as error:
            if error.not_found:
                return None
            raise

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        metadata_only: bool = False,
        kept: Callable[[Manifest], Manifest] = dict,
    ) -> tuple[list[Manifest], str]:
        """All objects of a kind, each with its kind filled in, and the version to watch from. Only what
        `kept` makes of each object stays in memory."""
        accept = _METADATA_ONLY.format(list="List") if metadata_only else None
        path = kind.path(namespace)

        async def ask(query: Mapping[str, str], most_bytes: int) -> Manifest:
            return await self._json("GET", path, query=query, accept=accept, most_bytes=most_bytes)

        return await whole_list(ask, kind, _selectors(labels, fields), kept)

    async def found(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """The metadata of the object of this name, for a role that may list a kind and not get its objects;
        None if it does not exist."""
        named = f"metadata.name={name}"
        found, _ = await self.list(kind, namespace, fields=named, metadata_only=True)
        return next(iter(found), None)

    async def try_list(self, kind: Kind, namespace: str | None) -> None:
        """Raises `KubeError` if the kind may not be listed, or can't be. Costs little, as no object has the
        name that is asked for, and the API server answers from its cache."""
        query = {"fieldSelector": "metadata.name=-", "resourceVersion": "0"}
        await self._json("GET", kind.path(namespace), query=query, accept=_METADATA_ONLY.format(list="List"))

    async def served(self, api_version: str) -> frozenset[str]:
        """The names of the kinds that the API server serves in a group's version; none without that group."""
        try:
            answer = await self._json("GET", f"/apis/{api_version}")
        except KubeError as error:
            if error.not_found:
                return frozenset()
            raise
        found = answer.get("resources")
        listed = found if isinstance(found, list) else []
        return frozenset(str(each.get("kind")) for each in listed if isinstance(each, dict))

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        version: str,
        *,
        labels: str | None = None,
        fields: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yields (ADDED | MODIFIED | DELETED | BOOKMARK, object) after `version`, until the server stops, or
        has been silent for so long that the connection may be dead. A caller that continues from the last
        version misses nothing. Raises `KubeError`."""
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        } | _selectors(labels, fields)
        accept = _METADATA_ONLY.format(list="") if metadata_only else None
        timeout = aiohttp.ClientTimeout(
            total=_WATCH_SECONDS + 30, sock_connect=10, sock_read=self._idle_seconds
        )
        response = await self._send("GET", kind.path(namespace), query=query, accept=accept, timeout=timeout)
        try:
            async for event, item in events(response.content):
                if event == "ERROR":
                    raise KubeError(item.get("code", 0), item.get("reason", "Watch"), item.get("message", ""))
                yield event, item
        except aiohttp.ServerTimeoutError:
            log.info("watch.idle", kind=kind.name, namespace=namespace)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            # also a line that was cut off because something in between ended
            raise KubeError(0, "WatchBroken", str(error)) from error
        finally:
            response.close()

    async def apply(
        self, manifest: Manifest, *, manager: str = FIELD_MANAGER, sub: str | None = None
    ) -> Manifest:
        """Server-side apply: fields in `manifest` become those of `manager`, whoever had them."""
        key = key_of(manifest)
        return await self._json(
            "PATCH",
            key.kind.path(key.namespace, key.name, sub),
            query={"fieldManager": manager, "force": "true"},
            body=as_yaml(manifest),
            content_type=_APPLY,
        )

    async def merge(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        *,
        manager: str = FIELD_MANAGER,
    ) -> Manifest:
        """A JSON merge patch, for fields without a fixed owner (annotations of pods, counts of events)."""
        return await self._json(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": manager},
            body=dict(patch),
            content_type=_MERGE,
        )

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> None:
        """A JSON patch of the object's status. It may test what it relies on: status 422 if that has
        changed."""
        path, query = kind.path(namespace, name, "status"), {"fieldManager": FIELD_MANAGER}
        body = json.loads(as_yaml(operations))
        await self._json("PATCH", path, query=query, body=body, content_type=_PATCH)

    async def create(self, kind: Kind, namespace: str, manifest: Manifest) -> Manifest:
        """Creates a new object; the error is a `conflict` if it exists already."""
        return await self._json("POST", kind.path(namespace), body=manifest)

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replaces the whole object, if it still has the resource version that `manifest` carries."""
        metadata = manifest["metadata"]
        return await self._json("PUT", kind.path(metadata["namespace"], metadata["name"]), body=manifest)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Deletes exactly this object (by uid) and what it owns; does nothing if it is gone."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            await self._json("DELETE", kind.path(namespace, name), body=body)
        except KubeError as error:
            if not (error.not_found or error.conflict):
                raise

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str | None = None,
        most_bytes: int = LONGEST_OBJECT,
    ) -> Manifest:
        response = await self._send(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            timeout=self._timeout,
        )
        try:
            answer = parsed(await read(response.content, most_bytes))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise KubeError(0, "NoAnswer", str(error) or type(error).__name__) from error
        finally:
            response.close()
        if not isinstance(answer, dict):
            raise KubeError(0, "NoAnswer", f"{method} {path}: what came is no object")
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str | None = None,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept or "application/json", "Content-Type": content_type}
        try:
            verb, url, headers, content, _ = await self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self._api.rest_client.request(  # type: ignore[no-untyped-call]
                verb, url, headers=headers, body=content, _request_timeout=timeout
            )
            response: aiohttp.ClientResponse = answer.response
            if response.status < 400:
                return response
            text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise KubeError(0, "NoAnswer", f"{method} {path}: {error or type(error).__name__}") from error
        raise refusal(response.status, text)


def _selectors(labels: str | None, fields: str | None) -> dict[str, str]:
    given = {"labelSelector": labels, "fieldSelector": fields}
    return {name: selector for name, selector in given.items() if selector}
