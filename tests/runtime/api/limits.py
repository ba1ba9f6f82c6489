"""Clients that wait as long as only a hang takes, on a machine that stands still for seconds."""

from __future__ import annotations

from typing import Any

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.ports import PATIENCE_SECONDS


def client_of(url: str, **more: Any) -> LangGraphClient:
    """The stock client, which by itself gives up on a connection after 5 s."""
    return get_client(
        url=url, **{"api_key": None, "timeout": httpx.Timeout(PATIENCE_SECONDS, read=300), **more}
    )
