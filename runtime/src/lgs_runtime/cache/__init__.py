"""The cache of results: `@cached` for functions, `cache_key` for LangGraph's node policies, `NodeCache` for
subgraphs.

    from lgs_runtime.cache import cached

    @cached(ttl=300)
    async def search(question: str) -> list[str]: ...

To import it starts nothing. What is below is the replica's own.
"""

from lgs_runtime.cache.functions import CachedFunction, cached
from lgs_runtime.cache.keys import UncacheableArgument, cache_key
from lgs_runtime.cache.response import NodeCache

__all__ = ["CachedFunction", "NodeCache", "UncacheableArgument", "cache_key", "cached"]
