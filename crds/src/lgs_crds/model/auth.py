"""`spec.auth`: who may call the service."""

from __future__ import annotations

from pydantic import Field

from lgs_crds.model.base import Part
from lgs_crds.texts import GraphPath, Key, Name


class ApiKeysSecret(Part):
    """A key of a Secret that holds API keys, one a line: `key`, or `name=key`."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="keys", description="Key of the Secret.")


class ApiKeys(Part):
    """What callers must send as X-Api-Key. Changed keys take effect without a restart."""

    secret: ApiKeysSecret


class Auth(Part):
    """Who may call the service. Nothing set: everybody who can reach it."""

    api_keys: ApiKeys | None = None
    path: GraphPath | None = Field(
        default=None,
        description="path:variable of a langgraph_sdk.Auth object. Not set: auth of langgraph.json is used.",
    )
    disable_studio_auth: bool = Field(
        default=False, description="LangGraph Studio with an API key is a user like others."
    )
