"""What keeps `lgs up` from working."""

from __future__ import annotations


class LocalError(Exception):
    """The message names value, rule and way out."""
