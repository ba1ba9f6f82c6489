"""Rewrites what the API server says of a Deployment's pods into paths of the manifest that they
were made from. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from lgs_crds.model.pod import Pod
from lgs_operator.desired.deployment import CONTAINER
from lgs_operator.kube.drift import KEYS
from lgs_operator.kube.kinds import DEPLOYMENT, Manifest
from lgs_operator.naming import COMPONENT_LABEL

PATH: Final = re.compile(r"(?<![\w.])\.?spec\.template(?:\.[A-Za-z]{1,64}(?:\[[^\]\s]{0,400}\])?){1,16}")
STEP: Final = re.compile(r"\.([A-Za-z]+)(?:\[([^\]]*)\])?")
OF_A_POD: Final = frozenset(field.alias or name for name, field in Pod.model_fields.items())
OF_THE_RUNTIME: Final = frozenset({"env", "envFrom", "lifecycle", "volumeMounts"})
LONGEST_MESSAGE: Final = 4096
"""Most characters of a message: a refusal quotes what it refuses, which may be as long as a manifest, and a
condition has room for half of this."""
MOST_DIGITS: Final = 6
Step = tuple[str, str | None]
"""A field, and the number or name of one of its entries."""


def in_the_manifest(message: str, made: Manifest) -> str:
    """The message (the beginning of a long one) with paths into the Deployment rewritten:
    `spec.pod...` for what a manifest may say of its pods, and the names of entries in place of their
    numbers in the Deployment."""
    message = message[:LONGEST_MESSAGE]
    if made["kind"] != DEPLOYMENT.name:
        return message
    return PATH.sub(lambda found: _said(found.group(), made), message)[:LONGEST_MESSAGE]


def _said(path: str, made: Manifest) -> str:
    steps = [(each[1], each[2]) for each in STEP.finditer(path.removeprefix("."))]
    named = _named(steps[1:], made["spec"]["template"])
    if named is None or not named:
        return path
    (start, _), *below = named
    if start in ("annotations", "labels"):
        return _written(named)
    if start != "spec" or not below:
        return path
    if below[0] == ("containers", f'name="{CONTAINER}"'):
        return _of_the_runtime(below[1:], made) or path
    return _written(below) if below[0][0] in OF_A_POD else path


def _of_the_runtime(steps: Sequence[Step], made: Manifest) -> str | None:
    field = steps[0][0] if steps else ""
    # The replicas that answer requests may have resources of their own.
    own = field == "resources" and made["metadata"]["labels"].get(COMPONENT_LABEL) == "runtime"
    if own or field in OF_THE_RUNTIME:
        return _written(steps)
    return "spec.image" if field == "image" else None


def _named(steps: Sequence[Step], at: Any) -> list[Step] | None:
    """The steps with the name of each entry in place of its number; None if there is no such entry, as for a
    container that a webhook adds at admission."""
    named = list[Step]()
    for field, entry in steps:
        at, name = at.get(field) if isinstance(at, dict) else None, entry
        if isinstance(at, list) and entry is not None:
            at = _entry(at, entry)
            if at is None:
                return None
            key = next((each for each in KEYS if isinstance(at, dict) and each in at), None)
            name = entry if key is None else f'{key}="{at[key]}"'
        named.append((field, name))
    return named


def _entry(entries: Sequence[Any], which: str) -> Any:
    """The entry with this number, or with this name in the form of server-side apply; None without one."""
    if which.isdecimal():
        return entries[int(which)] if len(which) <= MOST_DIGITS and int(which) < len(entries) else None
    return next(
        (each for each in entries if isinstance(each, dict) and f'name="{each.get("name")}"' == which), None
    )


def _written(steps: Sequence[Step]) -> str:
    below = (f".{field}" + ("" if entry is None else f"[{entry}]") for field, entry in steps)
    return "spec.pod" + "".join(below)
