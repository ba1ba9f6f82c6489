"""A provider of identities on loopback, as far as applications ask Supabase's: who has this token.

Everybody is the same user. Applications are pointed at it by `{identity}` in their `environment`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from support.http_stub import QuietHandler, http_stub

USER = {
    "id": "7d0f7c1e-0000-4000-8000-000000000001",
    "aud": "authenticated",
    "role": "authenticated",
    "email": "someone@example.com",
    "app_metadata": {},
    "user_metadata": {"full_name": "Some One"},
    "identities": [],
    "created_at": "2026-01-01T00:00:00Z",
}


class Handler(QuietHandler):
    """One request."""

    def do_GET(self) -> None:
        """The user, at the one path that is known."""
        known = self.path.partition("?")[0] == "/auth/v1/user"
        content = json.dumps(USER if known else {"message": f"{self.path}: not known"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def identity_provider() -> Iterator[str]:
    """Its address while the context is open."""
    with http_stub(Handler) as address:
        yield address
