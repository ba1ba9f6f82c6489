"""A storage around another: seals the application's data on the way in, and opens it on the way out, as
`table` says. The databases, their statements and their order know nothing about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any, Final

from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.fields import Fields
from lgs_runtime.encryption.table import TABLE, Rule
from lgs_runtime.storage.contract import Storage

PARTS: Final = tuple(part.name for part in fields_of(Storage) if part.name not in ("name", "database_id"))


def encrypted_storage(inner: Storage, cipher: Cipher) -> Storage:
    """`inner` behind `cipher`. Its methods also raise `EncryptionFailed`; then nothing is stored."""
    fields = Fields(cipher)
    parts: dict[str, Any] = {
        part: EncryptedPart(getattr(inner, part), TABLE.get(part, {}), fields) for part in PARTS
    }
    return replace(inner, **parts)


class EncryptedPart:
    """A part of the contract, with only those of its methods that have a rule."""

    def __init__(self, inner: object, rules: Mapping[str, Rule], fields: Fields) -> None:
        for name, rule in rules.items():
            setattr(self, name, _encrypted(fields, getattr(inner, name), rule))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name}: nobody has said what of it encryption is to seal")


def _encrypted(fields: Fields, method: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    """The method wrapped as the rule says; the method itself if nothing is sealed or opened."""
    if rule.calls is not None:
        return partial(rule.calls, fields, method)
    if not rule.seals and rule.opens is None:
        return method
    return _dispatching(fields, method, rule)


def _dispatching(fields: Fields, method: Callable[..., Any], rule: Rule) -> Callable[..., Awaitable[Any]]:
    parameters = signature(method)
    if unknown := rule.seals.keys() - parameters.parameters.keys():
        raise TypeError(f"{method.__qualname__}: it has no {', '.join(sorted(unknown))} to seal")

    async def call(*positional: Any, **named: Any) -> Any:
        bound = parameters.bind(*positional, **named)
        given = [name for name in rule.seals if name in bound.arguments]
        sealed = await asyncio.gather(*(rule.seals[name](fields, bound.arguments[name]) for name in given))
        bound.arguments.update(zip(given, sealed, strict=True))
        found = await method(*bound.args, **bound.kwargs)
        return found if rule.opens is None else await rule.opens(fields, found)

    return call
