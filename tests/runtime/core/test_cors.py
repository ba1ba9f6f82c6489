"""Browsers' rules are Starlette's, whichever way a request takes."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from lgs_runtime.api.http.cors import cors_middleware
from lgs_runtime.graphs.http_section import Cors

RULES = [
    Cors(),
    Cors(allow_credentials=True),
    Cors(allow_origins=("https://mine.example",)),
    Cors(allow_origins=(), allow_origin_regex="https://.*"),
]
FROM = [{}, {"Origin": "https://mine.example"}, {"Origin": "http://other.example"}, {"Cookie": "a=b"}]
ANSWERED = [{}, {"Vary": "Accept"}, {"vary": "Accept-Encoding, Accept"}]


@pytest.mark.parametrize(("rule", "sent", "said"), list(product(RULES, FROM, ANSWERED)))
def test_an_answer_is_marked_as_starlette_marks_it(
    rule: Cors, sent: dict[str, str], said: dict[str, str]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("here", headers=said)(scope, receive, send)

    ours: Any = cors_middleware(rule)
    answers = [
        TestClient(kind(app, *ours.args, **ours.kwargs)).get("/", headers=sent)
        for kind in (ours.cls, CORSMiddleware)
    ]

    assert [answer.text for answer in answers] == ["here", "here"]
    assert sorted(answers[0].headers.multi_items()) == sorted(answers[1].headers.multi_items())
