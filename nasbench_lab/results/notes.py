"""What a reader of a result should know, in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nasbench_lab import stats
from nasbench_lab.benchmark import gaps, scarcity
from nasbench_lab.experiment.differences import differences
from nasbench_lab.tables.coverage import ENOUGH
from nasbench_lab.words import counted, listed

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.benchmark import TableBenchmark
    from nasbench_lab.experiment.program import Program
    from nasbench_lab.results.result import Result

_NOTABLE = 0.01
"""From this share of an algorithm's evaluations on, failures are noted."""


_NO_TEST = "The table holds no test data"
_ONLY_TEST = "Both are of test data, as the table holds no other"


def notes_on_values(result: Result, summary: pd.DataFrame) -> list[str]:
    """What a reader of the summary should know, such as validation that misleads.

    What is true of several benchmarks is said once.
    """
    benchmarks_by_sentence: dict[str, list[str]] = {}
    for name in result.benchmarks:
        lines = summary[summary["benchmark"] == name] if len(summary) else summary
        benchmark, program = result.benchmark(name), result.experiment.benchmark(name).program
        scarce = scarcity(benchmark) if program is None else []
        sentences = [
            *dict.fromkeys([*scarce, *_on_gaps(benchmark, lines)]),
            *_on_runs(result, name, lines),
            *_on_front(result, name, lines),
            *(_on_table(result, name) if program is None else _on_program(result, name, program)),
            *_on_winner(result, name, lines),
        ]
        for sentence in dict.fromkeys(sentences):
            benchmarks_by_sentence.setdefault(sentence, []).append(name)
    return [f"{', '.join(names)}: {sentence}" for sentence, names in benchmarks_by_sentence.items()]


def _on_gaps(benchmark: TableBenchmark, lines: pd.DataFrame) -> list[str]:
    """What the table lacks, if that is much, or evaluations failed for it."""
    lacked = benchmark.missing != "fallback" and (lines.get("missing_share", 0) >= _NOTABLE)
    sparse = benchmark.table.coverage.share < ENOUGH
    return gaps(benchmark) if sparse or np.any(lacked) else []


def _on_runs(result: Result, name: str, lines: pd.DataFrame) -> Iterator[str]:
    """What was not found, not evaluated or not asked on a benchmark."""
    constraints = result.benchmark(name).constraints
    allowed = f" that keeps to {', '.join(map(str, constraints))}" if constraints else ""
    for line in lines.to_dict(orient="records"):
        runs = [r for r in result.runs if r.cell[:2] == (name, line["algorithm"])]
        # Of runs that failed, the reason is told elsewhere.
        sound = [run.trace for run in runs if run.error is None]
        idle = sum(not len(t) and not (t.cut_off and len(t.cut_off)) for t in sound)
        every = counted(len(runs), "run")
        if idle:
            yield f"{line['algorithm']} never asked for an evaluation in {idle} of {every}."
        without = sum(map(stats.found_nothing, sound)) - idle
        if without:
            yield (
                f"{without} of {every} of {line['algorithm']} found nothing{allowed} within the "
                f"budget. They count as worse than all others, and {line['algorithm']} has no "
                f"mean."
            )
        if line["failed_share"] >= _NOTABLE:
            lacks = ""
            if line["missing_share"] >= _NOTABLE:
                lacks = f" ({line['missing_share']:.0%}: the table has no such architecture)"
            yield f"{line['failed_share']:.0%} of {line['algorithm']}'s evaluations failed{lacks}."


def _on_front(result: Result, name: str, lines: pd.DataFrame) -> Iterator[str]:
    """Whether the hypervolumes say anything."""
    benchmark = result.benchmark(name)
    if len(benchmark.objectives) > 1 and len(lines) and (lines["hypervolume"] < 0.01).any():
        few = lines[lines["hypervolume"] < 0.01]
        yield (
            f"next to nothing that {', '.join(few['algorithm'])} found is within a tenth of the "
            f"Pareto front's range beyond its worst values, so the hypervolume is about 0. The "
            f"fronts say more: nasbench-lab plot --pareto."
        )


