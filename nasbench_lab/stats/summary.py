"""The summary of a result: one line per benchmark and algorithm."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nasbench_lab.stats.curves import final_value, found_nothing
from nasbench_lab.stats.intervals import summarise
from nasbench_lab.stats.targets import spent_to_target, target_value, top_targets
from nasbench_lab.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.results.result import Result

_TARGETS = {"top_1pct": "best 1 %", "top_10": "top 10"}
"""The targets of the summary, and their names in ``target_value``."""


def summary_frame(result: Result) -> pd.DataFrame:
    """One line per benchmark and algorithm.

    A run that never had an incumbent counts as worse than all others, and there is then no mean.

    Columns: ``runs``; ``without``, how many of them never had an incumbent; ``test_regret``,
    ``valid_regret`` and, where searches see single trials, ``seen_regret`` at the end (mean, with
    ``_low`` and ``_high`` the 95 % bootstrap interval, in the unit of the column; NaN if a run is
    without; ``_median`` of all runs, infinite if half of them are); ``evals_to_top_1pct`` and
    ``evals_to_top_10`` (evaluations until the incumbent was among the best 1 % or the 10 best
    entries of the table by the objective; the median of the runs, the lower of two, infinite for
    runs that never got there) with ``reached_`` the share of runs that got there (NaN if the table
    has not so many entries that are allowed); ``evaluations`` per run; of these ``failed``, and of
    those ``missing``, whose architecture the table lacks, per run, with ``_share`` of all;
    ``wall_s`` per run; of several objectives ``hypervolume``, the share that was found of the
    table's.
    """
    import pandas as pd

    lines = []
    for (name, algorithm), group in itertools.groupby(result.runs, lambda run: run.cell[:2]):
        runs = list(group)
        benchmark, traces = result.benchmark(name), [run.trace for run in runs]
        line: dict[str, Any] = {"benchmark": name, "algorithm": algorithm, "runs": len(runs)}
        line["without"] = sum(map(found_nothing, traces))
        line |= _ends(traces, benchmark) | _targets(traces, benchmark)
        line |= _evaluations(traces, benchmark)
        line["wall_s"] = float(np.mean([run.wall_s for run in runs]))
        lines.append(line)
    return pd.DataFrame(lines)


def _ends(traces: list[Trace], benchmark: TableBenchmark) -> dict[str, float]:
    """What the last incumbents are worth: mean, interval and median."""
    ends: dict[str, float] = {}
    several = ("hypervolume",) if len(benchmark.objectives) > 1 else ()
    seen = ("seen_regret",) if benchmark.noisy else ()
    for metric in ("test_regret", "valid_regret", *seen, *several):
        values = np.array([final_value(trace, benchmark, metric) for trace in traces])
        values = values[~np.isnan(values)]
        mean, low, high = summarise(values)
        ends |= {
            metric: float(mean),
            f"{metric}_low": float(low),
            f"{metric}_high": float(high),
        }
        if metric != "hypervolume":
            ends[f"{metric}_median"] = float(summarise(values, "median")[0])
    return ends


def _targets(traces: list[Trace], benchmark: TableBenchmark) -> dict[str, float]:
    """After how many evaluations the targets were reached, and by how many runs."""
    targets: dict[str, float] = {}
    for target, text in _TARGETS.items():
        counts = [math.nan]
        if text in top_targets(benchmark):
            _, value = target_value(benchmark, text)
            counts = [spent_to_target(trace, benchmark, value) for trace in traces]
        reached = math.nan if math.isnan(counts[0]) else float(np.mean(np.isfinite(counts)))
        targets[f"evals_to_{target}"] = float(np.sort(counts)[(len(counts) - 1) // 2])
        targets[f"reached_{target}"] = reached
    return targets


def _evaluations(traces: list[Trace], benchmark: TableBenchmark) -> dict[str, float]:
    """How many evaluations there were, and how many of them failed, per run."""
    made = [~trace.derived for trace in traces]  # not the algorithm's own work
    total = sum(int(which.sum()) for which in made)
    pairs = list(zip(traces, made, strict=True))
    counts = {
        "failed": sum(int(np.isnan(trace.values[which, 0]).sum()) for trace, which in pairs),
        "missing": sum(int((benchmark.rows(trace)[which] < 0).sum()) for trace, which in pairs),
    }
    line = {"evaluations": total / len(traces)}
    for kind, count in counts.items():
        line |= {kind: count / len(traces), f"{kind}_share": count / total if total else 0.0}
    return line
