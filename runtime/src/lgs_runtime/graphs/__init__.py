"""Graphs of the service: loading them and opening them for a run."""
