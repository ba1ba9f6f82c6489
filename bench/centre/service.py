"""The centre as it runs: `lgs up` with the example on a PostgreSQL and a Redis of its own, and what can be
done to it. Acts only.

The example is copied, so that nobody who works on it changes what is measured. Its replicas are found as
`lgs up` keeps them: their pids in its data folder, their own ports in their environments.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import yaml
from bench.centre import example
from bench.centre.happenings import records
from bench.processes import PROC, cpu_seconds
from bench.replicas import Ground, Target, process

from support.ports import free_port, wait_until
from support.redis import RedisServer

FAULTS: Final = "CUSTOMER_SERVICE_MODEL_FAULTS"
TIMES: Final = "CUSTOMER_SERVICE_MODEL_TIMES"
START_SECONDS: Final = 120.0
PREMISE_SECONDS: Final = 60.0
UTILIZATION: Final = 0.18
"""Of the slots: three runs at a time are what a replica's share of two cores serves well. The others are for
runs that wait for a slow model, which cost nothing."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the service may become. `slots`: runs at a time in one replica."""

    least: int
    most: int
    slots: int


@dataclass(frozen=True, slots=True)
class Replica:
    """One process. `admin` is its own port."""

    name: str
    pid: int
    admin: int

    def get(self, path: str, seconds: float = 5.0) -> str | None:
        """What it answers with 200; None where it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=seconds) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None


@dataclass(frozen=True, slots=True)
class Held:
    """A run that a replica had under way when something was done to that replica. `how`: what was done."""

    run_id: str
    replica: str
    how: str


@dataclass
class Centre:
    """A service that is up. `held` grows with what is done to its replicas."""

    folder: Path
    port: int
    database_uri: str
    redis: RedisServer
    postgres_pid: int
    up: subprocess.Popen[bytes]
    name: str
    held: list[Held] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """Where `lgs up` keeps its replicas' state."""
        return self.folder / ".lgs" / self.name

    @property
    def history(self) -> Path:
        """Each decision of the scaling law."""
        return self.folder / "history.jsonl"

    @property
    def said(self) -> Path:
        """What `lgs up` says."""
        return self.folder / "up.log"

    def replicas(self) -> list[Replica]:
        """Those that live now."""
        try:
            pids = [int(pid) for pid in (self.data / "workers").read_text().split()]
        except (FileNotFoundError, ValueError):
            return []
        return [replica for pid in pids if (replica := _replica(pid)) is not None]

    def ready(self) -> int:
        """Replicas that took work at the last decision of the scaling law."""
        try:
            last = self.history.read_text("utf-8").splitlines()[-1]
            return int(json.loads(last)["ready"])
        except (FileNotFoundError, IndexError, json.JSONDecodeError):
            return 0

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, also of what has ended."""
        watched = {"replicas": self.up.pid, "PostgreSQL": self.postgres_pid, "Redis": self.redis.pid}
        return {name: cpu_seconds([pid]) for name, pid in watched.items()}

    def model(self, latency_factor: float = 1.0, failure_rate: float = 0.0) -> None:
        """From now on the model is so slow, and so often fails."""
        tell_model(model_of(self.folder), latency_factor, failure_rate)

    def kill(self, seconds: float = PREMISE_SECONDS) -> Replica:
        """SIGKILL for a replica with runs under way. It is stopped first, so that what it holds is known."""
        return self._hit(signal.SIGKILL, "killed", seconds)

    def restart(self, seconds: float = PREMISE_SECONDS) -> Replica:
        """SIGTERM, as a cluster sends it, for a replica that has runs under way; `lgs up` starts another."""
        return self._hit(signal.SIGTERM, "restarted", seconds)

    def _hit(self, number: signal.Signals, how: str, seconds: float) -> Replica:
        late = time.monotonic() + seconds
        while True:
            for replica in self._by_load():
                with suppress(ProcessLookupError):
                    os.kill(replica.pid, signal.SIGSTOP)
                    if under_way := self._under_way(replica.name):
                        self.held += [Held(run, replica.name, how) for run in under_way]
                        os.kill(replica.pid, number)
                        os.kill(replica.pid, signal.SIGCONT)
                        return replica
                    os.kill(replica.pid, signal.SIGCONT)
            if time.monotonic() > late:
                raise TimeoutError(f"no replica had a run under way for {seconds:g} s, so none was {how}")
            time.sleep(0.05)

    def _by_load(self) -> list[Replica]:
        """Replicas with runs under way, those with the most first."""
        held = "SELECT claimed_by, count(*) FROM lgs_run WHERE status = 'running' GROUP BY 1"
        with psycopg.connect(self.database_uri) as connection:
            count: dict[str, int] = dict(connection.execute(held).fetchall())
        there = [replica for replica in self.replicas() if count.get(replica.name)]
        return sorted(there, key=lambda replica: -count[replica.name])

    def _under_way(self, replica: str) -> list[str]:
        held = "SELECT run_id FROM lgs_run WHERE status = 'running' AND claimed_by = %s"
        with psycopg.connect(self.database_uri) as connection:
            return [str(row[0]) for row in connection.execute(held, (replica,)).fetchall()]

    def statuses(self) -> dict[str, str]:
        """Of each run that was held: its status now."""
        asked = "SELECT run_id, status FROM lgs_run WHERE run_id = ANY(%s)"
        with psycopg.connect(self.database_uri) as connection:
            rows = connection.execute(asked, ([each.run_id for each in self.held],)).fetchall()
        return dict(rows)

    def stop_redis(self) -> None:
        """Redis stands still: it takes connections, and answers nothing."""
        os.kill(self.redis.pid, signal.SIGSTOP)

    def wake_redis(self) -> None:
        """It goes on, with what it held."""
        os.kill(self.redis.pid, signal.SIGCONT)

    def model_seconds(self) -> dict[str, float]:
        """What the model itself took for each run. A call that a run made twice, as it began again, counts
        once."""
        path = self.folder.with_suffix(".times.jsonl")
        return model_seconds(records(path.read_text("utf-8").splitlines())) if path.exists() else {}

    def logs(self) -> dict[str, list[str]]:
        """What each replica logged, by its name, and those of replicas that have ended."""
        found = sorted((self.data / "logs").glob("*.err"))
        return {path.stem: path.read_text("utf-8", errors="replace").splitlines() for path in found}


def _replica(pid: int) -> Replica | None:
    try:
        told = (PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    env = dict(each.split("=", 1) for each in told if "=" in each)
    if "LGS_ADMIN_PORT" not in env:
        return None
    return Replica(env["LGS_REPLICA_ID"], pid, int(env["LGS_ADMIN_PORT"]))


def model_seconds(written: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By run, from what the model wrote down. Pure."""
    calls = {(each["run_id"], each["call"]): each["seconds"] for each in written}
    found: dict[str, float] = defaultdict(float)
    for (run, _), seconds in calls.items():
        found[run] += seconds
    return dict(found)


