"""The same threads, runs and assistants in the words of other protocols: v2 of LangGraph's streaming
protocol, MCP and A2A. Each is a face of the resources and keeps nothing of its own."""