def _on_program(result: Result, name: str, program: Program) -> Iterator[str]:
    """How a benchmark that is no table is judged."""
    benchmark = result.benchmark(name)
    traces = [run.trace for run in result.runs if run.benchmark == name]
    if program.fallback:
        total = sum(int((~t.derived).sum()) for t in traces)
        outside = sum(int((t.row[~t.derived] < 0).sum()) for t in traces)
        yield (
            f"{outside:,} of {counted(total, 'evaluation')} ({outside / max(total, 1):.0%}) were of "
            f"architectures that the table lacks, and made by {program.name}. These have no test "
            f"value, so all are judged by {benchmark.first_objective.metric}."
        )
    elif program.best_value is None:
        yield (
            f"it is no table, so nobody knows its best value. Regrets, ranks and targets are among "
            f"the {counted(len(benchmark.table), 'architecture')} that these runs evaluated; more "
            f"runs may find a better one, and change them."
        )
    if program.best_value is not None:
        best = benchmark.optimum(benchmark.first_objective)
        if abs(best - program.best_value) > stats.ROUNDING * abs(best):
            yield (
                f"a run found {best:g}, which is better than the {program.best_value:g} that the "
                f"benchmark calls the best possible. Regrets are to what was found."
            )
    if program.noisy:
        yield (
            "evaluations are noisy, and an architecture is worth the mean of its evaluations in all "
            "runs. Of one that was evaluated once, that is the value which the search saw."
        )
    if program.measured:
        yield (
            "its costs are measured seconds, so no run repeats to the bit, and runs that others made "
            "on other machines cannot be compared by time."
        )


def _on_table(result: Result, name: str) -> Iterator[str]:
    """What the values of a table mean for a comparison on it."""
    benchmark = result.benchmark(name)
    table, objective, report = benchmark.table, benchmark.first_objective, benchmark.report
    allowed = " of those allowed" if benchmark.constraints else ""
    if stats.sees_trials(benchmark):
        on_test = table.column(objective).on_test_data
        yield (
            "a search sees one training of an architecture, and is judged by the mean over its "
            "trainings. "
            f"{_ONLY_TEST if on_test else _NO_TEST}: the regret says how well a search optimises, not "
            "how well its choice generalises."
        )
        return
    if table.column(objective) == table.column(report):
        yield (
            f"the table has one {objective.metric} of an architecture, which is both searched on "
            f"and reported. The regret says how well a search optimises, not how well its choice "
            f"generalises."
        )
        return
    regrets = stats.regret(benchmark, objective, table.values(objective))
    tied = table.values(report)[(regrets == 0) & benchmark.feasible]
    floor = stats.regret(benchmark, report, tied)
    if len(tied) == 1 and floor[0] == 0:
        return
    yield (
        f"the entry with the best {objective.metric}{allowed} has a {report.metric} regret of "
        f"{floor[0]:.3g}. A search that finds it ends there, not at 0."
        if len(tied) == 1
        else f"the {len(tied)} entries that tie for the best {objective.metric}{allowed} have "
        f"{report.metric} regrets from {floor.min():.3g} to {floor.max():.3g}."
    )


def _on_winner(result: Result, name: str, lines: pd.DataFrame) -> Iterator[str]:
    """Whether an algorithm that does not win on the objective is better on what is reported."""
    if len(lines) < 2:
        return
    benchmark, part = result.benchmark(name), result.of([name])
    winner = next(v.winner for v in stats.verdicts(part) if v.metric == "valid_regret")
    if winner is None:
        return
    frame = stats.table_frame(part, "test_regret", winner)
    if len(better := frame["algorithm"][frame["outcome"] == "better"]):
        searched, reported = benchmark.first_objective.metric, benchmark.report.metric
        yield (
            f"{winner} wins on {searched}, yet {listed(list(better))} "
            f"{'is' if len(better) == 1 else 'are'} significantly better than it on {reported}: "
            f"here a better {searched} does not buy a better {reported}."
        )


def notes_on_runs(result: Result) -> list[str]:
    """Which runs are missing, and whether they were made with different versions."""
    notes = []
    if len(result.runs) < result.n_expected:
        notes.append(
            f"{result.n_expected - len(result.runs)} of the {result.n_expected} runs are missing."
        )
    versions = {json.dumps(made["versions"], sort_keys=True) for made in result.made_with}
    if len(versions) > 1:
        differ = differences(*map(json.loads, sorted(versions)[:2]))
        notes.append(f"The runs were made with different versions: {'; '.join(differ)}.")
    return notes


def notes_on_algorithms(result: Result) -> list[str]:
    """What algorithms did that they should not, and in which runs they failed."""
    notes = []
    programs = [one.name for one in result.experiment.benchmarks if one.program is not None]
    names = f"the benchmark {' or '.join(programs)}" if programs else ""
    for algorithm in result.experiment.algorithms:
        name = algorithm.title
        runs = [run for run in result.runs if run.algorithm == algorithm.name]
        texts = dict.fromkeys(text for run in runs for text in run.warnings)
        who = f"{name} or {names}" if names else name
        notes += [f"{who} {text}" for text in texts]
        failed = [run for run in runs if run.error is not None]
        if failed:
            first, reason = failed[0], str(failed[0].error).partition("\n")[0]
            notes.append(
                f"{name} failed in {len(failed)} of {len(runs)} runs, which count as runs that "
                f"found nothing. The first, on {first.benchmark} with seed {first.seed}: {reason}"
            )
    return notes