def model_of(folder: Path) -> Path:
    """The file with the model's faults. It stands beside the service's folder: a change of a file in
    there replaces the replicas."""
    return folder.with_suffix(".model.json")


def tell_model(file: Path, latency_factor: float, failure_rate: float) -> None:
    """Writes it at once, so that no reader finds half of it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"latency_factor": latency_factor, "failure_rate": failure_rate}))
    new.replace(file)


def manifest_of(text: str, size: Size) -> tuple[str, str]:
    """The name of the example's service, and its manifest for a machine of this size: what says how many
    replicas there are, and how much each takes, is the machine's; all else is the example's. Pure."""
    manifest: Json = yaml.safe_load(text)
    spec: Json = manifest["spec"]
    given = spec.get("scaling", {})
    spec["scaling"] = {
        **given,
        "minReplicas": size.least,
        "maxReplicas": size.most,
        "target": {**given.get("target", {}), "utilization": UTILIZATION},
        "scaleDown": {"holdSeconds": 3600},
    }
    spec["workers"] = {**spec.get("workers", {}), "concurrency": size.slots, "drainSeconds": 10}
    return manifest["metadata"]["name"], yaml.safe_dump(manifest, sort_keys=False)


@contextmanager
def centre(size: Size, source: Path | None = None, more: Mapping[str, str] | None = None) -> Iterator[Centre]:
    """The service with its least number of replicas ready; everything is ended with the context."""
    source = source or example.FOLDER
    with ExitStack() as stack:
        ground = Ground(stack, [Target("centre", redis=True)])
        folder = ground.folder / "service"
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".lgs"))
        name, manifest = manifest_of((source / "service.yaml").read_text("utf-8"), size)
        (folder / "service.yaml").write_text(manifest, "utf-8")
        tell_model(model_of(folder), 1.0, 0.0)
        port = free_port()
        env = {
            **{each: text for each, text in ground.environment.items() if each != "VIRTUAL_ENV"},
            "DATABASE_URI": ground.postgres_uri,
            "REDIS_URI": ground.redis.uri,
            FAULTS: str(model_of(folder)),
            TIMES: str(folder.with_suffix(".times.jsonl")),
            "COLUMNS": "400",
            **example.VARIABLES,
            **(more or {}),
        }
        command = [sys.executable, "-m", "lgs_operator.cli", "up", str(folder / "service.yaml")]
        command += ["--port", str(port), "--history", str(folder / "history.jsonl")]
        command += ["--python", sys.executable]
        left: list[Callable[[], None]] = []
        stack.callback(lambda: [each() for each in left])
        up = stack.enter_context(process(command, env, folder / "up.log"))
        found = Centre(folder, port, ground.postgres_uri, ground.redis, ground.postgres.pid, up, name)
        left.append(lambda: end_left_over(found))
        wait_until(lambda: _serves(found, size), f"the service serves (log in {found.said})", START_SECONDS)
        yield found


def _serves(found: Centre, size: Size) -> bool:
    if found.up.poll() is not None:
        raise RuntimeError(f"lgs up ended: {found.said.read_text('utf-8')[-3000:]}")
    ready = [replica for replica in found.replicas() if replica.get("/ready") is not None]
    return len(ready) >= size.least and found.ready() >= size.least


def end_left_over(found: Centre) -> None:
    """Kills replicas that outlived their `lgs up`; there are none unless that was killed."""
    for replica in found.replicas():
        with suppress(ProcessLookupError):
            os.kill(replica.pid, signal.SIGKILL)
