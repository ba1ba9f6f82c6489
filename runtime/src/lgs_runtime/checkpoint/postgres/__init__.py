"""A checkpointer for PostgreSQL on the tables of langgraph-checkpoint-postgres, with group commit."""
