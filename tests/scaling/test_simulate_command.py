"""What `lgs simulate` shows and writes, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lgs_operator.cli import app
from lgs_operator.simulate.candidates import HPA, KEDA, KPA, OURS, PLATFORM, QUEUE
from lgs_operator.simulate.loads import Named

MANIFEST = Path(__file__).parent / "service.yaml"
SMALL = ["simulate", str(MANIFEST), "--load", "steady", "--rate", "2"]


def test_the_command_shows_the_laws_side_by_side() -> None:
    result = CliRunner().invoke(app, ["simulate", str(MANIFEST), "--load", "spike", "--rate", "10"])

    assert result.exit_code == 0
    assert "1 to 30 replicas of 8 slots, ready after 20 s" in result.stdout
    for words in ("replica-hours", OURS, HPA, KEDA, QUEUE, PLATFORM, KPA, "one column is 18 s"):
        assert words in result.stdout
    assert max(map(len, result.stdout.split("late: runs")[0].splitlines())) <= 100


def test_the_manifest_is_that_of_the_folder_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"agent": "./graph.py:graph"}}')
    asked = ["--load", "steady", "--rate", "2", "--json"]
    for named in ([], [str(tmp_path)], [str(tmp_path / "langgraph.json")]):
        monkeypatch.chdir(tmp_path)
        refused = CliRunner().invoke(app, ["simulate", *named, *asked])
        assert refused.exit_code == 2
        assert "langgraph.json: manifest: says nothing of scaling; name a manifest" in refused.stderr

    (tmp_path / "service.yaml").write_text(MANIFEST.read_text())
    for named in ([], [str(tmp_path)]):
        told = json.loads(CliRunner().invoke(app, ["simulate", *named, *asked]).stdout)
        assert told["policy"]["maxReplicas"] == 30


def test_the_help_names_every_load() -> None:
    result = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "200"})

    assert all(each in result.stdout for each in Named)


def test_the_same_numbers_come_as_json_for_programs() -> None:
    told = json.loads(CliRunner().invoke(app, [*SMALL, "--json", "--fixed", "3"]).stdout)

    assert [each["law"] for each in told["laws"]] == [OURS, HPA, KEDA, QUEUE, PLATFORM, KPA, "fixed"]
    assert told["laws"][-1]["replicaHours"] == pytest.approx(3 * 0.25)
    assert told["load"]["runs"] > 1500
    assert told["policy"]["maxReplicas"] == 30
    assert "front" not in told and "advice" not in told


def test_front_and_advice_are_shown_and_come_as_json_and_pictures(tmp_path: Path) -> None:
    manifest = tmp_path / "service.yaml"
    manifest.write_text(MANIFEST.read_text().replace("maxReplicas: 30", "maxReplicas: 3"))
    picture, trace = tmp_path / "picture.svg", tmp_path / "trace.csv"
    trace.write_text("at,seconds\n" + "".join(f"{number / 12},2\n" for number in range(600)))
    asked = ["simulate", str(manifest), "--trace", str(trace), "--front", "--want", "p95 wait 2s"]

    shown = CliRunner().invoke(app, [*asked, "--picture", str(picture)])
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)

    assert "on the front" in shown.stdout
    assert "wanted: p95 wait 2 s; as the manifest is:" in shown.stdout
    assert any(each["onFront"] for each in told["front"])
    assert told["advice"]["best"]["seconds"] <= 2
    assert picture.read_text().startswith("<svg")
    assert (tmp_path / "picture-front.svg").read_text().startswith("<svg")


def test_what_goes_wrong_and_how_often_each_run_comes_is_said() -> None:
    result = CliRunner().invoke(
        app, [*SMALL, "--fault", "saturation", "--fault", "lost-scrapes", "--times", "2"]
    )

    assert "20 % of the replicas' answers are lost" in result.stdout
    assert "runs slow each other down from 50 % of all slots on" in result.stdout
    assert ", 2 times" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trace", "missing.csv"], "missing.csv"),
        (["--trace", "any.csv", "--rate", "3"], "--trace is given with --load or --rate"),
        (["--rate", "0"], "--rate is 0.0; it must be a number above 0"),
        (["--load", "burst"], "--load is 'burst'; it must be one of spike"),
        (["--fault", "rain"], "--fault is 'rain'; it must be one of lost-scrapes"),
        (["--rate", "2", "--want", "fast"], "--want is 'fast'; it must be like 'p99 wait 5s'"),
        (["--rate", "2", "--picture", "a.png"], "--picture is a.png; it must end with .svg"),
        (["--rate", "2", "--times", "0"], "--times is 0; it must be at least 1"),
        (["--rate", "2", "--times", "100000"], "it must give at most 1000000: pass a lower one"),
        (["--hours", "2"], "--hours and --skip-hours are for a --trace"),
    ],
)
def test_the_command_refuses_with_a_reason(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["simulate", str(MANIFEST), *arguments])

    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert "Value error" not in result.output
