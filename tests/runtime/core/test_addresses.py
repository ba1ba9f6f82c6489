"""Addresses of databases and of Redis hold passwords: none is shown, whatever its characters do to its URI,
neither by us nor by a driver that stumbles over it."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from lgs_runtime.database.addresses import address, masked
from lgs_runtime.errors import ConfigError
from lgs_runtime.settings_loader import load_settings

SECRET = "SeCrEt"
GRAPHS = {"LANGSERVE_GRAPHS": '{"a": "./g.py:g"}', "DATABASE_URI": "postgres://lgs:x@h/db"}
PIECES = [*"/?#@:%&=+;,[]<>'\"\\^`{|} ~!$*()\n\t1aé", "%2F", "%zz", "%00", "%40", "::1", "://", "12", "℀"]
FORMS = [
    "{scheme}://u:{password}@h/d",
    "{scheme}://u:{password}@h:5432/d?sslmode=require",
    "{scheme}://u:{password}@h1:1,h2:2/d",
    "{scheme}://u:{password}@[::1]:5432/d",
    "{scheme}://u:{password}@/d?host=/run/postgresql",
    "{scheme}://:{password}@h",
    "{scheme}://h/d?user=u&password={password}",
    "{scheme}://h/d?password={password}&user=u",
    "{scheme}://h/d?sslpassword={password}&user=u",
]
SCHEMES = ["postgres", "postgresql", "mysql", "redis", "rediss", "redis+sentinel", "redis+cluster", "unix"]
around = st.lists(st.sampled_from(PIECES), max_size=3).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SCHEMES), st.sampled_from(FORMS), around, around)
@example("postgres", FORMS[0], "p%zz", "")
@example("postgres", FORMS[0], "a@", "")
@example("postgres", FORMS[0], "12?x=", "")
@example("postgres", FORMS[3], "?@'", "=")
@example("postgres", FORMS[7], "a#", "")
@example("postgres", FORMS[7], "a&", "")
@example("postgres", FORMS[7], "a&", "=1")
@example("redis", FORMS[0], "1?x=", "")
def test_no_character_of_a_password_has_it_shown(scheme: str, form: str, before: str, after: str) -> None:
    uri = form.format(scheme=scheme, password=f"{before}{SECRET}{after}")

    said = [masked(uri)]
    try:
        if scheme.startswith("postgres"):
            address(uri)
            said += words_of_the_driver(uri)
        else:
            load_settings({**GRAPHS, "REDIS_URI": uri})
    except ConfigError as refused:
        said.append(str(refused))

    assert SECRET not in "\n".join(said)


def words_of_the_driver(uri: str) -> list[str]:
    """What it says of a URI that it can't read, and the parts that it shows of one that it can."""
    try:
        read = conninfo_to_dict(uri)
    except (psycopg.Error, ValueError) as failed:
        return [str(failed)]
    return [str(value) for name, value in read.items() if name not in {"password", "sslpassword"}]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgres://h/d?pass%77ord=SeCrEt", "postgres://h/d?***"),
        ("postgres://h/d?options=-capp.key%3DSeCrEt&user=u", "postgres://h/d?options=***&user=u"),
        ("postgres://h/d?oauth_client_secret=SeCrEt", "postgres://h/d?***"),
        ("postgres://u%3ASeCrEt@h/d", "postgres://***@h/d"),
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("postgres://h/d;password=SeCrEt", "(not shown)"),
        ("postgres://u:1,2:SeCrEt/d", "(not shown)"),
        ("postgres://u:SeCrEt@[::1]:5432,h:1/d", "postgres://u:***@[::1]:5432,h:1/d"),
        ("https://SeCrEt@h/d", "https://***@h/d"),
        ("redis://SeCrEt@h/0", "redis://***@h/0"),
        ("redis://h/0?pass%77ord=SeCrEt", "redis://h/0?***"),
        ("rediss://h/0?ssl_password=SeCrEt&db=1", "rediss://h/0?ssl_password=***&db=1"),
        ("redis+sentinel://:SeCrEt@h:1,[::1]:2/m/0", "redis+sentinel://:***@h:1,[::1]:2/m/0"),
    ],
)
def test_what_is_shown_of_an_address(uri: str, shown: str) -> None:
    assert masked(uri) == shown


@pytest.mark.parametrize(
    "pooler",
    ["u:SeCrEt@h", "h?password=SeCrEt", "postgres://h/d?password=SeCrEt", "h:SeCrEt", "u:SeCrEt/x@h"],
)
@pytest.mark.parametrize(
    "beside",
    [{}, {"DATABASE_URI": "sqlite:///x.db"}, {"LGS_DATABASE_DIRECT_URI": "postgres://h/d"}],
)
def test_a_pooler_that_is_given_as_a_uri_is_refused_without_its_password(
    pooler: str, beside: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="LGS_DATABASE_POOLER: ") as refused:
        load_settings({**GRAPHS, **beside, "LGS_DATABASE_POOLER": pooler})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("uri", ["sqlite:///?key=SeCrEt", "sqlite:///:memory:?password=SeCrEt"])
def test_a_file_that_is_none_is_refused_without_its_options(uri: str) -> None:
    with pytest.raises(ConfigError, match="must name a file") as refused:
        address(uri)

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "redis+sentinel://h:1/m?password=SeCrEt",
        "redis+sentinel://h:1/m#SeCrEt",
        "redis+cluster://h:1?password=SeCrEt",
        "redis://h/0#SeCrEt",
    ],
)
def test_what_a_redis_address_may_not_have_is_no_part_of_a_name_that_is_shown(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"^REDIS_URI: .*: must ") as refused:
        load_settings({**GRAPHS, "REDIS_URI": uri})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://u:p%25ss%40w@h/d",
        "postgresql://u@h1:5432,[::1]:5433/d?target_session_attrs=read-write&sslmode=require",
        "postgresql://u:p@/d?host=/cloudsql/project:region:instance",
        "postgresql://%2Frun%2Fpostgresql/d",
        "postgresql://h/d?user=me@tenant&password=p@ss&application_name=a%20b",
        "postgresql:///d",
        "postgresql://u:p@[fe80::1%25eth0]:5432/d",
    ],
)
def test_an_address_that_both_drivers_read_is_taken_as_it_is(uri: str) -> None:
    assert address(uri).uri == uri
