"""A package in a src layout that offers its graph, as LangChain's templates do."""

from desk.agent import graph

__all__ = ["graph"]
