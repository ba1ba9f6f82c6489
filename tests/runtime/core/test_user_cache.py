"""Users are remembered as `auth.cache` says: by their headers, for a time, so many of them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers

from lgs_runtime.auth.user_cache import UserCache
from lgs_runtime.auth.users import User
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.auth_section import AuthCache, parse_auth
from support.clock import Clock


def remembering(names: str, clock: Clock, **rule: Any) -> UserCache:
    """A cache of these users, by their names as tokens."""
    cache = UserCache(AuthCache(("authorization",), **rule), clock)
    for name in names:
        cache.put(key(cache, name), User({"identity": name}))
    return cache


def key(cache: UserCache, token: str) -> bytes:
    found = cache.key_of(Headers({"Authorization": token}))
    assert found is not None
    return found


def known(cache: UserCache, names: str) -> str:
    return "".join(name for name in names if cache.get(key(cache, name)))


def test_a_user_is_known_until_the_time_is_over() -> None:
    clock = Clock()
    cache = remembering("a", clock, ttl_seconds=10)

    clock.now = 9.9
    before = known(cache, "ab")
    clock.now = 10.0

    assert (before, known(cache, "ab")) == ("a", "")


def test_the_one_not_seen_for_longest_is_forgotten_first() -> None:
    cache = remembering("abc", Clock(), max_size=3)
    known(cache, "a")

    cache.put(key(cache, "d"), User({"identity": "d"}))

    assert known(cache, "abcd") == "acd"


def test_all_headers_named_tell_users_apart() -> None:
    cache = UserCache(AuthCache(("authorization", "x-tenant")), Clock())
    given = [{"Authorization": "a"}, {"Authorization": "a", "X-Tenant": "t"}, {"X-Tenant": "a"}, {}]

    keys = [cache.key_of(Headers(each)) for each in given]

    assert len(set(keys)) == 4
    assert keys[3] is None


def test_what_a_handler_writes_into_a_user_is_not_remembered() -> None:
    cache = UserCache(AuthCache(("authorization",)), Clock())
    cache.put(b"k", User({"identity": "a", "teams": ["x"]}))
    first = cache.get(b"k")
    assert first is not None

    first["teams"].append("admin")

    again = cache.get(b"k")
    assert again is not None and again["teams"] == ["x"]


def test_auth_cache_says_by_which_headers_how_long_and_how_many_users_are_known() -> None:
    cache = {"cache_keys": ["Authorization", "X-Tenant"], "ttl_seconds": 5, "max_size": 7}

    assert parse_auth({"cache": cache}, "auth").cache == AuthCache(("authorization", "x-tenant"), 5.0, 7)
    assert parse_auth({"cache": {"cache_keys": ["a"]}}, "auth").cache == AuthCache(("a",), 60.0, 1000)
    assert parse_auth({}, "auth").cache is None


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ({}, "cache_keys: None: must be a list"),
        ({"cache_keys": []}, "cache_keys: .*: must be a list"),
        ({"cache_keys": [1]}, "cache_keys"),
        ({"cache_keys": ["a"], "ttl_seconds": 0}, "ttl_seconds: 0: must be"),
        ({"cache_keys": ["a"], "ttl_seconds": True}, "ttl_seconds: True: must be"),
        ({"cache_keys": ["a"], "max_size": 0}, "max_size: 0: must be"),
        ({"cache_keys": ["a"], "max_size": 1.5}, "max_size: 1.5: must be"),
        ({"cache_keys": ["a"], "ttl": 5}, "cache.ttl: unknown"),
        ([], "cache"),
    ],
)
def test_what_can_not_be_stops_the_replica(cache: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^auth\.cache.*{told}|^auth\.{told}"):
        parse_auth({"cache": cache}, "auth")
