"""`make compat`: public applications, served unchanged here and by the development server, answer for answer.

`python -m compat [NAME …] [--sources FOLDER] [--report FILE]`. Exit code 1 where they differ in a way that
`docs/compatibility.md` does not explain; an application that can't be fetched is reported and skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from compat import environments, servers
from compat.applications import Application, applications
from compat.catalogue import START
from compat.compare import Known, differences, known
from compat.identity import identity_provider
from compat.play import play
from compat.player import Answer
from compat.sources import Missing, fresh_copy, source
from compat.table import Verdict, grouped, table

from support.model_stub.server import model_stub, pointing_at

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
UV = shutil.which("uv") or str(CACHE / "lgs-toolchain" / "uv" / "bin" / "uv")
STARTED = "started"
SERVERS = {
    "runtime": ["-e", str(environments.RUNTIME)],
    "development": [environments.DEVELOPMENT],
}


def main() -> int:
    """The exit code."""
    options = _options()
    verdicts = []
    with model_stub() as stub, identity_provider() as identity:
        for application in applications(options.names):
            verdict = (
                _again(application, options)
                if options.last
                else _verdict(application.at(identity), options, stub)
            )
            verdicts.append(verdict)
            print(f"{application.name}: {verdict.summary}", flush=True)
            for line in grouped(verdict.open):
                print(f"    {line}", flush=True)
    printed = table(verdicts)
    print(f"\n{printed}")
    if options.report:
        options.report.write_text(f"{printed}\n")
    return 1 if any(each.open for each in verdicts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compat")
    parser.add_argument("names", nargs="*", help="applications of the list; none: all")
    parser.add_argument("--sources", type=Path, help="a folder with checkouts of their repositories")
    parser.add_argument("--cache", type=Path, default=CACHE / "lgs-compat")
    parser.add_argument(
        "--last", action="store_true", help="judge the answers of the last play, play nothing"
    )
    parser.add_argument("--report", type=Path, help="a file for the table")
    return parser.parse_args()


def _verdict(application: Application, options: argparse.Namespace, stub: str) -> Verdict:
    repository = source(application, options.sources, options.cache)
    if isinstance(repository, Missing):
        return Verdict(application.name, reason=repository.reason)
    base = options.cache / "applications" / application.name
    places = _places(application, repository, base)
    if isinstance(places, environments.Failed):
        return Verdict(application.name, reason=places.reason)
    answers = {place.which: _played(application, place, stub, options.cache) for place in places}
    (base / "answers.json").write_text(
        json.dumps({which: [asdict(each) for each in all_] for which, all_ in answers.items()}, indent=1)
    )
    return judged(application.name, answers["development"], answers["runtime"], known())


def _again(application: Application, options: argparse.Namespace) -> Verdict:
    """The verdict on what was answered last time."""
    kept = options.cache / "applications" / application.name / "answers.json"
    if not kept.exists():
        return Verdict(application.name, reason="never played")
    answers = {
        which: [Answer(**each) for each in all_] for which, all_ in json.loads(kept.read_text()).items()
    }
    return judged(application.name, answers["development"], answers["runtime"], known())


def judged(name: str, development: list[Answer], runtime: list[Answer], explanations: list[Known]) -> Verdict:
    """Differences that are known, and those that are not."""
    begun = [answers[0].value for answers in (development, runtime)]
    if all(each != STARTED for each in begun):
        return Verdict(name, reason=f"neither server can serve it: {begun[0][-300:]}")
    found = differences(development, runtime)
    explained = [each for each in found if any(one.explains(name, each) for one in explanations)]
    compared = {answer.operation for answer in [*development, *runtime]}
    unexplained = [each for each in found if each not in explained]
    return Verdict(name, frozenset(compared), tuple(explained), tuple(unexplained))


def _places(
    application: Application, repository: Path, base: Path
) -> list[servers.Place] | environments.Failed:
    """A fresh copy for each server, and the environments that its dependencies are installed in."""
    places: list[servers.Place] = []
    for which, packages in SERVERS.items():
        home = base / which
        config = fresh_copy(repository, home / "source") / application.folder / application.config
        shutil.rmtree(home / "work", ignore_errors=True)
        wanted = [*environments.requirements(config), *application.needs]
        like = places[0].venv if places else None
        made = environments.environment(UV, home / "venv", wanted, packages, like, python=application.python)
        if isinstance(made, environments.Failed):
            return made
        places.append(servers.Place(which, made, config, home / "work"))
    return places


def _played(application: Application, place: servers.Place, stub: str, cache: Path) -> list[Answer]:
    """The answers of one server; where it did not start, that is the only one."""
    tokens = {"TIKTOKEN_CACHE_DIR": str(environments.token_lists(UV, cache))}
    environment = {**application.environment, **tokens}
    try:
        with servers.serving(place, servers.environment(place, environment, pointing_at(stub))) as address:
            return [Answer(START, "", STARTED), *asyncio.run(play(application, address))]
    except servers.NotStartedError as error:
        return [Answer(START, "", f"not started: {error}")]


if __name__ == "__main__":
    sys.exit(main())
