"""The operator and the chart of the release before this one, as `tools/release/freeze.sh` kept them."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "previous" / "release.tar.xz"


@dataclass(frozen=True)
class PreviousRelease:
    """`chart` is the folder of the chart; with `python_path` in PYTHONPATH a process is its operator."""

    chart: Path
    python_path: str


def unpacked(folder: Path) -> PreviousRelease:
    """The release, with its files in `folder`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    sources = (folder / each / "src" for each in ("operator", "crds"))
    return PreviousRelease(folder / "helm" / "lgs-operator", ":".join(map(str, sources)))
