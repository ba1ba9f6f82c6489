"""What may go wrong in a long ordeal, each with its own repair; which one and when is decided by a seed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

from chaos.field import LEASE_SECONDS, Field

MOST_SECONDS = LEASE_SECONDS * 2
Fault = Callable[[Field, random.Random], None]


def kill_a_replica(field: Field, dice: random.Random) -> None:
    """One process is gone at once; another takes its place."""
    field.fleet.end(dice.choice(field.fleet.replicas))
    field.fleet.start(1)


def kill_all_replicas(field: Field, dice: random.Random) -> None:
    """All processes are gone at once; others take their place."""
    for replica in list(field.fleet.replicas):
        field.fleet.end(replica)
    field.fleet.start(3)


def drain_a_replica(field: Field, dice: random.Random) -> None:
    """One process is asked to end, as in a rolling update."""
    field.fleet.start(1)
    field.fleet.wait_ready()
    field.fleet.end(field.fleet.replicas[0], signal.SIGTERM)


def pause_a_replica(field: Field, dice: random.Random) -> None:
    """One process stands still, perhaps for longer than its lease."""
    process = dice.choice(field.fleet.replicas).process
    process.send_signal(signal.SIGSTOP)
    time.sleep(dice.uniform(0.5, MOST_SECONDS))
    process.send_signal(signal.SIGCONT)


def crash_postgres(field: Field, dice: random.Random) -> None:
    """The server ends without writing anything, and recovers."""
    field.server.stop(crash=True)
    time.sleep(dice.uniform(0.0, 3.0))
    field.server.start()


def pause_postgres(field: Field, dice: random.Random) -> None:
    """The server stands still."""
    field.pause_database(dice.uniform(0.5, MOST_SECONDS))


def cut_connections(field: Field, dice: random.Random) -> None:
    """All connections to the database break, several times."""
    for _ in range(dice.randint(1, 6)):
        field.to_database.cut()
        time.sleep(dice.uniform(0.0, 0.5))


def refuse_connections(field: Field, dice: random.Random) -> None:
    """No connection reaches the database; each is refused."""
    field.to_database.refuse()
    time.sleep(dice.uniform(0.5, MOST_SECONDS))
    field.to_database.mend()


def swallow_packets(field: Field, dice: random.Random) -> None:
    """No connection reaches the database, without an error."""
    field.to_database.freeze()
    time.sleep(dice.uniform(0.5, MOST_SECONDS))
    field.to_database.mend()


def lose_redis(field: Field, dice: random.Random) -> None:
    """Redis goes and comes back empty."""
    field.redis.stop()
    time.sleep(dice.uniform(0.0, 3.0))
    field.redis.start()


FAULTS: tuple[Fault, ...] = (
    kill_a_replica,
    kill_a_replica,
    kill_all_replicas,
    drain_a_replica,
    pause_a_replica,
    crash_postgres,
    pause_postgres,
    cut_connections,
    refuse_connections,
    swallow_packets,
    lose_redis,
)
