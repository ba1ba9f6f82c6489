"""The status of a service: turns what was observed and decided into the conditions that are written."""
