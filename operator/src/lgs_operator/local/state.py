"""What changes while `lgs up` runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from lgs_operator.local.budgets import LocalBudgets
from lgs_operator.local.notices import Notices
from lgs_operator.local.processes import Process
from lgs_operator.local.service import LocalService
from lgs_operator.scaling import Decision, Memory
from lgs_operator.scaling.scrape import Usage


@dataclass(slots=True)
class State:
    """Everything that changes while `lgs up` runs."""

    service: LocalService
    generation: int = 1
    can_work: bool = True
    processes: list[Process] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    decision: Decision | None = None
    decided_at: float = 0.0
    crashes: int = 0
    crashed_at: float = 0.0
    not_before: float = 0.0
    made: int = 0
    announced: bool = False
    notices: Notices = field(default_factory=Notices)
    budgets: LocalBudgets = field(default_factory=LocalBudgets)
    usage: Usage = "no"
    """What replicas were asked for last."""
