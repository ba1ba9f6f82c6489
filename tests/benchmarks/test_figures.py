"""The benchmark's figures: ratios within a round, medians with their spread, and a program that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from bench.figures import Case, Spread, picture, ratios, table

ROOT = Path(__file__).parents[2]


def test_a_ratio_is_taken_within_its_round() -> None:
    quiet_then_busy = ratios([900.0, 90.0, 600.0], [300.0, 30.0, 150.0])

    assert quiet_then_busy == Spread(3.0, 3.0, 4.0)
    assert quiet_then_busy.text(1) == "3.0 (3.0–4.0)"


def test_the_table_shows_every_candidate_and_the_ratio() -> None:
    case = Case("async", 32, {"stock": [100.0, 110.0, 90.0], "fast": [400.0, 550.0, 360.0]})

    *_, line = table([case], "fast", "stock").splitlines()

    assert line == "| async | 32 | 100 (90–110) | 400 (360–550) | **4.0 (4.0–5.0)** |"


def test_the_picture_is_an_image_with_a_bar_for_each_rate() -> None:
    case = Case("async", 32, {"stock": [100.0], "fast": [400.0]})

    bars = [each for each in ElementTree.fromstring(picture([case])).iter() if each.tag.endswith("rect")]

    background, stock, fast = (bar.get("width") for bar in bars)
    assert background == "100%" and float(fast or 0) == 4 * float(stock or 0)


def test_the_benchmark_runs_and_keeps_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench.checkpointers", "--rounds", "1", "--seconds", "0.1"]
    command += ["--concurrency", "2", "--durability", "async", "--out", str(out)]

    told = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert told.returncode == 0, told.stderr
    (case,) = json.loads(out.read_text())["cases"]
    assert set(case["runs_per_second"]) == {"none", "memory", "stock", "fast"}
    assert all(rate > 0 for rates in case["runs_per_second"].values() for rate in rates)
    assert "| async | 2 |" in told.stdout
