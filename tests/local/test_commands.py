"""What the `lgs` command loads: what only checks or shows something answers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_only_lgs_up_loads_an_http_client() -> None:
    code = "import json, sys, lgs_operator.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(json.loads(done.stdout))

    assert "lgs_crds.model" in loaded
    assert not loaded & {"aiohttp", "kopf", "kubernetes", "lgs_operator.local.supervisor"}


BARRED = """
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("kopf", "kubernetes"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Barred())
"""


def without_a_cluster(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where neither kopf nor the Kubernetes client is installed."""
    (folder / "sitecustomize.py").write_text(BARRED)
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)


def test_every_command_of_lgs_works_without_what_talks_to_a_cluster(tmp_path: Path) -> None:
    """Their requirements would meet the application's: lgs may be installed beside it."""
    parts = "lgs_operator.cli, lgs_operator.local.supervisor, lgs_operator.local.view"

    done = without_a_cluster(tmp_path, f"import {parts}; print('all there')")

    assert done.stdout == "all there\n", done.stderr


def test_the_operator_says_which_extra_it_lacks(tmp_path: Path) -> None:
    done = without_a_cluster(tmp_path, "import sys; from lgs_operator.start import main; sys.exit(main())")

    assert done.returncode == 2
    assert "pip install 'lgs-operator[cluster]'" in done.stderr
    assert "Traceback" not in done.stderr
