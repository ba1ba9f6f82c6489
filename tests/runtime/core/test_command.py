"""The command `lgs-runtime` as its user sees it: what a start that fails says last, what `check` says, and
how soon a start ends that is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from support.ports import PATIENCE_SECONDS

TERMINATION_MESSAGE_BYTES = 2048
GOOD = """
from typing_extensions import TypedDict
from langgraph.graph import StateGraph, START
class State(TypedDict):
    text: str
builder = StateGraph(State)
builder.add_node("node", lambda state: state)
builder.add_edge(START, "node")
graph = builder.compile()
def make(config): return graph
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Run:
    """Runs the command in a folder with these files, to its end."""

    def run(
        *arguments: str, files: Mapping[str, str], config: Mapping[str, object], **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "lgs_runtime", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=application(tmp_path, files, config),
            env={"PATH": "/usr/bin:/bin", "LGS_PORT": "0", **env},
            timeout=PATIENCE_SECONDS,
        )

    return run


def application(folder: Path, files: Mapping[str, str], config: Mapping[str, object]) -> Path:
    for name, text in {**files, "langgraph.json": json.dumps(config)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def plain(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines on stderr that are none of the log."""
    return [line for line in done.stderr.splitlines() if not line.startswith("{")]


FAILING = {
    "agent.py": "import tools\n",
    "tools.py": "import os\n\ndef model():\n    return os.environ['MODEL_KEY']\n\nmodel()\n",
}


def test_a_graph_that_raises_is_told_with_its_traceback_from_the_users_first_line(
    command: Run, tmp_path: Path
) -> None:
    done = command("serve", files=FAILING, config={"graphs": {"agent": "./agent.py:graph"}})

    assert done.returncode == 2
    said = plain(done)
    assert said[:2] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/agent.py", line 1, in <module>',
    ]
    assert f'  File "{tmp_path}/tools.py", line 4, in model' in said
    assert "KeyError: 'MODEL_KEY'" in said
    assert said[-1] == (
        f"graphs.agent: ./agent.py:graph: it raised at import: KeyError: 'MODEL_KEY' ({tmp_path}/tools.py:4)"
    )
    assert done.stderr.count("Traceback") == 1


def test_the_end_of_the_log_that_kubernetes_keeps_has_what_was_raised_and_all_the_graphs_that_fail(
    command: Run,
) -> None:
    deep = "def down(n):\n    if n: down(n - 1)\n    raise OSError('no license')\n\ndown(60)\n"
    graphs = {
        "one": "./agent.py:graph",
        "two": "./agent.py:other",
        "three": "./deep.py:graph",
        "four": "./x.ts:g",
    }

    done = command("serve", files={**FAILING, "deep.py": deep}, config={"graphs": graphs})

    kept = done.stderr.encode()[-TERMINATION_MESSAGE_BYTES:].decode(errors="ignore").splitlines()[-80:]
    assert done.returncode == 2
    assert "OSError: no license" in kept
    assert [line.split(": ")[0] for line in kept[-4:]] == [f"graphs.{name}" for name in graphs]
    assert done.stderr.count("KeyError: 'MODEL_KEY'\n") == 1


@pytest.mark.parametrize(
    ("section", "text", "code", "said"),
    [
        (
            {"auth": {"path": "./own.py:auth"}},
            "raise ValueError('x')\n",
            2,
            "auth.path: ./own.py:auth: it raised",
        ),
        (
            {"encryption": {"path": "./own.py:e"}},
            "1 / 0\n",
            2,
            "encryption.path: ./own.py:e: it raised at import",
        ),
        (
            {"priority": {"path": "./own.py:p"}},
            "1 / 0\n",
            2,
            "priority.path: ./own.py:p: it raised at import",
        ),
        ({"http": {"app": "./own.py:app"}}, "1 / 0\n", 2, "http.app: ./own.py:app: it raised at import"),
        (
            {"http": {"app": "./own.py:app"}},
            "from contextlib import asynccontextmanager\nfrom starlette.applications import Starlette\n"
            "@asynccontextmanager\nasync def life(app):\n    raise LookupError('no till')\n    yield\n"
            "app = Starlette(lifespan=life)\n",
            1,
            "http.app: ./own.py:app: its lifespan raised LookupError: no till",
        ),
        (
            {"checkpointer": {"path": "./own.py:make"}},
            "1 / 0\n",
            2,
            "checkpointer.path: ./own.py:make: it raised",
        ),
        (
            {"checkpointer": {"path": "./own.py:make"}},
            "def make():\n    raise OSError('no disk')\n",
            2,
            "checkpointer.path: ./own.py:make: it raised when it was opened: OSError: no disk",
        ),
        (
            {"store": {"path": "./own.py:make"}},
            "async def make():\n    raise OSError('no disk')\n",
            2,
            "store.path: ./own.py:make: it raised when it was opened: OSError: no disk",
        ),
        (
            {"store": {"index": {"embed": "./own.py:make", "dims": 2}}},
            "import sys\nsys.exit('no key')\n",
            2,
            "store.index.embed: ./own.py:make: it raised at import: SystemExit: no key",
        ),
    ],
)
def test_whatever_of_the_users_raises_at_start_is_told_once_and_in_the_same_form(
    command: Run, tmp_path: Path, section: dict[str, object], text: str, code: int, said: str
) -> None:
    config = {"graphs": {"agent": "./agent.py:graph"}, **section}

    done = command("serve", files={"agent.py": GOOD, "own.py": text}, config=config)

    assert done.returncode == code
    lines = plain(done)
    assert lines[-1].startswith(said)
    assert lines[1].startswith(f'  File "{tmp_path}/own.py", line ')
    assert done.stderr.count("Traceback (most recent call last)") == 1


def test_check_says_what_there_is(command: Run) -> None:
    config = {
        "graphs": {"agent": "./agent.py:graph", "made": "./agent.py:make"},
        "auth": {"path": "./own.py:auth"},
        "http": {"app": "./own.py:app"},
        "checkpointer": {"path": "./own.py:saver"},
    }
    own = (
        "from langgraph_sdk import Auth\nfrom starlette.applications import Starlette\nauth = Auth()\n"
        "@auth.authenticate\nasync def who(headers): return 'me'\napp = Starlette()\n"
        "def saver(): raise OSError('not to be called')\n"
    )

    done = command(
        "check", files={"agent.py": GOOD, "own.py": own}, config=config, DATABASE_URI="postgres://no/db"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "auth.path: ./own.py:auth: authenticates",
        "checkpointer.path: ./own.py:saver: a function, not called",
        "http.app: ./own.py:app: a Starlette application",
        "graphs.agent: ./agent.py:graph: a graph (CompiledStateGraph)",
        "graphs.made: ./agent.py:make: a factory that takes config",
    ]


def test_check_says_all_that_is_wrong_and_what_is_right(command: Run) -> None:
    config = {
        "graphs": {
            "good": "./good.py:graph",
            "bad": "./agent.py:graph",
            "other": "./b.ts:g",
            "third": "./c.js:g",
        },
        "auth": {"path": "./missing.py:auth"},
        "http": {"app": "./own.py:app"},
    }

    done = command("check", files={**FAILING, "good.py": GOOD, "own.py": "1 / 0\n"}, config=config)

    assert done.returncode == 2
    assert done.stdout.splitlines() == ["graphs.good: ./good.py:graph: a graph (CompiledStateGraph)"]
    last = plain(done)[-5:]
    assert [line.split(": ")[0] for line in last] == [
        "auth.path",
        "http.app",
        "graphs.bad",
        "graphs.other",
        "graphs.third",
    ]
    assert [done.stderr.count(each) for each in ("ZeroDivisionError: ", "KeyError: ")] == [2, 2]


def test_a_graph_may_run_an_event_loop_at_import(command: Run) -> None:
    loop = "import asyncio\nasync def tools(): return ['x']\nTOOLS = asyncio.run(tools())\n"

    done = command("check", files={"agent.py": loop + GOOD}, config={"graphs": {"agent": "./agent.py:graph"}})

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "config",
    [
        {"graphs": {"agent": "./slow.py:graph"}},
        {"graphs": {"agent": "./agent.py:graph"}, "http": {"app": "./slow.py:app"}},
        {"graphs": {"agent": "./agent.py:graph"}, "auth": {"path": "./slow.py:auth"}},
    ],
    ids=["graph", "http.app", "auth"],
)
async def test_a_start_that_is_stopped_while_it_imports_ends_at_once(
    tmp_path: Path, config: Mapping[str, object], number: int
) -> None:
    slow = "import sys, time\nprint('importing', flush=True)\ntime.sleep(600)\n"
    application(tmp_path, {"slow.py": slow, "agent.py": GOOD}, config)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "lgs_runtime",
        "serve",
        "--port",
        "0",
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.stdout.readline() == b"importing\n"

        process.send_signal(number)
        _, said = await process.communicate()

    assert process.returncode == 0
    assert json.loads(said.splitlines()[-1])["event"] == "replica.stopped"


def asked_to_stop() -> None:
    """As in an image: signals to stop are blocked before Python starts. One has been sent already."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    while signal.SIGTERM not in signal.sigpending():
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "code", "event"),
    [(["serve", "--port", "0"], 0, "replica.stopped"), (["dump", "--help"], 143, None)],
    ids=["serve", "dump"],
)
def test_a_stop_that_was_asked_for_before_the_first_instruction_is_heard(
    tmp_path: Path, arguments: Sequence[str], code: int, event: str | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lgs_runtime", *arguments],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        preexec_fn=asked_to_stop,
    )

    assert done.returncode == code, done.stderr
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ([event] if event else [])


