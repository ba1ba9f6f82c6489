"""The application's embeddings, whose vectors are checked before anything is stored.

They are checked at each call rather than once at the start: a replica starts often, and a start must neither
cost money nor wait for a provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from langchain_core.embeddings import Embeddings

from lgs_runtime.errors import HandlerFailed

_RAISED_BY: Final = "raised by store.index.embed: "


def raised_by_embeddings(raised: BaseException) -> bool:
    """Whether an error of any type came from the application's embeddings."""
    return any(note.startswith(_RAISED_BY) for note in getattr(raised, "__notes__", ()))


class SizedEmbeddings(Embeddings):
    """Embeddings that return one vector of `dims` numbers for each text, or raise `HandlerFailed`."""

    def __init__(self, inner: Embeddings, dims: int, name: str) -> None:
        """`name`: the value of `store.index.embed`."""
        self._inner = inner
        self._dims = dims
        self._name = name

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """See LangChain's interface, as for all that follow."""
        with self._noted():
            vectors = self._inner.embed_documents(texts)
        return self._checked(vectors, len(texts))

    def embed_query(self, text: str) -> list[float]:
        with self._noted():
            vector = self._inner.embed_query(text)
        return self._checked([vector], 1)[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        with self._noted():
            vectors = await self._inner.aembed_documents(texts)
        return self._checked(vectors, len(texts))

    async def aembed_query(self, text: str) -> list[float]:
        with self._noted():
            vector = await self._inner.aembed_query(text)
        return self._checked([vector], 1)[0]

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Passes errors on as they are, with a note of their origin, so that a node can recognise a
        provider's error by its type."""
        try:
            yield
        except BaseException as raised:
            raised.add_note(f"{_RAISED_BY}{self._name}")
            raise

    def _checked(self, vectors: Sequence[Sequence[float]], texts: int) -> list[list[float]]:
        if len(vectors) != texts:
            raise HandlerFailed(
                f"store.index.embed: {self._name}: must give one vector for each text; it gave "
                f"{len(vectors)} for {texts}"
            )
        for vector in vectors:
            if len(vector) != self._dims:
                raise HandlerFailed(
                    f"store.index.dims: {self._dims}: must be the length of the vectors that "
                    f"{self._name} gives, which is {len(vector)}"
                )
        return [list(vector) for vector in vectors]
