"""The routes of the LangGraph Server API, one module per resource, and what the operations on runs share."""
