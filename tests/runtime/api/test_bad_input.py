"""Input that no client should send: each is refused with the right status and words, or kept as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from support.waiting import until

NOBODY = "d56c324a-4a00-410c-b89f-27867dfa2e0e"
"""The id of nothing. Always the same, so that the names of the tests are."""

CRON = "{'assistant_id': 'steps', 'schedule': '0 0 1 1 *',"


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as opened:
        yield opened


def run(value: str) -> bytes:
    return f'{{"assistant_id": "steps", "input": {{"text": {value}}}}}'.encode()


@pytest.mark.parametrize("path", ["/runs/wait", "/threads", "/assistants/search", "/store/items/search"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 5000 + b"]" * 5000, {400, 422}),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, {400, 422}),
        (b'{"metadata": {"x": NaN}}', {422}),
        (b'{"metadata": {"x": Infinity}}', {422}),
        (b'{"metadata": {"x": 1e999}}', {422}),
        (b'{"metadata": {"x": "\\ud800"}}', {422}),
        (b'{"metadata": {"x": "\xc3\x28"}}', {400}),
        (b'\xff\xfe{"\x00}\x00', {400}),
        (b'{"\\u0000": 1, "assistant_id": "steps"}', {422}),
        (b"null", {422}),
        (b'"text"', {422}),
        (b"{}{}", {400}),
    ],
)
async def test_a_body_that_is_no_json_or_no_object_is_refused(
    http: httpx.AsyncClient, path: str, body: bytes, status: set[int]
) -> None:
    answer = await http.post(path, content=body)

    assert answer.status_code in status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("POST", "/threads/search {'limit': -1}", "limit: -1"),
        (
            "POST",
            "/store/namespaces {'max_depth': 1180591620717411303424}",
            "max_depth: 1180591620717411303424",
        ),
        ("GET", f"/threads/{NOBODY}/history?before=%00", "before: "),
        ("GET", f"/threads/{NOBODY}/history?before=nope", "before: 'nope': must be a UUID"),
        ("POST", f"/threads/{NOBODY}/history {{'before': 'nope'}}", "must be a UUID"),
        ("GET", f"/threads/{NOBODY}/state/nope", "checkpoint_id: 'nope': must be a UUID"),
        ("POST", f"/runs/crons {CRON} 'end_time': '0001-01-01T00:00:00+23:59'}}", "end_time: "),
        ("POST", f"/runs/crons {CRON} 'end_time': '9999-12-31T23:59:59-23:59'}}", "end_time: "),
        ("POST", "/threads/search {'limit': 0}", "limit: 0"),
        ("POST", "/threads/search {'limit': 100000}", "limit: 100000"),
        ("POST", "/threads/search {'offset': -1}", "offset: -1"),
        ("POST", "/threads/search {'offset': 99999999999999999999}", "offset: 99999999999999999999"),
        ("POST", "/assistants/search {'offset': 9223372036854775807}", "offset: 9223372036854775807"),
        ("POST", "/store/items/search {'limit': -5}", "limit: -5"),
        ("POST", "/threads {'thread_id': 'seven'}", "thread_id: 'seven': must be a UUID"),
        ("POST", "/threads {'ttl': {'ttl': 1e300}}", "ttl.ttl"),
        ("POST", "/runs {'assistant_id': 'steps', 'after_seconds': 1e300}", "after_seconds"),
        (
            "POST",
            "/runs {'assistant_id': 'steps', 'config': {'recursion_limit': 'many'}}",
            "config.recursion_limit: 'many'",
        ),
        ("GET", "/threads/%00", "thread_id"),
        ("GET", "/threads/%FF%FE", "thread_id"),
        ("GET", f"/threads/{NOBODY}/runs?offset=99999999999999999999", "offset"),
        ("GET", f"/threads/{NOBODY}/runs?limit=-1", "limit: '-1'"),
        ("GET", f"/threads/{NOBODY}/runs?status=lost", "status: 'lost'"),
        ("GET", f"/threads/{NOBODY}/history?limit=ten", "limit: 'ten'"),
        ("GET", f"/threads/{NOBODY}/state?subgraphs=perhaps", "subgraphs: 'perhaps': must be true or false"),
        ("GET", "/store/items?key=a%00b&namespace=x", "key"),
        ("GET", "/store/items?key=a&namespace=x%00", "namespace"),
    ],
)
async def test_a_value_out_of_bounds_is_named(
    http: httpx.AsyncClient, method: str, path: str, told: str
) -> None:
    path, _, body = path.partition(" ")
    given: dict[str, Any] = {"content": body.replace("'", '"')} if body else {}

    answer = await http.request(method, path, **given)

    assert answer.status_code == 422, answer.text
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_a_body_is_json_whatever_its_type_says(http: httpx.AsyncClient, media: str) -> None:
    good = await http.post("/runs/wait", content=run('"x"'), headers={"Content-Type": media})
    bad = await http.post("/runs/wait", content=b"assistant_id=steps", headers={"Content-Type": media})

    assert (good.status_code, bad.status_code) == (200, 400)


async def test_text_of_any_language_and_large_numbers_come_back_as_they_were(http: httpx.AsyncClient) -> None:
    kept = {
        "text": 'Zoë 東京 \U0001f600 \u2028 \\ "',
        "small": -(2**53),
        "large": 2**63,
        "long": "x" * 10_000,
    }
    thread = (await http.post("/threads", json={"metadata": kept})).json()

    found = await http.get(f"/threads/{thread['thread_id']}")

    assert found.json()["metadata"] == kept


@pytest.mark.parametrize("number", [str(2**64 - 1), "1e308", "-0.0", "1" + "0" * 400, "-" + "9" * 19])
async def test_numbers_of_any_size_come_back_from_a_run(http: httpx.AsyncClient, number: str) -> None:
    answer = await http.post("/runs/wait", content=run(number))

    assert answer.status_code == 200, answer.text
    assert json.loads(answer.content)["text"] == json.loads(number)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("NaN", "body.input.text: nan: must be a finite number"),
        ("[1, -1e999]", "body.input.text[1]: -inf: must be a finite number"),
        ('"a\\ud83d"', "body.input.text: 'a\\ud83d': must have both halves"),
        ('{"\\udc00": 1}', "body.input.text: key: '\\udc00': must have both halves"),
    ],
)
async def test_what_no_client_could_read_again_is_named(
    http: httpx.AsyncClient, value: str, told: str
) -> None:
    answer = await http.post("/runs/wait", content=run(value))

    assert answer.status_code == 422
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    "text", ["1" * 5000, "[" * 900 + "NaN" + "]" * 900, '{"a": 1e5, "b": 1' + "0" * 5000]
)
async def test_what_no_parser_takes_is_refused(http: httpx.AsyncClient, text: str) -> None:
    answer = await http.post("/runs/wait", content=run(text))

    assert answer.status_code in (400, 422), answer.text


async def test_a_page_far_behind_the_end_is_empty(http: httpx.AsyncClient) -> None:
    pages = [
        await http.post(path, json={"offset": 2**31 - 1})
        for path in ("/threads/search", "/assistants/search", "/runs/crons/search")
    ]

    assert [page.json() for page in pages] == [[], [], []]


async def test_who_leaves_in_the_middle_of_a_request_is_told_as_no_failure(url: str) -> None:
    address = httpx.URL(url)
    with capture_logs() as said:
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST /threads/search HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

        # What others were answered before may still be told of.
        told = await until(
            lambda: [
                (line["event"], line["log_level"])
                for line in said
                if line["event"].startswith("request.") and line["path"] == "/threads/search"
            ]
        )

    assert told == [("request.left", "info")]
