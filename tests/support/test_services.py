"""The services that the tests stand on are real, and clean for each test."""

from __future__ import annotations

import psycopg
import redis

from support.postgres import PostgresServer


def test_a_test_gets_an_empty_database(postgres_uri: str) -> None:
    with psycopg.connect(postgres_uri) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()

    assert tables == (0,)


def test_a_test_gets_an_empty_redis(redis_uri: str) -> None:
    with redis.Redis.from_url(redis_uri) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_a_stopped_server_comes_back_with_its_data(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.uri, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postgres_server.stop()

    postgres_server.start()

    with psycopg.connect(postgres_server.uri) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
