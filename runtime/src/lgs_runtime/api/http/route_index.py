"""Finds a request's route by the segments of its path, instead of trying every route's pattern in turn.

The index only leaves out routes that can't match; the others are tried in the order in which they were added.
What the index does not find (an unknown path, a method that a path does not have, a WebSocket) is left to the
same routes, which also stand after the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from starlette.convertors import FloatConvertor, IntegerConvertor, StringConvertor, UUIDConvertor
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

FOUND = "lgs.route"
TELEMETRY = "fastapi.telemetry"
"""FastAPI's own mark on a request that OpenTelemetry traces. FastAPI reports the route and the steps to it,
so the index leaves such a request to FastAPI."""
ONE_SEGMENT = (StringConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
"""Convertors that match no slash, so that a path has as many segments as its route."""


@dataclass(slots=True)
class _Segment:
    """A node of the tree: the segments that may follow, and the routes (by number) whose paths end here."""

    fixed: dict[str, _Segment] = field(default_factory=dict)
    parameter: _Segment | None = None
    ends: list[int] = field(default_factory=list)

    def then(self, segment: str) -> _Segment:
        """The node that follows by this segment of a route's path; made if missing."""
        if "{" not in segment:
            return self.fixed.setdefault(segment, _Segment())
        self.parameter = self.parameter or _Segment()
        return self.parameter


class RouteIndex(BaseRoute):
    """A route that stands for all of `routes`: it matches what one of them matches in full."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = list(routes)
        self._root = _Segment()
        self._anywhere: list[int] = []
        for number, route in enumerate(self._routes):
            segments = _segments_of(route)
            ends = self._anywhere if segments is None else self._behind(segments).ends
            ends.append(number)

    def _behind(self, segments: Iterable[str]) -> _Segment:
        place = self._root
        for segment in segments:
            place = place.then(segment)
        return place

    def candidates(self, path: str) -> list[BaseRoute]:
        """The routes that may match this path, in their order."""
        # A pattern's `$` also matches before a trailing line feed.
        numbers = self._anywhere + _ends(self._root, path.removesuffix("\n").split("/"), 0)
        return [self._routes[number] for number in sorted(numbers)]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The match of the first route that matches in full; `Match.NONE` if there is none."""
        if scope["type"] == "http" and scope.get(TELEMETRY) is None:
            for route in self.candidates(scope["path"].removeprefix(scope.get("root_path", ""))):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    return match, {**found, FOUND: route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request to the route that was found."""
        route: BaseRoute = scope[FOUND]
        await route.handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> NoReturn:
        """Raises `NoMatchFound`: the index has no name of its own; its routes have theirs."""
        raise NoMatchFound(name, path_params)


def _segments_of(route: BaseRoute) -> list[str] | None:
    """The segments of the route's path; None if it may match paths with any number of segments."""
    if not isinstance(route, Route):
        return None
    if not all(isinstance(convertor, ONE_SEGMENT) for convertor in route.param_convertors.values()):
        return None
    return route.path_format.split("/")


def _ends(place: _Segment, segments: Sequence[str], at: int) -> list[int]:
    """The numbers of the routes that may match the segments from index `at` on."""
    if at == len(segments):
        return place.ends
    fixed, parameter = place.fixed.get(segments[at]), place.parameter
    if parameter is None:
        return [] if fixed is None else _ends(fixed, segments, at + 1)
    found = _ends(parameter, segments, at + 1)
    return found if fixed is None else _ends(fixed, segments, at + 1) + found
