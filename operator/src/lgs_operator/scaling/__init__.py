"""The scaling law and what feeds it: `decide(policy, observation, memory, now) -> Decision`.

Everything here is pure except `scrape`, which asks one replica for its metrics.
"""

from lgs_operator.scaling.decision import Decision
from lgs_operator.scaling.histogram import Histogram
from lgs_operator.scaling.law import decide
from lgs_operator.scaling.memory import Memory
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation, ReplicaSample

__all__ = ["Decision", "Histogram", "Memory", "Observation", "Policy", "ReplicaSample", "decide"]
