"""Settings: where they come from, which wins, and what is said when one can't work."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
import structlog

from lgs_runtime.database.addresses import masked
from lgs_runtime.errors import ConfigError
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings
from lgs_runtime.storage.options import StorageOptions

GRAPHS = {"LANGSERVE_GRAPHS": '{"agent": "./graph.py:graph"}'}


def test_without_any_configuration_it_is_embedded(tmp_path: Path) -> None:
    settings = load_settings({**GRAPHS, "LGS_DATA_DIR": str(tmp_path)})

    assert settings.database_uri == f"sqlite:///{tmp_path}/lgs.db"
    assert (settings.concurrency, settings.max_attempts, settings.port) == (50, 3, 8000)
    assert settings.replica_id


def test_a_flag_wins_over_the_variable() -> None:
    settings = load_settings({**GRAPHS, "LGS_PORT": "9000", "LGS_HOST": "0.0.0.0"}, port=9001)

    assert (settings.host, settings.port) == ("0.0.0.0", 9001)


@pytest.mark.parametrize("port", ["many", "-1", "65536", "9" * 5000, ""])
def test_a_port_that_can_not_be_one_is_refused_by_its_flag_its_value_and_the_rule(port: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(GRAPHS, port=port)

    assert str(raised.value) == f"--port: {port}: must be a whole number between 0 and 65535"


def test_the_names_of_other_servers_are_understood() -> None:
    settings = load_settings(
        {**GRAPHS, "POSTGRES_URI": "postgres://u@h/db", "N_JOBS_PER_WORKER": "7", "REDIS_URI": "redis://h"}
    )

    assert (settings.database_uri, settings.concurrency) == ("postgres://u@h/db", 7)
    assert settings.redis_uri == "redis://h"


def test_a_replica_answers_and_executes_unless_it_is_told_otherwise() -> None:
    postgres = {**GRAPHS, "DATABASE_URI": "postgres://u@h/db"}

    given: tuple[dict[str, str], ...] = ({}, {"LGS_ROLE": "api"}, {"LGS_ROLE": "Worker"})
    roles = [load_settings({**postgres, **more}).role for more in given]

    assert [(role.answers, role.executes) for role in roles] == [(True, True), (True, False), (False, True)]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LGS_ROLE", "front", "LGS_ROLE: front: must be one of combined, api, worker"),
        ("LGS_ROLE", "api", "LGS_ROLE: api: must be combined without a PostgreSQL in DATABASE_URI"),
        ("LGS_ROLE", "worker", "LGS_ROLE: worker: must be combined without a PostgreSQL in DATABASE_URI"),
        ("LGS_CONCURRENCY", "0", "LGS_CONCURRENCY: 0: must be at least 1"),
        ("N_JOBS_PER_WORKER", "many", "N_JOBS_PER_WORKER: many: must be a whole number"),
        ("LGS_QUEUE_HIGH", "-1", "LGS_QUEUE_HIGH: -1: must be at least 1"),
        ("LGS_CANARY_PERCENT", "-1", "LGS_CANARY_PERCENT: -1: must be at least 0"),
        ("LGS_CANARY_PERCENT", "101", "LGS_CANARY_PERCENT: 101: must be at most 100"),
        ("LGS_PINNING", "shut", "LGS_PINNING: shut: must be one of open, closed"),
        ("LGS_PINNING", "open", "LGS_PINNING: open: needs LGS_REVISION, the name that threads are pinned to"),
        ("LGS_PINNED_WAIT_SECONDS", "-1", "LGS_PINNED_WAIT_SECONDS: -1: must be at least 0"),
        ("LGS_DRAIN_SECONDS", "nan", "LGS_DRAIN_SECONDS: nan: must be a finite number"),
        ("LGS_RUN_TIMEOUT_SECONDS", "0", "LGS_RUN_TIMEOUT_SECONDS: 0: must be greater than 0"),
        ("LGS_CACHE_TTL_SECONDS", "0", "LGS_CACHE_TTL_SECONDS: 0: must be greater than 0"),
        (
            "LGS_CACHE_COMPRESSION_THRESHOLD_BYTES",
            "-1",
            "LGS_CACHE_COMPRESSION_THRESHOLD_BYTES: -1: must be at least 0",
        ),
        ("LGS_ANSWER_CACHE", '{"agent": 1}', "LGS_ANSWER_CACHE.agent: 1: must be an object"),
        ("LGS_PORT", "70000", "LGS_PORT: 70000: must be at most 65535"),
        ("REDIS_URI", "localhost", "REDIS_URI: (not shown): must start with redis://"),
        ("LGS_SOURCE", "/nowhere", "LGS_SOURCE: /nowhere: must be a folder that exists"),
        ("LGS_CONFIG", "/nowhere.json", "LGS_CONFIG: /nowhere.json: must be a file that exists"),
        ("LANGSERVE_GRAPHS", "{", "LANGSERVE_GRAPHS: line 1 column 2: must be JSON"),
        ("LANGSERVE_GRAPHS", '{"a": "graph.py"}', "LANGSERVE_GRAPHS.a: 'graph.py': must be path:variable"),
    ],
)
def test_a_value_that_can_not_work_is_named_with_its_rule(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings({**GRAPHS, name: value})

    assert str(raised.value).startswith(said)


def test_a_database_of_another_kind_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings({**GRAPHS, "DATABASE_URI": "mysql://me:secret@h/db"})

    assert "mysql://me:***@h/db" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_password_with_an_at_sign_is_masked_whole() -> None:
    assert masked("postgres://me:p@ss@h/db") == "postgres://me:***@h/db"


def test_langgraph_json_gives_graphs_variables_and_folders(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / ".env").write_text("FROM_FILE=1\nLGS_CONCURRENCY=3\nTAKEN=file\n")
    (tmp_path / "langgraph.json").write_text(
        '{"graphs": {"a": "./g.py:g", "b": {"path": "m:h", "description": "B"}},'
        ' "env": ".env", "dependencies": [".", "./lib", "httpx"], "ui": {"path": "x"}}'
    )

    settings = load_settings({"TAKEN": "process"}, config=tmp_path / "langgraph.json")

    assert settings.graphs["a"].path == "./g.py:g"
    assert settings.graphs["b"].description == "B"
    assert settings.import_paths == (tmp_path, tmp_path, tmp_path / "lib")
    assert settings.concurrency == 3
    assert settings.file_env == {"FROM_FILE": "1", "LGS_CONCURRENCY": "3"}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("langgraph.json", '{\n "graphs": {,}\n}', "line 2 column 13: must be JSON"),
        ("langgraph.yaml", "graphs:\n  a: [b\n", "line 3: must be YAML"),
        ("langgraph.yaml", "graphs: {a: 'g:h'}\nhttp: {}\nhttp: {}\n", "http stands twice, in lines 2 and 3"),
        pytest.param(
            "langgraph.yaml",
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 50)),
            "line 1: must be YAML: must stand for at most 1000000 values",
            id="aliases",
        ),
        ("langgraph.json", '{"graphs": {"a": "g:h", "a": "g:i"}}', "a: stands twice in one object"),
        ("langgraph.json", "[]", "list: must be an object with a key `graphs`"),
        ("langgraph.json", "{}", "graphs: none: at least one graph is needed"),
        ("langgraph.json", '{"graphs": {"a": "g:h"}, "env": 7}', "env: 7: must be a file, or an object"),
        ("langgraph.json", '{"graphs": {"a": "g:h"}, "env": {"A=B": "x"}}', "env: 'A=B': must be a name"),
        ("langgraph.json", '{"graphs": {"a": "g:h"}, "env": {"": "x"}}', "env: '': must be a name"),
        ("langgraph.json", '{"graphs": {"a": "g:h"}, "env": {"A": "x\\u0000"}}', "env.A: "),
        ("langgraph.json", '{"graphs": {"a\\ud800": "g:h"}}', "must be JSON that can be read"),
        pytest.param(
            "langgraph.json",
            '{"graphs": ' + "[" * 100_000 + "]" * 100_000 + "}",
            "must be JSON that can be read",
            id="levels",
        ),
        pytest.param(
            "langgraph.json",
            '{"graphs": {"a": "g:h"}, "x": ' + "9" * 5000 + "}",
            "must be JSON that can be read",
            id="digits",
        ),
        ("langgraph.json", '{"graphs": {"": "g:h"}}', "graphs: '': must be a name"),
        ("langgraph.json", '{"graphs": {"a\\u0000": "g:h"}}', "graphs: 'a\\x00': must be a name"),
        ("langgraph.yaml", "graphs: {a: 'g:h'}\nx: 2026-99-99\n", "must be YAML"),
        (
            "langgraph.json",
            '{"graphs": {"a": "g:h"}, "env": {"A": []}}',
            "env.A: []: must be a text, a number",
        ),
        (
            "langgraph.json",
            '{"graphs": {"a": "g:h"}, "dependencies": [1]}',
            "dependencies: [1]: must be a list",
        ),
        (
            "langgraph.json",
            '{"graphs": {"a": {"path": "g:h", "description": 1}}}',
            "graphs.a.description: 1: must be a text",
        ),
        (
            "langgraph.json",
            '{"graphs": {"a": "g:h"}, "encryption": {"path": "./e.py"}}',
            "encryption.path: './e.py': must be path:variable",
        ),
        (
            "langgraph.json",
            '{"graphs": {"a": "g:h"}, "encryption": {"pth": "./e.py:e"}}',
            "encryption.pth: unknown: must be path",
        ),
    ],
)
def test_a_file_that_can_not_work_is_told_with_its_place(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    (tmp_path / file).write_text(text)

    with pytest.raises(ConfigError) as raised:
        load_settings({}, config=tmp_path / file)

    assert said in str(raised.value)


def test_all_that_is_wrong_is_told_at_once_with_variables_and_sections(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    wrong = {"store": {"index": {"dims": 0, "embed": "a:b"}, "ttl": {"default_ttl": 0}}, "auth": {"pth": "x"}}
    file.write_text(json.dumps({"graphs": {"a": "g:h"}, "http": {"cors": {"max_age": -1, "x": 1}}, **wrong}))
    env = {"LGS_ANSWER_CACHE": '{"b": {}}', "LGS_CIRCUIT_BREAKER": "[", "LGS_CONCURRENCY": "0"}
    env |= {"LGS_DISABLE_STUDIO_AUTH": "maybe", "DATABASE_URI": "mysql://h/d"}

    with pytest.raises(ConfigError) as raised:
        load_settings(env, config=file)

    told = str(raised.value).replace(f"{file}: ", "").splitlines()
    assert {line.split(": ")[0] for line in told} == {
        "store.index.dims", "store.ttl.default_ttl", "auth.pth", "http.cors.max_age", "http.cors.x",
        *env,
    } - {"LGS_ANSWER_CACHE"} | {"LGS_ANSWER_CACHE.b"}  # fmt: skip
    assert len(told) == 10


def test_graphs_that_are_not_known_are_not_told_again_as_those_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings({"LGS_SOURCE": str(tmp_path), "LGS_ANSWER_CACHE": '{"b": {}}'})

    assert str(raised.value).startswith("graphs: none: at least one graph is needed")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("rest", "event", "named"),
    [
        ('"env": ".env"', "config.env_file_missing", ("file", ".env")),
        ('"env": "../.env.local"', "config.env_file_missing", ("file", "../.env.local")),
        ('"dependencies": [".", "./libs/mine"]', "config.folder_missing", ("folder", "./libs/mine")),
    ],
)
def test_what_nobody_commits_may_be_missing_and_is_named_once(
    tmp_path: Path, rest: str, event: str, named: tuple[str, str]
) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"a": "./a.py:a"}, ' + rest + "}")

    with structlog.testing.capture_logs() as logs:
        settings = load_settings({"LGS_CONFIG": str(file)})

    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [(entry["event"], (named[0], entry[named[0]])) for entry in warnings] == [(event, named)]
    assert settings.file_env == {}


def test_lines_of_a_file_of_variables_that_set_none_are_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('A=1\nB C=2\n=x\nexport D="open\nE=${A}2\n')
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"a": "./a.py:a"}, "env": ".env"}')

    with structlog.testing.capture_logs() as logs:
        settings = load_settings({"LGS_CONFIG": str(file)})

    (entry,) = logs
    assert (entry["event"], entry["file"], entry["lines"]) == ("config.env_lines", ".env", [2, 3, 4])
    assert settings.file_env == {"A": "1", "E": "12"}


def test_variables_of_a_file_beside_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n", encoding="utf-8-sig")
    (tmp_path / "app").mkdir()
    file = tmp_path / "app" / "langgraph.json"
    file.write_text('{"graphs": {"a": "./a.py:a"}, "env": "../.env"}', encoding="utf-8-sig")

    assert load_settings({"LGS_CONFIG": str(file)}).file_env == {"A": "1"}


@pytest.mark.parametrize("name", ["langgraph.json", ".env"])
def test_a_file_that_is_no_text_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:a"}, "env": ".env"}')
    (tmp_path / name).write_bytes("A=ü".encode("utf-16"))

    with pytest.raises(ConfigError) as raised:
        load_settings({"LGS_CONFIG": str(tmp_path / "langgraph.json")})

    assert str(raised.value).splitlines()[0].startswith(("LGS_CONFIG: ", f"{tmp_path}/langgraph.json: env: "))
    assert f"{tmp_path}/{name}: must be a text in UTF-8 that can be read" in str(raised.value)


def test_the_file_says_which_pages_may_call(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text(
        '{"graphs": {"a": "./a.py:a"}, "http": {"cors": {"allow_origins": ["https://x"], "max_age": 5}}}'
    )

    cors = load_settings({"LGS_CONFIG": str(file)}).http.cors

    assert (cors.allow_origins, cors.allow_credentials, cors.max_age) == (("https://x",), False, 5)
    assert cors.allow_methods == ("*",)


@pytest.mark.parametrize(
    ("cors", "said"),
    [
        ('{"allow_origins": "*"}', "http.cors.allow_origins: '*': must be a list of strings"),
        ('{"allow_origin_regex": "("}', "http.cors.allow_origin_regex: '(': must be a regular expression"),
        ('{"max_age": -1}', "http.cors.max_age: -1: must be whole seconds"),
        ('{"origins": []}', "http.cors.origins: unknown: must be one of allow_origins"),
        ("[]", "http.cors: []: must be an object"),
    ],
)
def test_a_rule_for_pages_that_can_not_work_is_named(tmp_path: Path, cors: str, said: str) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"a": "./a.py:a"}, "http": {"cors": ' + cors + "}}")

    with pytest.raises(ConfigError) as raised:
        load_settings({"LGS_CONFIG": str(file)})

    assert said in str(raised.value)


def test_the_file_may_hold_variables_of_any_simple_kind(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"a": "./a.py:a"}, "env": {"A": "x", "B": 1, "C": true}}')

    assert load_settings({"LGS_CONFIG": str(file)}).file_env == {"A": "x", "B": "1", "C": "true"}


def test_keys_that_nobody_knows_are_a_warning_and_those_of_the_image_are_not(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text(
        '{"$schema": "https://langgra.ph/schema.json", "graphs": {"a": "./a.py:a"}, "grpahs": {},'
        ' "python_version": "3.12", "dependencies": ["httpx"]}'
    )

    with structlog.testing.capture_logs() as logs:
        load_settings({"LGS_CONFIG": str(file)})

    told = {entry["event"]: (entry["log_level"], entry.get("keys", entry.get("packages"))) for entry in logs}
    assert told == {
        "config.unknown_keys": ("warning", ["grpahs"]),
        "config.keys_not_used": ("info", ["python_version"]),
        "config.packages_are_for_the_image": ("info", ["httpx"]),
    }


def test_the_headers_of_webhooks_are_filled_from_the_file_and_the_process(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text(
        '{"graphs": {"a": "./a.py:a"}, "env": {"LG_WEBHOOK_A": "1"},'
        ' "webhooks": {"headers": {"X": "${{ env.LG_WEBHOOK_A }}${{ env.LG_WEBHOOK_B }}"}}}'
    )

    settings = load_settings({"LGS_CONFIG": str(file), "LG_WEBHOOK_B": "2"})

    assert settings.webhooks.headers == {"X": "12"}


@pytest.mark.parametrize(
    ("given", "uris"),
    [
        ({}, ("postgresql://u:p@db-rw/app", None)),
        (
            {"LGS_DATABASE_POOLER": "pooler:6432"},
            ("postgresql://u:p@pooler:6432/app", "postgresql://u:p@db-rw/app"),
        ),
        (
            {"LGS_DATABASE_DIRECT_URI": "postgresql://o@db/app"},
            ("postgresql://u:p@db-rw/app", "postgresql://o@db/app"),
        ),
    ],
)
def test_a_database_has_a_way_through_its_pooler_and_one_past_it(
    given: dict[str, str], uris: tuple[str, str | None]
) -> None:
    settings = load_settings({**GRAPHS, "DATABASE_URI": "postgresql://u:p@db-rw/app", **given})

    assert (settings.database_uri, settings.database_direct_uri) == uris


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"LGS_DATABASE_POOLER": "postgres://x"},
            "LGS_DATABASE_POOLER: postgres://x: must be host or host:port",
        ),
        (
            {"LGS_DATABASE_DIRECT_URI": "mysql://u:secret@h"},
            "LGS_DATABASE_DIRECT_URI: mysql://u:***@h: must be",
        ),
        (
            {"LGS_DATABASE_DIRECT_URI": "postgres://h/d", "LGS_DATABASE_POOLER": "p"},
            "LGS_DATABASE_POOLER: p: must be absent with LGS_DATABASE_DIRECT_URI",
        ),
        ({"DATABASE_URI": "", "LGS_DATABASE_POOLER": "p"}, "LGS_DATABASE_POOLER: p: must be absent without"),
    ],
)
def test_a_way_to_the_database_that_can_not_be_is_named_with_its_rule(
    given: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({"DATABASE_URI": "postgresql://u:p@db-rw/app", **given})

    assert str(refused.value).startswith(said)


def test_a_password_is_shown_nowhere() -> None:
    assert masked("postgresql://h/d?user=u&password=secret&x=1") == "postgresql://h/d?user=u&password=***&***"
    assert masked("postgresql://u:secret@h1,h2:5433/d") == "postgresql://u:***@h1,h2:5433/d"
    assert masked("postgresql://u@h/d") == "postgresql://u@h/d"


@pytest.mark.parametrize("name", ["DATABASE_URI", "LGS_DATABASE_DIRECT_URI", "REDIS_URI"])
@pytest.mark.parametrize(
    "uri",
    [
        "{scheme}://lgs:SeCrEt/tail@h:5432/0",
        "{scheme}://lgs:SeCrEt#tail@h/0",
        "{scheme}://lgs:12/SeCrEt@h/0",
        "{scheme}://lgs:12?SeCrEt@h/0",
        "{scheme}//lgs:SeCrEt@h/0",
        "{scheme}:/lgs:SeCrEt@h/0",
        "SeCrEt",
        "lgs:SeCrEt@h",
        "[SeCrEt://",
    ],
)
def test_of_an_address_that_a_password_tears_or_that_is_none_nothing_is_shown(name: str, uri: str) -> None:
    scheme = "redis" if name.startswith("REDIS") else "postgres"
    database = {} if name == "DATABASE_URI" else {"DATABASE_URI": "postgres://lgs:x@h/db"}

    with pytest.raises(ConfigError) as refused:
        load_settings({**GRAPHS, **database, name: uri.format(scheme=scheme)})

    assert str(refused.value).startswith(f"{name}: (not shown): must ")
    shown = "".join(traceback.format_exception(refused.value))
    assert "SeCrEt" not in "".join(line for line in shown.splitlines() if not line.startswith("    "))


@pytest.mark.parametrize("uri", ["redis://:pw@h:63x79/0", "redis://h/first"])
def test_a_redis_that_the_driver_would_refuse_is_named_with_its_rule_at_the_start(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"^REDIS_URI: .*: must .*redis://"):
        load_settings({**GRAPHS, "REDIS_URI": uri})


def test_the_storage_is_opened_with_what_the_settings_say() -> None:
    settings = Settings(
        lease_seconds=11.0, versions_limit=12, database_direct_uri="postgres://direct/db", database_id="13"
    )

    assert settings.storage_options == StorageOptions(
        lease_seconds=11.0, versions_limit=12, direct_uri="postgres://direct/db", database_id="13"
    )
