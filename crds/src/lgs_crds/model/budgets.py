"""`spec.budgets`: what the service's models may cost, in tokens or by their prices."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from lgs_crds.model.base import MOST_ENTRIES, Part

MOST_BUDGETS: Final = 8
"""One of each kind."""
MOST: Final = 10**15


class Budget(Part):
    """How much may be spent in an hour or a day. While it is used up new runs are answered 429."""

    tokens: int | None = Field(
        default=None, ge=1, le=MOST, description="Tokens of models, in and out. Not set: it is of cost."
    )
    cost: float | None = Field(
        default=None, gt=0, le=MOST, description="Cost, in the currency of prices. Not set: it is of tokens."
    )
    per: Literal["Hour", "Day"] = Field(description="In which time.")
    of: Literal["Service", "User"] = Field(
        default="Service", description="Whose runs: all of the service together, or those of each user."
    )


class Price(Part):
    """What a million tokens of a model cost."""

    input: float = Field(ge=0, le=MOST, description="Of those that it is given.")
    output: float = Field(ge=0, le=MOST, description="Of those that it answers with.")
    cached_input: float | None = Field(
        default=None,
        ge=0,
        le=MOST,
        description="Of those of the input that its provider had in its cache. Not set: as input.",
    )


class Budgets(Part):
    """What the service's models may cost."""

    limits: list[Budget] = Field(min_length=1, max_length=MOST_BUDGETS, description="Each holds by itself.")
    prices: dict[str, Price] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description="By the name of a model as the graph asks for it, or by how names begin, with * behind. "
        "Where a budget is of cost * must be there, for all others.",
    )
