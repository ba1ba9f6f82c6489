"""Tokens of customers and of our own people, for development: a name with its signature.

    python tokens.py ann            # a customer
    python tokens.py mia --staff    # one of us

A token is good for ever, and everybody who has the secret can make one. `CUSTOMER_SERVICE_SECRET` is that
secret; its default is public. A service on the internet checks the tokens of its identity provider in
`security.py` instead.
"""

from __future__ import annotations

import argparse
import hmac
import os
import re
from dataclasses import dataclass

SCHEME = "development"
SECRET = os.environ.get("CUSTOMER_SERVICE_SECRET", "everybody knows this")
ROLES = ("customer", "staff")


@dataclass(frozen=True)
class Bearer:
    """Whose token it is."""

    role: str
    name: str


def token(name: str, role: str = "customer") -> str:
    """The token of a customer, or of one of us."""
    if role not in ROLES or not re.fullmatch(r"[\w-]+", name):
        raise ValueError(
            f"{role}.{name}: must be one of {', '.join(ROLES)}, and a name of letters and digits"
        )
    return f"{SCHEME}.{role}.{name}.{_signature(role, name)}"


def bearer(authorization: str | None) -> Bearer | None:
    """Whose token an `Authorization` header has; None where it has none that is valid."""
    kind, _, sent = (authorization or "").partition(" ")
    parts = sent.split(".")
    if kind.lower() != "bearer" or len(parts) != 4 or parts[0] != SCHEME or parts[1] not in ROLES:
        return None
    _, role, name, signature = parts
    genuine = hmac.compare_digest(signature.encode(), _signature(role, name).encode())
    return Bearer(role, name) if genuine and name else None


def _signature(role: str, name: str) -> str:
    return hmac.new(SECRET.encode(), f"{role}.{name}".encode(), "sha256").hexdigest()[:32]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Print a token for development.")
    parser.add_argument("name")
    parser.add_argument(
        "--staff", action="store_true", help="of one of us, who may read and answer everybody"
    )
    given = parser.parse_args()
    print(token(given.name, "staff" if given.staff else "customer"))


if __name__ == "__main__":
    main()
