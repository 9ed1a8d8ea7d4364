"""Which evaluations made a search go where it went: its incumbents, and what each came from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.explanation.path import changes
from nasbench_lab.spaces import SearchSpace
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd


def incumbent_chain(trace: Trace, benchmark: TableBenchmark) -> pd.DataFrame:
    """The incumbents of a run, and for each the nearest evaluation that the search knew then.

    A search knows the evaluations that ended before an incumbent's began. The nearest differs in the
    fewest decisions; of equals it is the best, and then the latest. A trace does not tell what an
    algorithm made an architecture from, so this need not be its parent.

    Args:
        trace: The run.
        benchmark: The benchmark, for reported values; they decide nothing.

    Returns:
        A line per incumbent: ``evaluation`` (its number), ``architecture``, ``epoch``, ``value`` as
        the search saw it, ``gain`` over the incumbent before (positive if it is better; NaN for the
        first, and after other epochs), ``reported``, ``origin`` (``first``: nothing was known;
        ``changed``; ``repeated``: the same architecture was known, such as after fewer epochs;
        ``recommended``: own work of the algorithm, no evaluation), ``changes`` (in how many decisions
        it differs from the nearest), ``changed`` (which), ``from_evaluation``, ``from_architecture``
        and ``from_value``.
    """
    import pandas as pd

    space, scores, numbers = trace.space, trace.scores(), trace.evaluations()
    sign = 1.0 if trace.objectives[0].maximize else -1.0
    rows, reported = benchmark.rows(trace), benchmark.table.values(benchmark.report)
    positions = trace.incumbents()
    new = [int(p) for p in dict.fromkeys(positions.tolist()) if p >= 0]
    evaluated = ~trace.derived & (trace.architecture >= 0).all(axis=1)
    lines: list[dict[str, Any]] = []
    last = -1
    for at in new:
        architecture, value = tuple(trace.architecture[at].tolist()), float(trace.values[at, 0])
        comparable = last >= 0 and trace.epoch[at] == trace.epoch[last]
        line: dict[str, Any] = {
            "evaluation": int(numbers[at]),
            "architecture": space.to_string(architecture),
            "epoch": int(trace.epoch[at]),
            "value": value,
            "gain": sign * (value - float(trace.values[last, 0])) if comparable else math.nan,
            "reported": float(reported[rows[at]]) if rows[at] >= 0 else math.nan,
            "origin": "recommended" if trace.derived[at] else "first",
            "changes": math.nan,
            "changed": "",
            "from_evaluation": math.nan,
            "from_architecture": "",
            "from_value": math.nan,
        }
        earlier = np.flatnonzero(evaluated & (trace.end <= trace.start[at]))
        earlier = earlier[earlier < at]
        if len(earlier):
            differ = different_decisions(space, trace.architecture[earlier], architecture)
            nearest = int(earlier[np.lexsort((-earlier, -scores[earlier], differ))[0]])
            source = tuple(trace.architecture[nearest].tolist())
            if line["origin"] == "first":
                line["origin"] = "repeated" if source == architecture else "changed"
            line |= {
                "changes": float(differ.min()),
                "changed": changes(space, source, architecture),
                "from_evaluation": float(numbers[nearest]),
                "from_architecture": space.to_string(source),
                "from_value": float(trace.values[nearest, 0]),
            }
        lines.append(line)
        last = at
    return pd.DataFrame(lines, columns=COLUMNS)


def near_by_chance(trace: Trace, draws: int = 200) -> float:
    """The share of random architectures that are one change or none from a known evaluation.

    It is the mean over the incumbents of a run that came when something was known: what
    ``incumbent_chain`` would show of a search that draws at random. NaN without such incumbents.
    """
    space = trace.space
    drawn = space.sample(np.random.default_rng([0, 5]), draws)
    evaluated = ~trace.derived & (trace.architecture >= 0).all(axis=1)
    shares = []
    for at in dict.fromkeys(trace.incumbents().tolist()):
        known = evaluated & (trace.end <= trace.start[at]) & (np.arange(len(trace)) < at)
        if at >= 0 and known.any():
            earlier = np.unique(trace.architecture[known], axis=0)
            near = [
                different_decisions(space, earlier, tuple(one)).min() <= 1 for one in drawn.tolist()
            ]
            shares.append(np.mean(near))
    return float(np.mean(shares)) if shares else math.nan


COLUMNS = [
    "evaluation", "architecture", "epoch", "value", "gain", "reported", "origin", "changes",
    "changed", "from_evaluation", "from_architecture", "from_value",
]  # fmt: skip


def different_decisions(
    space: SearchSpace, architectures: NDArray[np.int64], architecture: tuple[int, ...]
) -> NDArray[np.int64]:
    """``(n,)`` in how many decisions ``(n, d)`` architectures differ from one.

    A decision that only one of two architectures has differs too.
    """
    here, there = space.active(architectures), space.active(np.array([architecture]))
    result: NDArray[np.int64] = ((architectures != architecture) | (here != there)).sum(axis=1)
    return result
