"""What went wrong between the operator and the API server, and whether it will pass."""

from __future__ import annotations

import json

# unauthorised, somebody was faster, too many requests, not available now
_PASSING = {401, 409, 429, 502, 503, 504}


class KubeError(Exception):
    """The API server refused, or was not reached. `status` is the HTTP status, 0 without an answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{reason}: {message}" if message else reason)

    @property
    def not_found(self) -> bool:
        """The object does not exist."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Somebody else was faster."""
        return self.status == 409

    @property
    def refused(self) -> bool:
        """The server refuses what it was sent. That includes 500, its answer to a quantity that it can't
        read."""
        return self.status >= 400 and self.status not in _PASSING

    @property
    def lasting(self) -> bool:
        """The server refuses until somebody changes something: the fault is not the server's own."""
        return self.refused and self.status < 500


def refusal(status: int, text: str) -> KubeError:
    """The error in an answer with a status of 400 or more."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return KubeError(status, f"HTTP {status}", text[:500])
    return KubeError(status, answer.get("reason") or f"HTTP {status}", answer.get("message", ""))
