"""What the `lgs` command loads: what only checks or shows something answers at once."""

from __future__ import annotations

import json
import subprocess
import sys


def test_only_lgs_up_loads_an_http_client() -> None:
    code = "import json, sys, lgs_operator.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(json.loads(done.stdout))

    assert "lgs_crds.model" in loaded
    assert not loaded & {"aiohttp", "kopf", "kubernetes", "lgs_operator.local.supervisor"}
