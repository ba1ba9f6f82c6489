"""What a service's status says: from what was observed and decided, to the conditions that are written."""
