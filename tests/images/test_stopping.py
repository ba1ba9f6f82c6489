"""In the images a signal to stop is handled from the first instruction of the process on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TELLS = "import signal\nprint(*sorted(s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())))\n"


@pytest.mark.parametrize(("image", "command"), [("runtime", "lgs-runtime"), ("operator", "lgs-operator")])
def test_signals_to_stop_wait_until_the_command_of_an_image_can_handle_them(
    image: str, command: str, tmp_path: Path
) -> None:
    dockerfile = (ROOT / "images" / image / "Dockerfile").read_text()
    found = re.search(rf"RUN sed -i '(\S.*)' /opt/lgs/bin/{command}$", dockerfile, re.MULTILINE)
    assert found is not None
    script = tmp_path / command
    script.write_text(f"#!{sys.executable}\n{TELLS}")
    script.chmod(0o755)

    subprocess.run(["sed", "-i", found[1], script], check=True)
    said = subprocess.run([script], check=True, capture_output=True, text=True)

    assert said.stdout.split() == ["SIGINT", "SIGTERM"]


def test_an_operator_that_was_asked_to_stop_before_its_first_instruction_ends_at_once() -> None:
    def asked_to_stop() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        os.kill(os.getpid(), signal.SIGTERM)

    begin = "import sys; from lgs_operator.entrypoint import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", begin],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=asked_to_stop,
    )

    assert (done.returncode, '"operator.stopped"' in done.stderr) == (0, True)
