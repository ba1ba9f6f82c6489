"""`python -m lgs_crds.generate [--check]`: writes the CRD where the repository and the chart keep it.

`--check` writes nothing and exits 1 if a file differs from the models.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lgs_crds.crd import crd_yaml

ROOT = Path(__file__).resolve().parents[3]
PATHS = (
    ROOT / "crds" / "lgs.dev_langgraphservices.yaml",
    ROOT / "helm" / "lgs-operator" / "files" / "lgs.dev_langgraphservices.yaml",
)


def main() -> int:
    """Returns exit code 0 if the files are (now) as the models say, 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser(description="Write the CRD from the models of the manifest.")
    parser.add_argument("--check", action="store_true", help="only report whether the files are up to date")
    check = parser.parse_args().check
    wanted = crd_yaml()
    stale = [path for path in PATHS if not path.exists() or path.read_text("utf-8") != wanted]
    for path in stale:
        if check:
            sys.stderr.write(f"{path}: differs from the models; run: python -m lgs_crds.generate\n")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
