"""The service's graphs: loading them, and opening them for a run."""
