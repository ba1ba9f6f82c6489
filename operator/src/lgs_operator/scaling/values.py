"""How the values of the scaling law are declared and changed: frozen for mypy, plain when they run.

A round makes dozens of them, and `lgs simulate` plays a day of rounds: a dataclass that is frozen at run time
takes seven times as long to make, and its copy by `dataclasses.replace` twice as long. That nothing is
assigned to them `make check` sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace as changed
else:
    from dataclasses import dataclass, fields
    from functools import cache
    from operator import attrgetter

    def value(*, frozen, slots):
        """`dataclass`, with the equality and the hash of a frozen one."""
        assert frozen, "what is not frozen is no value"
        return dataclass(slots=slots, unsafe_hash=True)

    def changed(before, /, **changes):
        """`before` with other fields, as `dataclasses.replace` has it."""
        names, read = _fields(type(before))
        return type(before)(**{**dict(zip(names, read(before), strict=True)), **changes})

    @cache
    def _fields(kind):
        names = tuple(each.name for each in fields(kind) if each.init)
        return names, attrgetter(*names)


__all__ = ["changed", "value"]
