"""LangGraph's checkpoints and store in SQLite, each in a file of its own, for several processes."""
