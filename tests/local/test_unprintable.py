"""`lgs` says what it has to say, whatever the encoding of where it says it can't have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lgs_operator.commands.console import say, warn
from lgs_operator.local.worker_log import readable

HALF = """
import sys
from lgs_operator.cli import app
from lgs_operator.commands import validate
from lgs_operator.local.view import View

validate.found = lambda file: View().say("a run failed: \\ud800 \\U0001f600 \\0") or sys.exit(0)
app(["validate", "x"])
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_half_an_emoji_in_the_error_of_a_run_ends_no_lgs_up(encoding: str) -> None:
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", HALF], capture_output=True, env=env, check=False)

    assert done.returncode == 0, done.stderr
    assert b"a run failed: \\ud800" in done.stdout


def test_the_words_of_others_are_shown_and_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = "Gateway public: \x1b]0;root\x07\x1b[2J\x9b1A \u202eevil\r\nlast \U0001f600"

    say(said)
    warn(said)

    shown = "Gateway public: \\x1b]0;root\\x07\\x1b[2J\\x9b1A \\u202eevil\\r\nlast \U0001f600\n"
    assert capsys.readouterr() == (shown, shown)


def test_a_folder_whose_name_is_no_text_is_said(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "langgraph.json").write_text('{"dependencies": ["."], "graphs": {"a": "./g.py:graph"}}')
    (folder / "g.py").write_text("graph = 1\n")

    command = [sys.executable, "-m", "lgs_operator.cli", "validate", str(folder / "langgraph.json")]
    done = subprocess.run(command, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert b"caf\\udce9/langgraph.json: valid" in done.stdout


def test_a_record_with_a_reason_of_several_lines_is_one_line() -> None:
    record = '{"event": "run.state_unreadable", "reason": "a\\nb", "level": "warning"}'

    assert readable([record]) == ["warning: run.state_unreadable reason=a b"]