@asynccontextmanager
async def serving(folder: Path, **env: str) -> AsyncIterator[tuple[httpx.AsyncClient, list[str]]]:
    """A replica in this folder, to be asked, and the lines of its log, all of them when the context has
    ended."""
    said: list[str] = []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "lgs_runtime", "serve", "--port", "0"),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LGS_LAME_DUCK_SECONDS": "0", **env},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while '"http.listens"' not in (said[-1] if said else ""):
                said.append((await process.stderr.readline()).decode())
                assert said[-1], said
            url = f"http://127.0.0.1:{json.loads(said[-1])['port']}"
            # It listens a moment after it says so.
            patient = httpx.AsyncHTTPTransport(retries=8)
            async with httpx.AsyncClient(base_url=url, transport=patient, timeout=PATIENCE_SECONDS) as client:
                await client.get("/ok")
                while '"replica.serves"' not in said[-1]:
                    said.append((await process.stderr.readline()).decode())
                    assert said[-1], said
                yield client, said
                process.terminate()
                said.extend((await process.stderr.read()).decode().splitlines())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("file", [True, False], ids=["with its langgraph.json", "without"])
async def test_an_image_that_is_to_be_closed_starts_closed(tmp_path: Path, file: bool) -> None:
    own = "from langgraph_sdk import Auth\nauth = Auth()\n@auth.authenticate\nasync def who(): assert False\n"
    application(tmp_path, {"agent.py": GOOD, "own.py": own}, {"graphs": {"agent": "./agent.py:graph"}})
    if not file:
        (tmp_path / "langgraph.json").unlink()
    image = {
        "LANGSERVE_GRAPHS": json.dumps({"agent": f"{tmp_path}/agent.py:graph"}),
        "LANGGRAPH_AUTH": json.dumps({"path": f"{tmp_path}/own.py:auth"}),
        "LANGGRAPH_HTTP": json.dumps({"mount_prefix": "/api"}),
    }

    async with serving(tmp_path, **image) as (client, _):
        answer = await client.post("/api/threads/search", json={})

    assert answer.status_code == 401


