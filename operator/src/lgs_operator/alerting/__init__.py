"""Alerts of a manifest: what is measured, when one fires, and what its receiver is told. Pure."""
