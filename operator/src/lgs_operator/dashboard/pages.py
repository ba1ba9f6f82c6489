"""The files of the page, read once at the start. No other file is served."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from aiohttp import web

from lgs_operator.dashboard.protection import POLICY, headers

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def add_pages(app: web.Application) -> None:
    """Adds the page at `/`, and its files below `/assets/`."""
    found = _read()

    async def page(_: web.Request) -> web.Response:
        return _answer(*found["index.html"])

    async def asset(request: web.Request) -> web.Response:
        file = found.get(request.match_info["path"])
        if file is None:
            raise web.HTTPNotFound
        return _answer(*file)

    app.add_routes([web.get("/", page), web.get("/assets/{path:.+}", asset)])


def _answer(kind: str, body: bytes) -> web.Response:
    # Not cached, so that after an update no browser has half of the old page.
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers(POLICY))


def _read() -> dict[str, tuple[str, bytes]]:
    """The content type and the bytes of each file, by its path."""
    top = files("lgs_operator.dashboard") / "static"
    found = {}
    for folder, prefix in ((top, ""), (top / "vendor", "vendor/")):
        for file in folder.iterdir():
            kind = _TYPES.get(f".{file.name.rpartition('.')[2]}")
            if file.is_file() and kind is not None:
                found[f"{prefix}{file.name}"] = (kind, file.read_bytes())
    return found
