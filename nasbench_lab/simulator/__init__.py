"""The simulator: the only loop that asks, evaluates and tells, in simulated or in real time."""

from nasbench_lab.simulator.jobs import empty_trace
from nasbench_lab.simulator.live import (
    AtWork,
    Finished,
    Order,
    Outcome,
    Pool,
    Standing,
    search_live,
)
from nasbench_lab.simulator.simulator import EVALUATING, PATIENCE, simulate

__all__ = [
    "EVALUATING",
    "PATIENCE",
    "AtWork",
    "Finished",
    "Order",
    "Outcome",
    "Pool",
    "Standing",
    "empty_trace",
    "search_live",
    "simulate",
]
