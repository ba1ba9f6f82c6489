"""Kubernetes quantities, and where they stand in an object. Pure.

The API server writes them in its own form: `0.5` comes back as `500m`, `1024Mi` as `1Gi`. See
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil
from typing import Any, Final

_FORM: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
# The finest steps that the API server keeps; it rounds away from zero. What a container or a claim asks for
# is kept in thousandths.
_SMALLEST: Final = Fraction(1, 10**9)
_SMALLEST_RESOURCE: Final = Fraction(1, 10**3)
# The API server caps binary quantities at this.
_MOST_BINARY: Final = 2**63 - 1
_LONGEST: Final = 64
_MAPS: Final = frozenset({"limits", "requests"})
_FIELDS: Final = frozenset({("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor")})


def is_quantity(path: tuple[str, ...]) -> bool:
    """Whether a value is a quantity; `path` is the names of the fields that lead to it. A text that only
    looks like one (the value of a variable or a label) is none."""
    return len(path) > 1 and (path[-2] in _MAPS or path[-2:] in _FIELDS)


def is_more(one: Any, other: Any) -> bool:
    """Whether the first of two quantities is larger; False if one of them is no quantity."""
    first, second = _parsed(one, _SMALLEST_RESOURCE), _parsed(other, _SMALLEST_RESOURCE)
    return first is not None and second is not None and first > second


def same_quantity(one: Any, other: Any, path: tuple[str, ...]) -> bool:
    """Whether two texts or numbers are the same quantity at `path`; a value that is no quantity equals only
    itself."""
    if one == other:
        return True
    smallest = _SMALLEST_RESOURCE if path[-2] in _MAPS else _SMALLEST
    first, second = _parsed(one, smallest), _parsed(other, smallest)
    return first is not None and first == second


def _parsed(value: Any, smallest: Fraction) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    form = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if form is None:
        return None
    sign, digits, exponent, suffix = form.groups()
    number = Fraction(digits)
    if exponent:
        number *= Fraction(10) ** int(exponent[1:])
    elif suffix in _BINARY:
        number = min(number * 2 ** _BINARY[suffix], Fraction(_MOST_BINARY))
    elif suffix:
        number *= Fraction(10) ** _DECIMAL[suffix]
    return (-1 if sign == "-" else 1) * ceil(number / smallest) * smallest
