"""An API server that is played, with its controllers, nodes and replicas, in one process: so that the
operator can be measured with more services than the machine bears with a real one. It keeps objects in
memory, merges what is applied, lists in pages, and reports changes to watches. A Deployment has all its
replicas at once; each answers at an address of its own (`bench.scale.replicas`).

    python -m bench.scale.played PORT AUDIT_LOG [SERVICES_WITH_WORK]
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import web
from bench.processes import allow_connections
from bench.scale.dressing import managed, merged, pod_of, rolled_out, template_hash, with_defaults
from bench.scale.ground import USER
from bench.scale.replicas import Addresses, Pages
from bench.scale.store import Kept, Place, Store

from lgs_operator.kube.kinds import EVENT, OWNED, POD, SERVICE_OF_OURS, Kind, Manifest
from lgs_operator.naming import SERVICE_LABEL

BOOKMARK_SECONDS: Final = 30.0
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
OF_THE_CLUSTER: Final = (
    Kind("v1", "Namespace", "namespaces"),
    Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"),
)
"""What kopf looks for before it watches anything."""
SERVED: Final = {kind.plural: kind for kind in (*OWNED, POD, EVENT, SERVICE_OF_OURS, *OF_THE_CLUSTER)}
VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Played:
    """Answers requests as the API server does, and plays what controllers and nodes do."""

    def __init__(self, addresses: Addresses, audit: Path) -> None:
        self._store = Store()
        self._addresses = addresses
        self._audit = audit.open("a", buffering=1)
        self._names = itertools.count()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        if (place := _place(request.path)) is None:
            return self._discovery(request.path)
        if request.query.get("watch") == "true":
            self._note("watch", place)
            return await self._watch(request, place)
        if request.method != "GET":
            self._note(VERBS[request.method], place)
            return await self._write(request, place)
        self._note("get" if place.name else "list", place)
        if not place.name:
            return self._list(request, place)
        kept = self._store.of(place.plural).get((place.namespace, place.name))
        return _missing() if kept is None else _json(kept.text)

    def _note(self, verb: str, place: Place) -> None:
        of = {"resource": place.plural} | ({"subresource": place.sub} if place.sub else {})
        entry = {"user": {"username": USER}, "verb": verb, "objectRef": of, "responseStatus": {}}
        self._audit.write(f"{json.dumps(entry)}\n")

    def _discovery(self, path: str) -> web.Response:
        if path.rstrip("/") in {"/api", "/apis"}:
            return _json(json.dumps({"versions": ["v1"], "groups": _groups()}).encode())
        served = path.removeprefix("/apis/").removeprefix("/api/")
        found = [each for each in SERVED.values() if served == each.api_version]
        if not found:
            return _missing()
        resources = [
            {
                "name": each.plural,
                "kind": each.name,
                "singularName": each.name.lower(),
                "namespaced": each not in OF_THE_CLUSTER,
                "verbs": ["get", "list", "watch", "patch"],
            }
            for each in found
        ]
        head = {"kind": "APIResourceList", "groupVersion": found[0].api_version}
        return _json(json.dumps(head | {"resources": resources}).encode())

    def _list(self, request: web.Request, place: Place) -> web.Response:
        first, most = int(request.query.get("continue") or 0), int(request.query.get("limit") or 10**9)
        kept = self._store.of(place.plural).values()
        matching = [each.text for each in kept if _fits(each, request, place)]
        page, rest = matching[first : first + most], matching[first + most :]
        head: dict[str, Any] = {"resourceVersion": str(self._store.version)}
        if rest:
            head |= {"continue": str(first + most)}
        if "PartialObjectMetadata" in request.headers.get("Accept", ""):
            page = [json.dumps({"metadata": json.loads(each)["metadata"]}).encode() for each in page]
        body = b'{"kind":"List","apiVersion":"v1","metadata":' + json.dumps(head).encode() + b',"items":['
        return _json(body + b",".join(page) + b"]}")

    async def _watch(self, request: web.Request, place: Place) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        news = asyncio.Queue[bytes]()
        began = int(request.query.get("resourceVersion") or 0)
        for version, plural, line in self._store.news:
            if version > began and plural == place.plural:
                news.put_nowait(line)
        watches = self._store.watches.setdefault(place.plural, set())
        watches.add(news)
        try:
            while True:
                try:
                    line = await asyncio.wait_for(news.get(), BOOKMARK_SECONDS)
                except TimeoutError:
                    head = {"resourceVersion": str(self._store.version), "name": "", "namespace": ""}
                    mark = {"type": "BOOKMARK", "object": {"metadata": head}}
                    line = json.dumps(mark).encode() + b"\n"
                await answer.write(line)
        except ConnectionError:
            return answer
        finally:
            watches.discard(news)

    async def _write(self, request: web.Request, place: Place) -> web.Response:
        if request.method == "DELETE":
            self._store.remove(place.plural, (place.namespace, place.name))
            return _json(b"{}")
        body, there = yaml.load(await request.text(), yaml.CSafeLoader), self._store.get(place)
        if request.content_type == JSON_PATCH:
            if there is None:
                return _missing()
            put = there | {each["path"][1:]: each["value"] for each in body if each["op"] == "add"}
            return _json(json.dumps(self._store.put(place.plural, put)).encode())
        if place.plural == "events":
            return _json(json.dumps(body).encode())
        manager = request.query.get("fieldManager", "")
        made = self._made(there, body, manager, whole=request.method == "PUT")
        head = made["metadata"]
        head |= {"namespace": place.namespace, "name": place.name or head["name"]}
        made = self._store.put(place.plural, made)
        if place.plural == "deployments":
            made = self._roll_out(made)
        return _json(json.dumps(made).encode())

    def _made(self, there: Manifest | None, body: Manifest, manager: str, *, whole: bool) -> Manifest:
        made = dict(body) if there is None or whole else merged(there, body)
        made = with_defaults(made)
        head = dict(made["metadata"])
        if there is not None and there.get("spec") != made.get("spec"):
            head["generation"] = there["metadata"].get("generation", 1) + 1
        others = [each for each in head.get("managedFields", []) if each["manager"] != manager]
        return made | {"metadata": head | {"managedFields": [*others, managed(manager, body)]}}

    def _roll_out(self, deployment: Manifest) -> Manifest:
        """Gives a Deployment the pods that it wants, and its status."""
        head, wanted = deployment["metadata"], deployment["spec"].get("replicas", 1)
        if "template" not in deployment["spec"]:
            return deployment
        digest = template_hash(deployment)
        prefix = f"{head['name']}-{digest}-"
        pods = [
            key
            for key in self._store.of("pods")
            if key[0] == head["namespace"] and key[1].rsplit("-", 2)[0] == head["name"]
        ]
        there = [key for key in pods if key[1].startswith(prefix)]
        for key in (*there[wanted:], *(key for key in pods if not key[1].startswith(prefix))):
            self._store.remove("pods", key)
        for _ in range(wanted - len(there)):
            name = f"{prefix}{next(self._names):05x}"
            service = deployment["spec"]["template"]["metadata"]["labels"][SERVICE_LABEL]
            self._store.put("pods", pod_of(deployment, name, self._addresses.new(service)))
        done = rolled_out(deployment)
        if _said(done) == _said(deployment):
            return deployment
        return self._store.put("deployments", done)


def _said(deployment: Manifest) -> list[Any]:
    status = deployment.get("status", {})
    return [status.get(name) for name in ("observedGeneration", "replicas", "readyReplicas")]


def _fits(kept: Kept, request: web.Request, place: Place) -> bool:
    if place.namespace and kept.namespace != place.namespace:
        return False
    wanted = (each.split("=", 1) for each in request.query.get("labelSelector", "").split(",") if each)
    if not all(kept.labels.get(name) == value for name, value in wanted):
        return False
    fields = request.query.get("fieldSelector", "")
    return not fields or f'"name":"{fields.removeprefix("metadata.name=")}"'.encode() in kept.text[:400]


def _place(path: str) -> Place | None:
    """None if it names no objects."""
    parts = [*path.strip("/").split("/"), ""]
    version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
    rest = rest[:-1]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest:
        return None
    plural, name, sub = (*rest, "", "")[:3]
    return Place(version, plural, namespace, name, sub)


def _groups() -> list[Manifest]:
    """The API groups, as clients look for them."""
    versions = sorted({each.api_version for each in SERVED.values() if "/" in each.api_version})
    named = [{"groupVersion": each, "version": each.split("/")[1]} for each in versions]
    return [
        {"name": each["groupVersion"].split("/")[0], "versions": [each], "preferredVersion": each}
        for each in named
    ]


def _json(text: bytes, status: int = 200) -> web.Response:
    return web.Response(body=text, status=status, content_type="application/json")


def _missing() -> web.Response:
    words = {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404}
    return _json(json.dumps(words).encode(), 404)


async def main(port: int, audit: Path, with_work: int) -> None:
    """Plays until it is stopped."""
    allow_connections()
    pages = Pages()
    played = Played(Addresses(pages, with_work), audit)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", played.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await pages.run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
