"""How the values of the scaling law are declared and changed: frozen for mypy, plain at run time.

A round makes dozens of them, and `lgs simulate` plays a day of rounds: a dataclass that is frozen at run time
takes seven times as long to make, and its copy by `dataclasses.replace` twice as long. `make check` verifies
that nothing assigns to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace as changed
else:
    from dataclasses import dataclass, fields
    from functools import cache

    def value(*, frozen, slots):
        """Like `dataclass`, with the equality and the hash of a frozen one."""
        assert frozen, "what is not frozen is no value"
        return dataclass(slots=slots, unsafe_hash=True)

    def changed(before, /, **changes):
        """`before` with these fields changed, like `dataclasses.replace`."""
        return _changing(type(before), tuple(changes))(before, *changes.values())

    @cache
    def _changing(kind, names):
        """A function that copies a value of `kind` with new fields `names`. Its source is generated once, as
        `dataclass` generates `__init__`."""
        known = [each.name for each in fields(kind) if each.init]
        if unknown := set(names).difference(known):
            raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
        given = ", ".join(f"new_{name}" if name in names else f"old.{name}" for name in known)
        taken = ", ".join(f"new_{name}" for name in names)
        return eval(f"lambda old, {taken}: made({given})", {"made": kind})


__all__ = ["changed", "value"]
