"""What the API server answers can be read, whatever tenants wrote, and takes no more memory than there is."""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import math
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_operator.kube.answers import LONGEST_OBJECT, AnswerTooLong, parsed
from lgs_operator.kube.deep_json import DeepDecoder, read_deeply
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import CONFIG_MAP, CONTROLLER_REVISION
from lgs_operator.kube.paging import LONGEST_PAGE, MOST_OBJECTS, whole_list
from lgs_operator.kube.watch_stream import events
from lgs_operator.process_setup import FRAMES
from support.drawn_manifests import examples

MB = 2**20


def test_what_is_too_deep_for_the_parser_in_c_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on that stops at a depth that no setting raises, at 1,500 levels or at 10,000: here at
    none at all."""

    def shallow(*_: object) -> object:
        raise RecursionError

    deep = b'{"a": [' * 4000 + b'"\xff", 7, 1e3, true, null' + b"]}" * 4000
    monkeypatch.setattr(json.decoder.scanner, "c_make_scanner", lambda _: shallow)
    monkeypatch.setattr(json.scanner, "make_scanner", lambda _: shallow)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(FRAMES)
    try:
        value = parsed(deep)
    finally:
        sys.setrecursionlimit(before)

    for _ in range(4000):
        (value,) = value["a"] if len(value["a"]) == 1 else (value["a"],)
    assert value == ["\ufffd", 7, 1000.0, True, None]


def test_all_of_the_process_reads_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "_default_decoder", json._default_decoder)  # type: ignore[attr-defined]
    read_deeply()

    assert isinstance(json._default_decoder, DeepDecoder)  # type: ignore[attr-defined]
    assert json.loads('{"a": [1, "b"]}') == {"a": [1, "b"]}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a\xff\xfe": 1}', {"a\ufffd\ufffd": 1}),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'"\\ud800"', "\ud800"),
        (b"1" * 5000, math.inf),
        (b"-" + b"1" * 5000, -math.inf),
        (b"1e400", math.inf),
        (b"9" * 30, int("9" * 30)),
        ("\ufeff".encode() + b"1", None),
    ],
)
def test_what_the_server_keeps_byte_by_byte_is_read(raw: bytes, value: object) -> None:
    if value is None:
        with pytest.raises(ValueError, match="BOM"):
            parsed(raw)
    else:
        assert parsed(raw) == value


@examples(200)
@given(st.binary(max_size=40).filter(lambda raw: not set(raw) & (set(range(32)) | set(b'"\\'))))
def test_any_bytes_in_a_text_are_read(raw: bytes) -> None:
    assert isinstance(parsed(b'"' + raw + b'"'), str)


class _Stream:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    async def iter_any(self) -> AsyncIterator[bytes]:
        for begin in range(0, len(self._raw), 65536):
            yield self._raw[begin : begin + 65536]


@pytest.mark.parametrize("data", [b'{"a\xff": 1}', b'{"a": ' + b"1" * 5000 + b"}"])
async def test_a_watch_goes_on_behind_what_is_no_text(data: bytes) -> None:
    lines = b'{"type": "ADDED", "object": {"data": %b}}\n{"type": "MODIFIED", "object": {}}\n' % data

    assert [event async for event, _ in events(_Stream(lines))] == ["ADDED", "MODIFIED"]


async def test_an_object_that_json_makes_six_times_as_long_ends_no_watch() -> None:
    """One and a half MiB of `<`, which etcd takes."""
    line = b'{"type": "ADDED", "object": {"data": "%b"}}\n' % (b"\\u003c" * (3 * MB // 2))

    assert [event async for event, _ in events(_Stream(line))] == ["ADDED"]


class Server:
    """A list of objects of so many bytes each, in pages as they are asked for."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.longest = 0
        self.asked = 0

    async def ask(self, query: Mapping[str, str], most_bytes: int) -> dict[str, Any]:
        assert query["labelSelector"] == "ours", "each page is of the same objects"
        self.asked += 1
        begin, most = int(query.get("continue", "0")), int(query.get("limit", len(self.sizes)))
        page = range(len(self.sizes))[begin : begin + most]
        read = sum(self.sizes[each] for each in page)
        self.longest = max(self.longest, min(read, most_bytes))
        if read > most_bytes:
            raise AnswerTooLong(most_bytes)
        items = [{"metadata": {"name": f"o-{each}", "resourceVersion": "3"}} for each in page]
        more = {"continue": str(begin + most)} if begin + most < len(self.sizes) else {}
        return {"metadata": {"resourceVersion": "7", **more}, "items": items or None}


async def listed(server: Server) -> tuple[list[dict[str, Any]], str]:
    return await whole_list(server.ask, CONFIG_MAP, {"labelSelector": "ours"}, dict)


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [10] * 3,
        [10] * (3 * MOST_OBJECTS + 1),
        [300_000] * 1000,
        [10] * 600 + [MB] * 60 + [10] * 600,
        [9 * MB] * 3,
    ],
)
async def test_a_list_of_any_length_is_read_in_pieces_of_some_megabytes(sizes: list[int]) -> None:
    server = Server(sizes)

    found, version = await listed(server)

    assert [each["metadata"]["name"] for each in found] == [f"o-{each}" for each in range(len(sizes))]
    assert version == "7"
    assert server.longest <= max([LONGEST_PAGE, *sizes])


async def test_a_small_list_is_one_answer() -> None:
    """Without a limit, by which the API server would ask etcd in place of its cache."""
    server = Server([1000] * 3 * MOST_OBJECTS)

    await listed(server)

    assert server.asked == 1


async def test_an_object_that_is_too_long_by_itself_is_an_error_of_the_server() -> None:
    with pytest.raises(KubeError, match=f"more than {LONGEST_OBJECT} bytes came"):
        await listed(Server([LONGEST_OBJECT + 1]))


@pytest.mark.parametrize(
    "answer", [{}, {"items": []}, {"items": [], "metadata": None}, {"items": 5, "metadata": {}}]
)
async def test_what_is_no_list_is_told(answer: dict[str, Any]) -> None:
    async def ask(*_: object) -> dict[str, Any]:
        return answer

    with pytest.raises(KubeError, match="what came is no list of controllerrevisions"):
        await whole_list(ask, CONTROLLER_REVISION, {}, dict)
