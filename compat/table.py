"""What `make compat` prints: applications against operations, and every difference that nobody explained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compat.catalogue import ROWS
from compat.compare import IDENT, PLACE, Difference

SAME, EXPLAINED, DIFFERS, ABSENT = "=", "~", "X", "."


@dataclass(frozen=True)
class Verdict:
    """One application: which operations were compared, and what was found; or why it could not be."""

    application: str
    compared: frozenset[str] = frozenset()
    explained: tuple[Difference, ...] = ()
    open: tuple[Difference, ...] = ()
    reason: str = ""

    def cell(self, operation: str) -> str:
        """The worst that was found in this operation."""
        if any(each.operation == operation for each in self.open):
            return DIFFERS
        if any(each.operation == operation for each in self.explained):
            return EXPLAINED
        return SAME if operation in self.compared else ABSENT

    @property
    def summary(self) -> str:
        """One line of the application."""
        if self.reason:
            return f"not compared: {self.reason}"
        cells = [self.cell(operation) for operation in ROWS]
        return (
            f"{cells.count(SAME)} the same, {cells.count(EXPLAINED)} differ as explained, "
            f"{cells.count(DIFFERS)} differ, {cells.count(ABSENT)} not applicable"
        )


def table(verdicts: Iterable[Verdict]) -> str:
    """The legend, a column for each application and a row for each operation."""
    verdicts = list(verdicts)
    lines = [f"{number:>3}  {each.application}: {each.summary}" for number, each in enumerate(verdicts, 1)]
    lines += [
        "",
        f"{SAME} same  {EXPLAINED} differs as explained  {DIFFERS} differs  {ABSENT} not applicable",
        "",
    ]
    lines.append(f"{'':55}" + "".join(f"{number:>3}" for number in range(1, len(verdicts) + 1)))
    for row in ROWS:
        lines.append(f"{row:55}" + "".join(f"{each.cell(row):>3}" for each in verdicts))
    return "\n".join(lines)


def grouped(found: Iterable[Difference]) -> list[str]:
    """One line for all that differ alike: the same path with the same two values, in any operation."""
    alike: dict[tuple[str, ...], list[Difference]] = {}
    for each in found:
        said = [IDENT.sub("<id>", str(value))[:100] for value in (each.development, each.runtime)]
        key = (PLACE.sub("[]", each.path), *said)
        alike.setdefault(key, []).append(each)
    return [
        f"{group[0]}" + (f"  (and {len(group) - 1} alike)" if group[1:] else "") for group in alike.values()
    ]
