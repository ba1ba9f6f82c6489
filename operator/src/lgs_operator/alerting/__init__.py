"""Alerts of a manifest: what is measured, when an alert fires, and what its receiver is sent. Pure."""
