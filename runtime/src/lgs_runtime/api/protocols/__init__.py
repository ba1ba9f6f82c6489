"""The same threads, runs and assistants over other protocols: v2 of LangGraph's streaming protocol, MCP and
A2A. Each is another interface to the resources, and stores nothing of its own."""
