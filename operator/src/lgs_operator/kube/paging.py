"""Lists objects in pages that fit into memory, whatever is in them: whoever may write ConfigMaps could
otherwise make the whole list larger than the operator's memory.
(https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks)"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from lgs_operator.kube.answers import LONGEST_OBJECT, AnswerTooLong
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import Kind, Manifest

MOST_OBJECTS: Final = 500
LONGEST_PAGE: Final = 2 * 2**20
"""Bytes: a longer page is asked for again with fewer objects. Once read it takes five times as much, which
Python does not give back whole."""
GROWS_AFTER: Final = 16
"""Pages in a row that were short enough, after which twice as many objects are asked for."""
Ask = Callable[[Mapping[str, str], int], Awaitable[Manifest]]


async def whole_list(
    ask: Ask, kind: Kind, query: Mapping[str, str], kept: Callable[[Manifest], Manifest]
) -> tuple[list[Manifest], str]:
    """All objects, each with its kind filled in and as `kept` makes it, and the list's version. `ask` sends a
    query and reads at most so many bytes of the answer, or raises `AnswerTooLong`."""
    found, filled = list[Manifest](), {"apiVersion": kind.api_version, "kind": kind.name}
    most: int | None = None  # whole first, from the API server's cache; pages are read from etcd
    fitting = 0
    while True:
        try:
            limit = {} if most is None else {"limit": str(most)}
            answer = await ask(dict(query) | limit, LONGEST_OBJECT if most == 1 else LONGEST_PAGE)
        except AnswerTooLong:
            if most == 1:
                raise
            most, fitting = MOST_OBJECTS if most is None else most // 2, 0
            continue
        try:
            # an empty list of metadata is null
            page, items = answer["metadata"], answer["items"] or []
            found += [kept(item | filled) for item in items]
            if not page.get("continue"):
                return found, page["resourceVersion"]
        except (AttributeError, KeyError, TypeError) as error:
            raise KubeError(0, "NoAnswer", f"what came is no list of {kind.plural}") from error
        del answer, items  # before the next one comes
        fitting += 1
        if most is not None and fitting % GROWS_AFTER == 0:
            most = min(MOST_OBJECTS, 2 * most)
        query = dict(query) | {"continue": page["continue"]}
