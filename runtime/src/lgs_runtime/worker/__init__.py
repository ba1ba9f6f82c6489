"""Runs in this replica: claiming, executing, leases, signals, metrics."""
