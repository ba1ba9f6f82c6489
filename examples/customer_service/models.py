"""Which model the agents talk to, and the circuit breaker before it.

With `CUSTOMER_SERVICE_MODEL` (`openai:gpt-4.1-mini`), or with the key of a provider in the environment, it is
a real one, by LangChain's `init_chat_model`; without, the local one. Nothing is made before it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from langchain_core.language_models import BaseChatModel
from local_model import LocalChatModel

from lgs_runtime.breaker import CircuitBreaker

OF_KEYS = {"OPENAI_API_KEY": "openai:gpt-4.1-mini", "ANTHROPIC_API_KEY": "anthropic:claude-haiku-4-5"}
CALL_SECONDS = 30.0
"""A call that takes longer has failed."""
NO_FALLBACK: Any = object()


def model_name(variables: Mapping[str, str]) -> str:
    """The model that the environment asks for."""
    by_key = (name for key, name in OF_KEYS.items() if variables.get(key))
    return variables.get("CUSTOMER_SERVICE_MODEL") or next(by_key, "local")


@cache
def chat_model() -> BaseChatModel:
    """The model of this process."""
    name = model_name(os.environ)
    if name == "local":
        return LocalChatModel()
    try:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415 - not needed by the local one
    except ImportError as missing:
        raise ImportError(f"{name}: needs the package langchain and that of the provider") from missing
    model: BaseChatModel = init_chat_model(name, temperature=0, timeout=CALL_SECONDS, max_retries=1)
    return model


def model_breaker(fallback: Any = NO_FALLBACK) -> CircuitBreaker:
    """The breaker before the model. All that it gives are one circuit, `model`, which the replicas share;
    each use has a fall-back of its own.

    A slow model is as bad as one that fails: customers wait for it in their thousands.
    """
    given = {} if fallback is NO_FALLBACK else {"fallback": fallback}
    return CircuitBreaker(
        "model",
        failure_threshold=0.5,
        minimum_calls=10,
        window_seconds=20,
        slow_call_seconds=10,
        slow_call_threshold=0.5,
        recovery_timeout=float(os.environ.get("CUSTOMER_SERVICE_RECOVERY_SECONDS", "10")),
        timeout=CALL_SECONDS,
        **given,
    )
