"""What went wrong between the operator and the API server, and whether it will pass."""

from __future__ import annotations

import json

# who we are, somebody was faster, too many requests, not now
_PASSING = {401, 409, 429, 502, 503, 504}


class KubeError(Exception):
    """The API server refused or was not reached. `status` is the HTTP status, 0 for no answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{reason}: {message}" if message else reason)

    @property
    def not_found(self) -> bool:
        """The object is not there."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Somebody was faster."""
        return self.status == 409

    @property
    def refused(self) -> bool:
        """The server won't take what it was sent; a quantity that it can't read it answers with 500."""
        return self.status >= 400 and self.status not in _PASSING

    @property
    def lasting(self) -> bool:
        """It was refused, and will be until somebody changes something: no fault of the server's own."""
        return self.refused and self.status < 500


def refusal(status: int, text: str) -> KubeError:
    """What the API server said, in an answer with a status of 400 or more."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return KubeError(status, f"HTTP {status}", text[:500])
    return KubeError(status, answer.get("reason") or f"HTTP {status}", answer.get("message", ""))
