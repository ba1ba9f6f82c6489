"""Applications laid out in every way that public ones are: each loads, with one module a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.importing import extend_import_path
from lgs_runtime.graphs.loader import load_graph, load_graphs
from lgs_runtime.graphs.manifest import GraphSpec, import_folders

GRAPH = """
from typing_extensions import TypedDict
from langgraph.graph import StateGraph, START
{imports}
class State(TypedDict):
    text: str
builder = StateGraph(State)
builder.add_node("node", lambda state: {{"text": {value}}})
builder.add_edge(START, "node")
graph = builder.compile()
other = builder.compile()
"""
TOOLS = "T = 'ok'\n"


def graph(imports: str = "", value: str = "'ok'") -> str:
    return GRAPH.format(imports=imports, value=value)


Layout = tuple[dict[str, str], str, tuple[str, ...]]
LAYOUTS: Mapping[str, Layout] = {
    "a package that imports its graph": (
        {"pkg/__init__.py": "from .agent import graph\n", "pkg/agent.py": graph()},
        "./pkg/agent.py",
        (".",),
    ),
    "a package that imports its graph by its name": (
        {
            "pkg/__init__.py": "from pkg.agent import graph\n",
            "pkg/agent.py": graph("from pkg.tools import T", "T"),
            "pkg/tools.py": TOOLS,
        },
        "./pkg/agent.py",
        (".",),
    ),
    "a package in src": (
        {
            "src/agent/__init__.py": "from agent.graph import graph\n",
            "src/agent/graph.py": graph("from agent.tools import T", "T"),
            "src/agent/tools.py": TOOLS,
        },
        "./src/agent/graph.py",
        (".",),
    ),
    "a package in src, without any dependencies": (
        {
            "src/agent/__init__.py": "",
            "src/agent/graph.py": graph("from agent.tools import T", "T"),
            "src/agent/tools.py": TOOLS,
        },
        "./src/agent/graph.py",
        (),
    ),
    "src as a part of the name": (
        {
            "src/__init__.py": "",
            "src/agent/__init__.py": "",
            "src/agent/graph.py": graph("from src.agent.tools import T", "T"),
            "src/agent/tools.py": TOOLS,
        },
        "./src/agent/graph.py",
        (".",),
    ),
    "relative imports": (
        {
            "agent/__init__.py": "",
            "agent/graph.py": graph("from .tools import T", "T"),
            "agent/tools.py": TOOLS,
        },
        "./agent/graph.py",
        (".",),
    ),
    "relative imports without an __init__": (
        {"agent/graph.py": graph("from .tools import T", "T"), "agent/tools.py": TOOLS},
        "./agent/graph.py",
        ("./agent",),
    ),
    "the configuration inside of the package": (
        {"__init__.py": "", "graph.py": graph("from .tools import T", "T"), "tools.py": TOOLS},
        "./graph.py",
        (".",),
    ),
    "a folder whose modules call each other by plain names": (
        {"agents/graph.py": graph("from tools import T", "T"), "agents/tools.py": TOOLS},
        "./agents/graph.py",
        ("./agents",),
    ),
    "packages in folders of their own": (
        {
            "libs/core/src/core_lib/__init__.py": TOOLS,
            "apps/agent/agent_app/__init__.py": "",
            "apps/agent/agent_app/graph.py": graph("from core_lib import T", "T"),
        },
        "./apps/agent/agent_app/graph.py",
        ("./libs/core", "./apps/agent"),
    ),
    "a folder called as one of Python's": (
        {"test/__init__.py": "", "test/graph.py": graph("from .tools import T", "T"), "test/tools.py": TOOLS},
        "./test/graph.py",
        (".",),
    ),
    "a file called as one of Python's": ({"calendar.py": graph()}, "./calendar.py", (".",)),
    "a folder called as an installed package": (
        {"langgraph/graph.py": graph()},
        "./langgraph/graph.py",
        (".",),
    ),
    "a package called as an installed one": (
        {"httpx/__init__.py": "", "httpx/graph.py": graph("import httpx\nhttpx.AsyncClient")},
        "./httpx/graph.py",
        (".",),
    ),
    "a file called as an installed package that others need": (
        {"cronsim.py": graph("from cronsim import CronSim")},
        "./cronsim.py",
        (".",),
    ),
    "a namespace": (
        {"x/y/graph.py": graph("from x.y.tools import T", "T"), "x/y/tools.py": TOOLS},
        "./x/y/graph.py",
        (".",),
    ),
    "a file whose name is none in Python": ({"my-agent.py": graph()}, "./my-agent.py", (".",)),
    "a file with a dot in its name": ({"my.agent.py": graph()}, "./my.agent.py", (".",)),
    "a folder whose name is none in Python": (
        {"my-agents/graph.py": graph()},
        "./my-agents/graph.py",
        (".",),
    ),
    "a package that nobody installed, beside the folder": (
        {
            "app/.keep": "",
            "../other/src/agent_b/__init__.py": "",
            "../other/src/agent_b/mine/__init__.py": "",
            "../other/src/agent_b/mine/graph.py": graph("from agent_b.mine.tools import T", "T"),
            "../other/src/agent_b/mine/tools.py": TOOLS,
        },
        "../other/src/agent_b/mine/graph.py",
        ("./app",),
    ),
    "a file beside the folder": ({"../beside.py": graph()}, "../beside.py", (".",)),
    "packages that begin above the configuration": (
        {
            "../__init__.py": "",
            "__init__.py": "",
            "graph.py": graph("from .parts.tools import T", "T"),
            "parts/__init__.py": "",
            "parts/tools.py": TOOLS,
        },
        "./graph.py",
        (".",),
    ),
    "a dotted module": (
        {"pkg/__init__.py": "", "pkg/agent.py": graph("from .tools import T", "T"), "pkg/tools.py": TOOLS},
        "pkg.agent",
        (".",),
    ),
    "the package's own file": (
        {"pkg/__init__.py": graph("from .tools import T", "T"), "pkg/tools.py": TOOLS},
        "./pkg/__init__.py",
        (".",),
    ),
    "a path as Windows writes it": ({"pkg/agent.py": graph()}, ".\\pkg\\agent.py", (".",)),
}


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """What a test imports is gone after it."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] not in {known.partition(".")[0] for known in modules}:
            del sys.modules[name]


