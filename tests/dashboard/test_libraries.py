"""The libraries of the page are what its lock file names, byte for byte."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.environ.get("LGS_TEST_JAVASCRIPT") != "required", reason="asks a registry: make test")
def test_what_is_committed_is_what_the_lock_file_names() -> None:
    done = subprocess.run(
        [ROOT / "tools/dashboard/vendor.sh", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_the_lock_file_names_no_host_and_a_digest_of_each() -> None:
    text = (ROOT / "tools/dashboard/package-lock.json").read_text("utf-8")

    assert "://" not in text
    assert text.count('"integrity"') == text.count("node_modules/")


def test_a_wheel_has_the_page_with_the_licences() -> None:
    """It takes all files below its package that git does not ignore."""
    static = ROOT / "operator/src/lgs_operator/dashboard/static"
    wheel = tomllib.loads((ROOT / "operator/pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    files = [path for path in static.rglob("*") if path.is_file()]

    ignored = subprocess.run(
        ["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert wheel["targets"]["wheel"]["packages"] == ["src/lgs_operator"]
    assert {"index.html", "app.js", "uplot.js", "dagre.js", "LICENSES.txt"} <= {path.name for path in files}
    assert ignored.stdout == ""
