"""Runs in this replica: claiming, executing, resuming and ending them, and the slots that they occupy."""
