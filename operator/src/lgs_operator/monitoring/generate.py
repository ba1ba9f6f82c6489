"""`python -m lgs_operator.monitoring.generate [--check]`: writes the operator's rules and
dashboard into the chart.

`--check` writes nothing and exits 1 if a file differs from the descriptions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from lgs_operator.monitoring.alerts import groups
from lgs_operator.monitoring.grafana import dashboard_json
from lgs_operator.monitoring.operator_alerts import OPERATOR_ALERTS
from lgs_operator.monitoring.operator_board import OPERATOR_BOARD

FILES = Path(__file__).resolve().parents[4] / "helm" / "lgs-operator" / "files"
RULES = FILES / "rules.yaml"
DASHBOARD = FILES / "dashboard.json"


def contents() -> Mapping[Path, str]:
    """What each file should hold."""
    rules = {"groups": groups("lgs-operator", OPERATOR_ALERTS)}
    text = yaml.safe_dump(rules, sort_keys=False, width=200)
    return {RULES: text, DASHBOARD: dashboard_json(OPERATOR_BOARD, indent=1)}


def main() -> int:
    """Returns exit code 0 if the files are (now) as described, 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser(description="Write the operator's rules and dashboard into the chart.")
    parser.add_argument("--check", action="store_true", help="only report whether the files are up to date")
    check = parser.parse_args().check
    wanted = contents()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path}: differs; run: python -m lgs_operator.monitoring.generate\n")
            continue
        path.write_text(wanted[path], "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
