"""The public applications that are served unchanged, as `applications.toml` lists them.

Only where they are and what makes each of them worth a try is kept here; their code is never part of this
repository.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("applications.toml")


@dataclass(frozen=True)
class Application:
    """One application: a folder with a `langgraph.json` in a public repository, and how it is played."""

    name: str
    repository: str  # owner/name
    revision: str
    traits: str  # why it is in the list
    folder: str = "."
    config: str = "langgraph.json"
    python: str = ""  # what it needs that is not the Python of this machine
    needs: tuple[str, ...] = ()  # packages that it imports and does not declare
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # a caller that its authentication lets in
    graphs: tuple[str, ...] = ()  # the graphs that are played; none: the first two
    plays: dict[str, dict[str, Any]] = field(default_factory=dict)  # by graph: input, resume, context, config
    routes: tuple[str, ...] = ()  # GET paths of its own http.app

    def at(self, identity: str) -> Application:
        """The same with the address of the provider of identities in its environment."""
        environment = {key: value.replace("{identity}", identity) for key, value in self.environment.items()}
        return replace(self, environment=environment)

    @property
    def address(self) -> str:
        """Where git finds it."""
        return f"https://github.com/{self.repository}"


def applications(only: list[str], path: Path = LIST) -> list[Application]:
    """The listed applications, or those that are named in `only`; a name that isn't listed is an error."""
    tables = tomllib.loads(path.read_text())["application"]
    found = [_application(table) for table in tables]
    unknown = set(only) - {each.name for each in found}
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: not in {path.name}")
    return [each for each in found if not only or each.name in only]


def _application(table: dict[str, Any]) -> Application:
    lists = {key: tuple(table[key]) for key in ("needs", "graphs", "routes") if key in table}
    return Application(**{**table, **lists})
