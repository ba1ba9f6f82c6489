"""Requests drawn from a server's description, from a process of their own.

The examples are drawn with a fixed seed, so that a failure comes back. `LGS_FUZZ_EXAMPLES` asks for more of
them, an operation.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.ports import PATIENCE_SECONDS

EXAMPLES = int(os.environ.get("LGS_FUZZ_EXAMPLES", "12"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/x-ndjson")
def _as_lines(_: object, value: object) -> bytes:
    """Documents are drawn as texts."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@dataclass(frozen=True)
class Known:
    """What is there, so that not everything that is asked for is missing."""

    thread_id: str
    run_id: str
    cron_id: str
    assistant_id: str
    checkpoint_id: str


async def fuzzed(url: str, there: Known) -> list[str]:
    """What `fuzz` finds from a process of its own.

    In a thread beside the server it would share the interpreter with it, and until 3.11.8 and 3.12.2 Python
    fails with SystemError when two threads parse sources at once, as LangGraph does with nodes and hypothesis
    with what draws the examples.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        return await asyncio.get_running_loop().run_in_executor(apart, fuzz, url, there)


def fuzz(url: str, there: Known) -> list[str]:
    """Calls every operation; what was wrong with each that failed."""
    description = schemathesis.openapi.from_url(f"{url}/openapi.json")
    wrong = []
    for found in description.get_all_operations():
        try:
            fuzz_operation(found.ok(), url, there)
        except* (AssertionError, Failure, requests.RequestException) as raised:
            wrong.append(f"{found.ok().label}: {raised.exceptions}")
    return wrong


def fuzz_operation(operation: APIOperation[Any, Any, Any], url: str, there: Known) -> None:
    """Calls one operation with examples that fit its description, and some that don't."""
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])

    @seed(4)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def one(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=data.draw(modes)))
        aim(case, there, data)
        ask(case, url)

    one()


def aim(case: Case, there: Known, draw: st.DataObject) -> None:
    """Names what is there, most of the time. What would take for ever, or leave this machine, is left out."""
    for name in list(case.path_parameters or ()):
        if hasattr(there, name) and draw.draw(st.integers(0, 3)):
            case.path_parameters[name] = getattr(there, name)
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for body in bodies:
        if not isinstance(body, dict):
            continue
        if "assistant_id" in body and draw.draw(st.integers(0, 3)):
            body["assistant_id"] = draw.draw(st.sampled_from(["steps", "asks", there.assistant_id]))
        if "schedule" in body:
            body["schedule"] = draw.draw(st.sampled_from(["0 0 1 1 *", body["schedule"], "* * * * * *", "x"]))
        if isinstance(body.get("webhook"), str):
            body["webhook"] = "http://127.0.0.1:9/"
        if body.get("after_seconds"):
            body["after_seconds"] = 0.01


def ask(case: Case, url: str) -> None:
    """Sends one case and checks the answer. Of a stream, which may never end, only its beginning."""
    told = case.as_transport_kwargs(base_url=url)
    streams = "text/event-stream" in str(case.operation.definition.raw.get("responses", {}).get("200"))
    with requests.request(**told, stream=True, timeout=PATIENCE_SECONDS) as answer:
        if streams and answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/event-stream")
            next(answer.iter_lines(), None)
            return
        case.validate_response(answer, checks=CHECKS)
