"""Validates the options of `@cached` and `NodeCache`. An option that can't work is refused when the function
is decorated, with the message `function: name: value: rule`; found only at a call, it would mean a result
under a wrong key or a failed run. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from lgs_runtime.cache.statistics import RESERVED
from lgs_runtime.checks import kind_of

LONGEST_NAME: Final = 512
"""Most characters of a namespace: `DELETE /cache` accepts no more."""
LONGEST_SECONDS: Final = timedelta.max.total_seconds()
Seconds = float | timedelta


def check_function(function: Any, namespace: Any) -> str:
    """The name under which a function's results are kept. Raises `TypeError` for a function that can't be
    cached, and `ValueError` for an invalid namespace."""
    if not inspect.isfunction(function):
        raise TypeError(
            f"cached: {function!r}: must be a function, not {kind_of(function)}; put @cached(...) "
            "right above the function, below other decorators"
        )
    name = f"{function.__module__}.{function.__qualname__}"
    if namespace is not None:
        check_namespace(name, "namespace", namespace)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name}: yields: must be a function that returns; a stream can't be kept")
    free = [variable for variable in function.__code__.co_freevars if variable != "__class__"]
    if free and namespace is None and hasattr(function, "__wrapped__"):
        raise TypeError(
            f"{name}: is the function of a decorator, which uses {', '.join(free)}: put @cached(...) right "
            'above your own, below other decorators, or say with namespace="..." that its results depend on '
            "its arguments alone"
        )
    if free and namespace is None:
        raise TypeError(
            f"{name}: uses {', '.join(free)} of the function around it, which no key would have: make it an "
            'argument, or say with namespace="..." that its results don\'t depend on it'
        )
    return namespace or name


def check_namespace(name: str, what: str, given: Any) -> None:
    """Raises `TypeError` or `ValueError` unless a namespace can be counted, cleared and shown by this
    name."""
    check_text(name, what, given)
    if not given.strip() or len(given) > LONGEST_NAME or given in RESERVED:
        rule = f"must be a text of 1 to {LONGEST_NAME} characters, and none of {', '.join(sorted(RESERVED))}"
        raise ValueError(f"{name}: {what}: {given[: LONGEST_NAME + 1]!r}: {rule}")


def check_text(name: str, what: str, given: Any) -> None:
    """Raises `TypeError` for a value that is not a string, and `ValueError` for one that can't be encoded as
    UTF-8."""
    if not isinstance(given, str):
        raise TypeError(f"{name}: {what}: {given!r}: must be a text, not {kind_of(given)}")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: {what}: {given!r}: must be a text without halves of surrogates") from None


def check_switch(name: str, what: str, given: Any) -> None:
    """Raises `TypeError` unless it is a boolean: a string such as "no" would count as true."""
    if not isinstance(given, bool):
        raise TypeError(f"{name}: {what}: {given!r}: must be True or False")


def check_key(name: str, key: Any, ignore: Any) -> None:
    """Raises `TypeError` for a `key` that can't make keys, or an `ignore` that does not name parameters."""
    if key is not None and (not callable(key) or inspect.iscoroutinefunction(key)):
        raise TypeError(
            f"{name}: key: {key!r}: must be a function, not async, that is called with the arguments and "
            "returns what distinguishes calls"
        )
    is_list = isinstance(ignore, Collection) and not isinstance(ignore, str | bytes | Mapping)
    if not is_list or not all(isinstance(each, str) for each in ignore):
        raise TypeError(
            f'{name}: ignore: {ignore!r}: must be a tuple of names of parameters, such as ("client",)'
        )
    if key is not None and ignore:
        raise TypeError(f"{name}: ignore: {ignore!r}: must be empty with key, which alone makes the key")


def seconds(name: str, what: str, given: Any, *, above: bool) -> float:
    """A duration in seconds. Raises `ValueError` if it is none, or out of range."""
    found = given.total_seconds() if isinstance(given, timedelta) else given
    if rule := broken_rule(found, above=above):
        raise ValueError(f"{name}: {what}: {given!r}: {rule}")
    return float(found)


def broken_rule(found: Any, *, above: bool) -> str | None:
    """The rule that a number of seconds breaks: it must be more than 0 if `above`, else 0 or more. None if it
    is valid."""
    rule = f"must be a number of seconds, {'more than 0' if above else '0 or more'}"
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not (found > 0 or (found == 0 and not above)):
        return rule
    return f"{rule} and at most {LONGEST_SECONDS:g}" if found > LONGEST_SECONDS else None
