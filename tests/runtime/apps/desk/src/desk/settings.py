"""What a caller may set of the agent; each has a default."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class Settings:
    """The context of a run."""

    greeting: str = "You are a desk."
    model: str = "stub"