def written(folder: Path, files: Mapping[str, str], dependencies: tuple[str, ...] = (".",)) -> Path:
    """The application as files, on the import path as its dependencies say."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    folders = [folder, *((folder / name).resolve() for name in dependencies)]
    extend_import_path(tuple(path for each in folders for path in import_folders(each)))
    return folder


def modules_of(file: Path) -> set[int]:
    """Which modules were made of a file, whatever their names."""
    loaded = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    # Of one that an earlier test has imported, the file may be gone.
    there = [(module, Path(str(module.__file__))) for module in loaded]
    return {id(module) for module, path in there if path.exists() and file.samefile(path)}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_an_application_loads_however_it_is_laid_out(tmp_path: Path, layout: str) -> None:
    files, location, dependencies = LAYOUTS[layout]
    source = written(tmp_path / "topmost" / "service", files, dependencies)

    loaded = load_graph("agent", GraphSpec(f"{location}:graph"), source)

    assert loaded.graph is not None
    assert await loaded.graph.ainvoke({"text": ""}) == {"text": "ok"}
    file = location.replace("\\", "/") if location.endswith(".py") else f"{location.replace('.', '/')}.py"
    assert len(modules_of((source / file).resolve())) == 1


def test_two_graphs_of_one_file_are_of_one_module(tmp_path: Path) -> None:
    count = "from pathlib import Path\nwith Path(__file__).with_name('count').open('a') as f: f.write('x')"
    source = written(tmp_path, {"agent.py": graph(count)})

    load_graphs({"a": GraphSpec("./agent.py:graph"), "b": GraphSpec("./agent.py:other")}, source)

    assert (source / "count").read_text() == "x"


async def test_files_of_the_same_name_in_two_folders_are_two_graphs(tmp_path: Path) -> None:
    files = {f"{name}/graph.py": graph(value=f"{name!r}") for name in ("a", "b")}
    source = written(tmp_path, files, ("./a", "./b"))

    specs = {name: GraphSpec(f"./{name}/graph.py:graph") for name in ("a", "b")}
    one, other = (loaded.graph for loaded in load_graphs(specs, source))

    assert one is not None
    assert other is not None
    assert await one.ainvoke({"text": ""}) == {"text": "a"}
    assert await other.ainvoke({"text": ""}) == {"text": "b"}


def test_a_graph_and_who_imports_it_by_name_share_one_module(tmp_path: Path) -> None:
    source = written(tmp_path, {"lone_agent.py": graph(), "lone_app.py": "from lone_agent import graph\n"})

    agent = load_graph("agent", GraphSpec("./lone_agent.py:graph"), source)
    app = load_graph("app", GraphSpec("./lone_app.py:graph"), source)

    assert agent.graph is app.graph


def test_the_files_of_a_config_map_are_links_and_load_by_their_names(tmp_path: Path) -> None:
    files = {"mounted.py": graph("from mounted_tools import T"), "mounted_tools.py": TOOLS}
    (tmp_path / "..2026_11_28").mkdir()
    for name, text in files.items():
        (tmp_path / "..2026_11_28" / name).write_text(text)
        (tmp_path / name).symlink_to(tmp_path / "..2026_11_28" / name)
    source = written(tmp_path, {})

    loaded = load_graph("agent", GraphSpec("./mounted.py:graph"), source)

    assert loaded.graph is not None
    assert len(modules_of(source / "mounted.py")) == 1
    assert "mounted" in sys.modules


def test_an_installed_application_is_found_wherever_it_stands(tmp_path: Path) -> None:
    files = {"deps/agent_image/__init__.py": "", "deps/agent_image/graph.py": graph("from .tools import T")}
    written(tmp_path, {**files, "deps/agent_image/tools.py": TOOLS}, ("./deps",))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    load_graph("agent", GraphSpec(f"{tmp_path}/deps/agent_image/graph.py:graph"), elsewhere)

    assert "agent_image.graph" in sys.modules


def test_a_graph_whose_package_can_not_be_imported_loads_without_it_and_that_is_told(tmp_path: Path) -> None:
    source = written(tmp_path, {"broken/__init__.py": "import not_installed\n", "broken/agent.py": graph()})

    with structlog.testing.capture_logs() as logs:
        loaded = load_graph("agent", GraphSpec("./broken/agent.py:graph"), source)

    assert loaded.graph is not None
    (entry,) = logs
    assert (entry["event"], entry["package"]) == ("graph.imported_without_its_package", "broken")
    assert entry["reason"].startswith("ModuleNotFoundError: No module named 'not_installed'")


def test_a_graph_that_needs_its_package_is_told_what_the_package_raised(tmp_path: Path) -> None:
    files = {
        "cracked/__init__.py": "import not_installed\n",
        "cracked/agent.py": graph("from .tools import T"),
    }
    source = written(tmp_path, files)

    with pytest.raises(ConfigError) as raised:
        load_graph("agent", GraphSpec("./cracked/agent.py:graph"), source)

    assert f"No module named 'not_installed' ({source}/cracked/__init__.py:1)" in str(raised.value)


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        (
            "import beside_it",
            "; beside_it stands beside it: add {source}/agents to dependencies of langgraph.json",
        ),
        (
            "import not_installed.at_all",
            "; not_installed must be installed beside lgs-runtime, or stand in a folder",
        ),
        (
            "import langgraph.no_such_part",
            "No module named 'langgraph.no_such_part' ({source}/agents/graph.py:4)",
        ),
    ],
)
def test_a_module_that_is_not_found_is_told_with_the_way_out(tmp_path: Path, imports: str, said: str) -> None:
    source = written(tmp_path, {"agents/graph.py": graph(imports), "agents/beside_it.py": TOOLS})

    with pytest.raises(ConfigError) as raised:
        load_graph("agent", GraphSpec("./agents/graph.py:graph"), source)

    assert said.format(source=source) in str(raised.value)
