"""Prints which of the versions that the runtime was tested with an application has replaced by its own."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for line in Path(__file__).with_name("requirements.lock").read_text().splitlines():
    name, _, pinned = line.partition(";")[0].strip().partition("==")
    try:
        found = version(name)
    except PackageNotFoundError:
        continue
    if pinned and found != pinned:
        print(f"the application replaced {name} {pinned} by {found}")
