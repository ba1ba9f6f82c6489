"""What an application installs beside the runtime keeps within its bounds, by a file that pip and uv take."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

IMAGE = Path(__file__).parents[2] / "images" / "runtime"


def test_the_constraints_of_the_stock_image_hold_the_runtime_and_the_bounds_of_what_it_needs() -> None:
    printed = subprocess.run(
        [sys.executable, IMAGE / "constraints.py"], check=True, capture_output=True, text=True
    ).stdout

    runtime, *others = [Requirement(line) for line in printed.splitlines() if not line.startswith("#")]
    needed = [Requirement(each) for each in requires("lgs-runtime") or ()]
    assert str(runtime) == f"lgs-runtime=={version('lgs-runtime')}"
    assert not [each.name for each in others if each.extras], "pip refuses a constraint with extras"
    assert [(each.name, each.specifier, str(each.marker)) for each in others] == [
        (each.name, each.specifier, str(each.marker)) for each in needed
    ]
    assert any(each.name == "langgraph" and each.specifier for each in others)


def test_pip_and_uv_are_told_of_the_constraints_whoever_builds_on_the_stock_image() -> None:
    lines = (IMAGE / "Dockerfile").read_text()

    [written] = [line.rpartition("> ")[2] for line in lines.splitlines() if "constraints.py >" in line]
    assert f"PIP_CONSTRAINT={written} UV_CONSTRAINT={written}" in lines
