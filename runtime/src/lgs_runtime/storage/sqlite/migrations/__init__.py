"""The tables of the service in SQLite, as the changes that bring a database to their newest form.

Each module has the changes of one subject, and `MIGRATIONS` lists all of them in the order in which they are
made. A released change is never edited; a further change is added at the end. Times are seconds since the
epoch; JSON is text.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.storage.sqlite.migrations import crons, initial, replicas, runs, spending, threads

MIGRATIONS: Final = (
    initial.TABLES,
    runs.SPENT_THREADS,
    runs.WEBHOOKS,
    crons.CRONS,
    threads.VERSIONS,
    runs.CALLERS,
    runs.FAIRNESS,
    threads.AUDIT,
    threads.TTL,
    runs.GRAPHS,
    replicas.STEADY_LEASES,
    replicas.DATABASE,
    replicas.CANARIES,
    spending.SPENT,
    spending.SPENDERS,
    crons.OF_THREADS,
    replicas.FAMILIES,
    replicas.PINS,
)
