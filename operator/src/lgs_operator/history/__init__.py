"""The last 24 hours of a service in bounded memory: series, decisions, alerts. Pure."""
