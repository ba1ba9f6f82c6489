"""Wrappers around a saver: for an attempt, for a lease, and for an application's own checkpointer."""