async def test_what_a_route_of_the_application_raises_is_logged_once(tmp_path: Path) -> None:
    web = (
        "from fastapi import FastAPI\napp = FastAPI()\n"
        "@app.get('/broken')\nasync def broken(): raise ValueError('of my own')\n"
    )
    config = {"graphs": {"agent": "./agent.py:graph"}, "http": {"app": "./web.py:app"}}

    async with serving(application(tmp_path, {"agent.py": GOOD, "web.py": web}, config)) as (client, said):
        answer = await client.get("/broken")

    assert answer.status_code == 500
    told = [json.loads(line) for line in said if "ValueError: of my own" in line]
    assert [(entry["event"], entry["path"]) for entry in told] == [("request.failed", "/broken")]


@pytest.mark.parametrize(
    "taken",
    [
        "import logging.config\nlogging.config.dictConfig({'version': 1, 'root': {'level': 'ERROR'}})\n",
        "import logging\nlogging.basicConfig(level=logging.ERROR, force=True)\n",
        "import structlog\nstructlog.configure(processors=[structlog.dev.ConsoleRenderer()])\n",
    ],
    ids=["logging.config", "logging.basicConfig", "structlog"],
)
async def test_an_application_that_sets_up_its_own_log_leaves_the_replica_its(
    tmp_path: Path, taken: str
) -> None:
    config = {"graphs": {"agent": "./agent.py:graph"}}

    async with serving(application(tmp_path, {"agent.py": taken + GOOD}, config)) as (_, said):
        pass

    events = [json.loads(line)["event"] for line in said[-12:] if line.startswith("{")]
    assert {"replica.serves", "replica.drains", "replica.closed"} <= set(events)


def test_how_the_log_is_written_is_said_by_the_variables_of_langgraphs_server(command: Run) -> None:
    config = {"graphs": {"agent": "./agent.py:graph"}, "dependencies": ["httpx"], "unknown": 1}

    wrong = command("check", files={"agent.py": GOOD}, config=config, LOG_LEVEL="loud")
    quiet = command("check", files={"agent.py": GOOD}, config=config, LOG_LEVEL="warning", LOG_JSON="true")
    text = command("check", files={"agent.py": GOOD}, config=config, LOG_JSON="false")

    assert (wrong.returncode, wrong.stderr.split(": must")[0]) == (2, "LOG_LEVEL: LOUD")
    assert [json.loads(line)["event"] for line in quiet.stderr.splitlines()] == ["config.unknown_keys"]
    assert "config.packages_are_for_the_image" in text.stderr
    assert "{" not in text.stderr.splitlines()[0]


async def test_a_start_is_heard_before_it_has_imported_anything_that_takes_time() -> None:
    code = (
        "import sys; sys.argv[1:] = ['serve']; sys.modules['lgs_runtime.cli'] = None\n"
        "from lgs_runtime.__main__ import main\n"
        "try: main()\nexcept ImportError: pass\n"
        "import signal; print(signal.getsignal(signal.SIGTERM).__module__)\n"
        "print({'typer', 'typing', 're'} & set(sys.modules))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["lgs_runtime.stopping", "set()"]
