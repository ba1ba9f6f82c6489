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
LONGEST_PAGE: Final = 8 * 2**20
"""Bytes: a longer page is asked for again with fewer objects."""
Ask = Callable[[Mapping[str, str], int], Awaitable[Manifest]]


async def whole_list(
    ask: Ask, kind: Kind, query: Mapping[str, str], kept: Callable[[Manifest], Manifest]
) -> tuple[list[Manifest], str]:
    """All objects, each with its kind filled in and as `kept` makes it, and the list's version. `ask` sends a
    query and reads at most so many bytes of the answer, or raises `AnswerTooLong`."""
    found, filled = list[Manifest](), {"apiVersion": kind.api_version, "kind": kind.name}
    most: int | None = None  # whole first, from the API server's cache; pages are read from etcd
    while True:
        try:
            limit = {} if most is None else {"limit": str(most)}
            answer = await ask(dict(query) | limit, LONGEST_OBJECT if most == 1 else LONGEST_PAGE)
        except AnswerTooLong:
            if most == 1:
                raise
            most = MOST_OBJECTS if most is None else max(1, most // 8)
            continue
        try:
            page, items = answer["metadata"], answer["items"] or []  # an empty list of metadata is null
            found += [kept(item | filled) for item in items]
            if not page.get("continue"):
                return found, page["resourceVersion"]
        except (AttributeError, KeyError, TypeError) as error:
            raise KubeError(0, "NoAnswer", f"what came is no list of {kind.plural}") from error
        query, most = dict(query) | {"continue": page["continue"]}, min(MOST_OBJECTS, 2 * (most or 1))
