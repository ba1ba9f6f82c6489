"""Users that were authenticated a moment ago, by the headers that identify them.

Only users are remembered, never refusals: who got a new token comes in at once. Who is no longer let in comes
in until `ttl_seconds` have passed; that is what `auth.cache` of `langgraph.json` asks for.
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
    """Forgets after `rule.ttl_seconds`, and beyond `rule.max_size` whom it has not seen for longest."""

    def __init__(self, rule: AuthCache, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, User]] = OrderedDict()

    def key_of(self, headers: Headers) -> bytes | None:
        """By what the sender of these headers is known; None for one who says nothing of it. No token is
        kept as it is."""
        given = [headers.getlist(name) for name in self._rule.headers]
        return sha256(repr(given).encode()).digest() if any(given) else None

    def get(self, key: bytes) -> User | None:
        """Who is known by this key."""
        until, user = self._known.get(key, (0.0, None))
        if user is None or until <= self._clock():
            self._known.pop(key, None)
            return None
        self._known.move_to_end(key)
        # Handlers may write into what they are given.
        return User(deepcopy(user.to_json()))

    def put(self, key: bytes, user: User) -> None:
        """From now on, for `ttl_seconds`."""
        self._known[key] = (self._clock() + self._rule.ttl_seconds, User(deepcopy(user.to_json())))
        self._known.move_to_end(key)
        while len(self._known) > self._rule.max_size:
            self._known.popitem(last=False)
