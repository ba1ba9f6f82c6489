"""The id of a database: random, made with the tables, and copied with every copy of them.

A database that came back empty, or that belongs to another service, answers every statement; only its id
shows the mistake. Two services that are given one database on purpose have the same id.
"""

from __future__ import annotations

from typing import Final

EMPTY: Final = "the database is empty"
ANOTHER: Final = "the database is another one"


def mismatch(found: str | None, known: str) -> str | None:
    """What is wrong with a database whose id is `found`; None: nothing. `found` is None when the database has
    no id, because its tables are gone."""
    if found is None:
        return f"{EMPTY}: the tables of the service are gone; its id was {known}: restore it"
    if found != known:
        return f"{ANOTHER}: its id is {found}, and the service knows {known}: give it its own back"
    return None
