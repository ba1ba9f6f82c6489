"""A cache of users that were authenticated a moment ago, by the headers that identify them.

Only users are cached, never refusals, so a new token works at once. A user who has lost access still gets in
until `ttl_seconds` have passed; `auth.cache` of `langgraph.json` accepts that.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256

from starlette.datastructures import Headers

from lgs_runtime.auth.users import User
from lgs_runtime.graphs.auth_section import AuthCache


class UserCache:
    """Keeps each user for `rule.ttl_seconds`, and at most `rule.max_size` of them: the least recently used is
    dropped."""

    def __init__(self, rule: AuthCache, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, User]] = OrderedDict()

    def key_of(self, headers: Headers) -> bytes | None:
        """The cache key of the sender of these headers; None if they don't identify one. It is a digest: no
        token is kept in plain text."""
        given = [headers.getlist(name) for name in self._rule.headers]
        return sha256(repr(given).encode()).digest() if any(given) else None

    def get(self, key: bytes) -> User | None:
        """The user with this key; None if unknown or expired."""
        until, user = self._known.get(key, (0.0, None))
        if user is None or until <= self._clock():
            self._known.pop(key, None)
            return None
        self._known.move_to_end(key)
        # A copy, because handlers may change what they are given.
        return User(deepcopy(user.to_json()))

    def put(self, key: bytes, user: User) -> None:
        """Caches a user from now on, for `ttl_seconds`."""
        self._known[key] = (self._clock() + self._rule.ttl_seconds, User(deepcopy(user.to_json())))
        self._known.move_to_end(key)
        while len(self._known) > self._rule.max_size:
            self._known.popitem(last=False)
