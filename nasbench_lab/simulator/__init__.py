"""The simulator: the only loop that asks, evaluates and tells."""

from nasbench_lab.simulator.jobs import empty_trace
from nasbench_lab.simulator.simulator import EVALUATING, PATIENCE, simulate

__all__ = ["EVALUATING", "PATIENCE", "empty_trace", "simulate"]
