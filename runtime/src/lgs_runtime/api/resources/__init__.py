"""The routes of the LangGraph Server API, one module a resource, and what the operations on runs share."""
