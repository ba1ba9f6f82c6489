"""Runs: from a request to a durable run, and from a run to its answer."""
