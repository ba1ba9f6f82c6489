"""The application's embeddings, whose vectors are looked at before anything is stored.

That is done with each call rather than once at the start: a replica starts often, and a start must neither
cost money nor wait for a provider.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.embeddings import Embeddings

from lgs_runtime.errors import HandlerFailed


class SizedEmbeddings(Embeddings):
    """Embeddings that give one vector of `dims` numbers for each text, or raise `HandlerFailed`."""

    def __init__(self, inner: Embeddings, dims: int, name: str) -> None:
        """`name`: what `store.index.embed` says."""
        self._inner = inner
        self._dims = dims
        self._name = name

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """See LangChain's interface, as for all that follow."""
        return self._checked(self._inner.embed_documents(texts), len(texts))

    def embed_query(self, text: str) -> list[float]:
        return self._checked([self._inner.embed_query(text)], 1)[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._checked(await self._inner.aembed_documents(texts), len(texts))

    async def aembed_query(self, text: str) -> list[float]:
        return self._checked([await self._inner.aembed_query(text)], 1)[0]

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
