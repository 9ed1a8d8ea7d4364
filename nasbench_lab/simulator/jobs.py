"""What a simulation keeps of its evaluations, and the trace that is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation, Trial, Work
from nasbench_lab.benchmark import Benchmark
from nasbench_lab.budget import Budget
from nasbench_lab.trace import STATUSES, Trace
from nasbench_lab.workers import Workers


class Job:
    """One evaluation, or work of the algorithm itself, on one worker."""

    __slots__ = (
        "charged",
        "end",
        "evaluation",
        "factor",
        "failed",
        "number",
        "passes",
        "seen",
        "since",
        "start",
        "stopped",
        "trial",
        "upcoming",
        "work",
        "worker",
    )
    number: int
    """Counts the asks."""
    worker: int
    start: float
    end: float
    trial: Trial
    evaluation: Evaluation
    """What comes of it in the end."""
    since: int
    """The epoch that the trial had been trained to."""
    charged: bool
    failed: bool
    """Whether a worker fails it."""
    stopped: bool
    factor: float
    """How many times as long it takes."""
    upcoming: list[int]
    """The epochs that are still to be shown, the next one last."""
    seen: Evaluation | None
    """What the next event shows; None if that is the end."""
    work: Work | None
    """The algorithm's own work; the trial is then of what it recommends, and has the number -1."""
    passes: float
    """How many epochs own work is worth."""


def trace_of(
    jobs: list[Job],
    benchmark: Benchmark,
    settings: dict[str, Any],
    cut_off: bool = False,
    reasons: Mapping[int, str] = MappingProxyType({}),
) -> Trace:
    """The trace of evaluations and work, in the order in which they ended.

    Args:
        jobs: What was done.
        benchmark: What evaluated.
        settings: What the trace notes.
        cut_off: Whether the budget cut them off, so that nobody knows what would have come of them.
        reasons: Why evaluations failed, by the number of the ask.
    """
    n, d, m = len(jobs), len(benchmark.space.decisions), len(benchmark.objectives)
    evaluations = [job.evaluation for job in jobs]
    values = np.array([e.values for e in evaluations], dtype=np.float64).reshape(n, m)
    status = np.array([STATUSES.index("stopped" if j.stopped else "done") for j in jobs], np.int8)
    status[np.isnan(values[:, 0])] = STATUSES.index("failed")
    status[[job.work is not None for job in jobs]] = STATUSES.index("derived")
    status[[job.number < 0 for job in jobs]] = STATUSES.index("known")
    violation = np.array([e.violation for e in evaluations], dtype=np.float64)
    if cut_off:
        values[:] = violation[:] = np.nan
        status[:] = STATUSES.index("cut off")
    return Trace(
        trial=np.array([job.trial.number for job in jobs], dtype=np.int64),
        architecture=np.array([j.trial.architecture for j in jobs], dtype=np.int64).reshape(n, d),
        row=np.array([e.row for e in evaluations], dtype=np.int64),
        since=np.array([job.since for job in jobs], dtype=np.int64),
        epoch=np.array([-1 if e.epoch is None else e.epoch for e in evaluations], dtype=np.int64),
        values=values,
        violation=violation,
        cost=np.array([e.cost for e in evaluations], dtype=np.float64),
        start=np.array([job.start for job in jobs], dtype=np.float64),
        end=np.array([job.end for job in jobs], dtype=np.float64),
        worker=np.array([job.worker for job in jobs], dtype=np.int64),
        charged=np.array([job.charged for job in jobs], dtype=np.bool_),
        status=status,
        space=benchmark.space,
        objectives=benchmark.objectives,
        settings=settings,
        passes=np.array([0.0 if j.work is None else j.passes for j in jobs], np.float64),
        reasons={i: reasons[j.number] for i, j in enumerate(jobs) if j.number in reasons},
    )


def notes_of(
    benchmark: Benchmark,
    budget: Budget,
    workers: Workers,
    charge_repeats: bool,
    settings: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a trace notes: other settings, and under what it was made."""
    return {
        **(settings or {}),
        "budget": budget.describe(),
        "clock": benchmark.clock,
        "charge_repeats": charge_repeats,
        "workers": workers.describe(),
    }


def empty_trace(
    benchmark: Benchmark,
    budget: Budget,
    workers: Workers,
    charge_repeats: bool,
    settings: dict[str, Any],
) -> Trace:
    """The trace of a search of which nothing is known, as it failed; arguments as of ``simulate``."""
    notes = notes_of(benchmark, budget, workers, charge_repeats, settings)
    nothing = trace_of([], benchmark, notes)
    return replace(nothing, cut_off=trace_of([], benchmark, notes, cut_off=True))
