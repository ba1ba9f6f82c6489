"""OpenAI's embeddings: a vector that is a function of the text; texts that share words are near."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

DIMENSIONS = 1536


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """The vectors of all inputs, as numbers or as base64 of little-endian floats."""
    given = body["input"]
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    size = body.get("dimensions") or DIMENSIONS
    vectors = [vector(_parts(each), size) for each in inputs]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": at, "embedding": _packed(each) if packed else each}
        for at, each in enumerate(vectors)
    ]
    usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}


def vector(parts: list[str], size: int) -> list[float]:
    """A unit vector: each part adds one to a place that its hash names."""
    values = [0.0] * size
    for part in parts or [""]:
        values[int.from_bytes(hashlib.sha256(part.encode()).digest()[:8], "big") % size] += 1.0
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def _parts(given: str | list[int]) -> list[str]:
    return given.lower().split() if isinstance(given, str) else [str(token) for token in given]


def _packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
