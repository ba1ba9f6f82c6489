"""LangGraph's checkpointer and store in SQLite, each in its own file, which several processes may share."""
