"""The LangGraphService runtime: serves LangGraph graphs with durable runs over the LangGraph Server API."""
