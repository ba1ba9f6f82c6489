"""The error that keeps `lgs up` from working."""

from __future__ import annotations


class LocalError(Exception):
    """`lgs up` can't work; the message names the value, the rule and the way out."""
