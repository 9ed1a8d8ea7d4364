"""The methods of a result, in words for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nasbench_lab import stats
from nasbench_lab.benchmark import TableBenchmark, gaps
from nasbench_lab.clock import REAL, SENTENCES, counts_seconds
from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.experiment.warm_start import STARTS
from nasbench_lab.registry import parse_algorithm
from nasbench_lab.results.result import Result
from nasbench_lab.words import counted, listed
from nasbench_lab.workers import Workers

if TYPE_CHECKING:
    from nasbench_lab.experiment.program import Program


def methods(
    result: Result,
    ranked_on: Sequence[str],
    reference: str | None = None,
    explained: bool = False,
    predicted: bool = False,
) -> list[str]:
    """Paragraphs on the comparison, the runs, the reported values and the statistics.

    Args:
        result: The runs.
        ranked_on: The benchmarks over which algorithms are ranked; none if they are not.
        reference: The algorithm that the others are tested against, if it is not the best.
        explained: Whether the report explains what was found.
        predicted: Whether it judges predictors.
    """
    summarised = _statistics(result, ranked_on, reference)
    paragraphs = [_compared(result), _runs(result), _reported(result), summarised]
    paragraphs += [_EXPLAINED] if explained else []
    paragraphs += [_PREDICTED] if predicted else []
    return [" ".join(filter(None, sentences)) for sentences in paragraphs]


_EXPLAINED = [
    "The importance of decisions is their share of the variance of the values that the runs saw, by "
    "functional analysis of variance (Hutter et al. 2014) of the trees of a random forest, or exactly "
    "where all architectures were evaluated.",
    "The shares of options among the best are compared with those in the rest by Newcombe's interval, "
    "with Bonferroni's correction over all options.",
]

_PREDICTED = [
    "Predictors are judged as by White et al. (2021): they learn the values of random architectures, "
    "as searches see them, and predict others, of which they are told nothing; they are judged by the "
    "means over trainings. All predictors get the same architectures. Two are not told apart if the "
    "95 % bootstrap interval of their mean difference holds 0.",
]


def statistics_used(
    result: Result, friedman: bool, explained: bool = False, predicted: bool = False
) -> dict[str, str]:
    """The keys of ``citations.STATISTICS`` that the methods need, and their uses."""
    used = {
        "efron1993bootstrap": "bootstrap",
        "hesterberg2015bootstrap": "expanded bootstrap intervals",
    }
    if len(result.algorithms) > 1:
        used["vargha2000critique"] = "effect size A12"
    used["hansen2021coco"] = "expected running time, run-time distributions"
    if explained:
        used["hutter2014efficient"] = "importance of decisions"
    if predicted:
        used["white2021powerful"] = "judging predictors"
    if friedman:
        used["demsar2006statistical"] = "Friedman and Nemenyi tests, critical differences"
    return used


def seeds_in_words(seeds: Sequence[int]) -> str:
    """``seeds 0 to 99``, ``seed 3``, ``seeds 1, 5 and 9``."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {listed([str(seed) for seed in seeds])}"


def version_used(result: Result) -> str:
    """The version of nasbench-lab that made the runs; empty if it is not known."""
    versions = {str(origin["versions"].get("nasbench-lab", "")) for origin in result.made_with}
    return listed(sorted(filter(None, versions)))


def _compared(result: Result) -> list[str]:
    labels, names = result.algorithms, result.benchmarks
    programs = _programs(result)
    spaces = [
        f"{name} ({_entries(result, name)}space {result.experiment.benchmark(name).space})"
        for name in names
    ]
    tabular = "" if programs else "tabular "
    version = version_used(result)
    what = "compared the search algorithms" if len(labels) > 1 else "ran the search algorithm"
    return [
        f"We {what} {listed(labels)} on the {tabular}benchmark{'s' * (len(names) > 1)} "
        f"{listed(spaces)}, with nasbench-lab{f' {version}' if version else ''}.",
        *_settings(result),
        "An evaluation looks up the result of an architecture's training in the table."
        if not programs
        else "",
        *(_evaluated(result, name, program) for name, program in programs.items()),
        *(
            f"Of {name}, {sentence}"
            for name in names
            if name not in programs
            for sentence in gaps(result.benchmark(name))
        ),
    ]


def _programs(result: Result) -> dict[str, Program]:
    """The programs behind benchmarks that are no tables alone, by benchmark."""
    return {
        benchmark.name: benchmark.program
        for benchmark in result.experiment.benchmarks
        if benchmark.program is not None
    }


def _entries(result: Result, name: str) -> str:
    program = _programs(result).get(name)
    if program is not None and not program.fallback:
        return ""
    setting = result.experiment.benchmark(name)
    return f"{len(setting.opened_table.table):,} entries, "


def _evaluated(result: Result, name: str, program: Program) -> str:
    """How the architectures of a benchmark were evaluated."""
    table = result.benchmark(name).table
    if program.fallback:
        return f"On {name}, {program.name} evaluates the architectures that the table lacks."
    return (
        f"On {name}, {program.name} evaluates architectures; all runs together evaluated "
        f"{len(table):,} different ones."
    )


def _settings(result: Result) -> list[str]:
    """The algorithms behind labels that do not name them, and the set hyperparameters."""
    renamed, changed = [], []
    for algorithm in result.experiment.algorithms:
        label, written = algorithm.name, algorithm.algorithm
        if _parts(label) != _parts(written):
            renamed.append(f"{label} is {written}")
        if _parts(written)[1]:
            changed.append(written)
    return [
        f"Here {listed(renamed)}." if renamed else "",
        f"Hyperparameters are set as in {listed(changed)}; all others have their defaults."
        if changed
        else "All hyperparameters have their defaults.",
    ]


def _parts(text: str) -> tuple[str, dict[str, Any]]:
    """Name and hyperparameters of an algorithm, with any quotes around values."""
    try:
        return parse_algorithm(text)
    except NasbenchLabError:  # a free label, or a value without a literal
        return text, {"": text}


def _runs(result: Result) -> list[str]:
    experiment = result.experiment
    seeds = experiment.seeds
    each = " of each algorithm" if len(result.algorithms) > 1 else ""
    each += " on each benchmark" if len(result.benchmarks) > 1 else ""
    runs = f"There {'are' if len(seeds) > 1 else 'is'} {counted(len(seeds), 'run')}{each}"
    sentences = [f"{runs} ({seeds_in_words(seeds)}), with a budget of {experiment.budget} per run."]
    if phases := experiment.budget.phases:
        sentences.append(f"Architectures are evaluated {'; then '.join(map(str, phases))}.")
    if (start := experiment.warm_start) is not None:
        sources = listed([source.name for source in start.history])
        sentences.append(f"{STARTS[start.use]} (from {sources}).")
    if len(result.runs) < result.n_expected:
        sentences.append(
            f"Of these {result.n_expected} runs, {len(result.runs)} are finished and shown here."
        )
    clocks: dict[str, list[str]] = {}
    for benchmark in experiment.benchmarks:
        clocks.setdefault(benchmark.clock, []).append(benchmark.name)
    for clock, names in clocks.items():
        where = f" on {listed(names)}" if len(clocks) > 1 else ""
        said = SENTENCES[clock]
        if clock == REAL:
            sentences.append(f"Time is real{where}: {said}.")
            continue
        if any(name in _programs(result) for name in names):
            said = _CHARGED if counts_seconds(clock) else _COUNTED
        sentences.append(f"On the simulated clock{where}, {said}.")
    sentences.append(
        "Evaluating an architecture again costs again."
        if experiment.charge_repeats
        else "Evaluating an architecture again costs nothing."
    )
    return [*sentences, *_workers(experiment.workers, REAL in clocks)]


_CHARGED = "an evaluation takes the seconds that the benchmark charges for it"
_COUNTED = "each evaluation counts as one unit"


def _workers(workers: Workers, real: bool) -> list[str]:
    """Sentences about several workers, failures and stragglers."""
    sentences = []
    if workers.count > 1:
        waiting = (
            "synchronously: none starts another evaluation before all are done"
            if workers.synchronous
            else "asynchronously: each starts another evaluation as soon as it is free"
        )
        kind = "" if real else "simulated "
        sentences.append(f"{workers.count} {kind}workers evaluate {waiting}.")
    if workers.fail:
        sentences.append(
            f"An evaluation fails with a chance of {workers.fail:g}, at a random moment of its time."
        )
    if workers.straggle:
        sentences.append(
            f"With a chance of {workers.straggle:g}, an evaluation takes "
            f"{workers.slowdown:g} times as long."
        )
    return sentences


def _reported(result: Result) -> list[str]:
    """Sentences for each group of benchmarks with equal objectives and reports."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in result.benchmarks:
        partial = any(
            len(set(trace.epoch[~trace.derived].tolist())) > 1
            for algorithm in result.algorithms
            for trace in result.traces(name, algorithm)
        )
        said = tuple(_judged(result.benchmark(name), partial))
        groups.setdefault(said, []).append(name)
    sentences: list[str] = []
    if any(run.trace.derived.any() for run in result.runs):
        sentences.append(
            "Algorithms may work themselves, such as train a supernet or score networks without "
            "training. That takes simulated time too, at the price of the same passes in trainings, or "
            "the seconds that were stored with the scores; a number of evaluations does not count it. "
            "What such work recommends is the incumbent of a run until its first evaluation."
        )
    for said, names in groups.items():
        prefix = f"On {listed(names)}: " if len(groups) > 1 else ""
        sentences += [prefix + said[0], *said[1:]]
    several = {len(result.benchmark(name).objectives) > 1 for name in result.benchmarks}
    if True in several:
        sentences.append(
            f"The hypervolume is the share of that of {_front(result)}; an architecture "
            "counts by the mean over its trials, once it was trained in full."
        )
    standards = {result.benchmark(name).standard: name for name in result.benchmarks}
    best = "the best of the table"
    if list(standards) != [TableBenchmark.standard]:
        best = " or ".join(standards)
    return [
        *sentences,
        f"Regret is the absolute difference between the incumbent's value and {best}"
        f"{' among the architectures that are allowed' if _constrained(result) else ''}, "
        "0 at best.",
    ]


def _front(result: Result) -> str:
    if not _programs(result):
        return "the table's exact Pareto front"
    return "the Pareto front of all that was evaluated, or of the table if there is one"


def _judged(benchmark: TableBenchmark, partial: bool) -> list[str]:
    """Sentences on objectives, incumbents and reported values.

    Args:
        benchmark: The benchmark.
        partial: Whether there were evaluations before the end of training.
    """
    table, report = benchmark.table, benchmark.table.column(benchmark.report)
    seen = [_column(table.column(query)) for query in benchmark.queries]
    searched = f"Searches see {listed(seen)} and nothing else of the table."
    if benchmark.whole != TableBenchmark.whole:
        searched = f"Searches see {listed(seen)}."
    if benchmark.noisy:
        searched += " What they see is one training, drawn at random at each evaluation."
    first = f", by {benchmark.objectives[0].name}" if len(seen) > 1 else ""
    full = (
        " Of evaluations after different numbers of epochs, those after most decide."
        if partial
        else ""
    )
    allowed = " that keeps to the constraints" if benchmark.constraints else ""
    sentences = [
        searched,
        f"The incumbent of a run is its best evaluation so far{allowed}{first}.{full}",
    ]
    if benchmark.constraints:
        bounds = listed([str(constraint) for constraint in benchmark.constraints])
        sentences.insert(
            1, f"Architectures have to keep to {bounds}; others cost as much but never count."
        )
    if stats.sees_trials(benchmark):
        sentences.append(
            f"It is judged by the mean {_column(report)} over its trainings. The table has no test "
            f"data, so regrets do not tell how well a choice generalises."
        )
    elif table.column(benchmark.first_objective) == report:
        sentences.append(
            "An architecture is worth the mean of its evaluations in all runs, of those after most "
            "epochs. Regrets do not tell how well a choice generalises."
            if benchmark.whole != TableBenchmark.whole
            else "The table has one measurement only, so it is reported too, and regrets do not tell "
            "how well a choice generalises."
        )
    else:
        sentences.append(
            f"Of the incumbent, {_column(report)} is looked up after the run, for the report only."
        )
    return sentences


def _column(column: Any) -> str:
    """A column by name, unit and split."""
    details = [column.unit, f"split {column.split}" if column.split else ""]
    inside = ", ".join(filter(None, details))
    return f"{column.name}{f' ({inside})' if inside else ''}"


def _constrained(result: Result) -> bool:
    return any(benchmark.constraints for benchmark in result.experiment.benchmarks)


def _statistics(result: Result, ranked_on: Sequence[str], reference: str | None) -> list[str]:
    sentences = [
        "Curves over the course of a search are right-continuous steps on a common grid: evaluations "
        "that end later do not count, and nothing is interpolated.",
        f"They show {_either(list(stats.STATISTICS.values()))} of the runs.",
        "Bootstrap intervals of means are expanded percentile intervals (Hesterberg 2015) from 2,000 "
        "resamples of whole runs (Efron and Tibshirani 1993).",
    ]
    if any(stats.found_nothing(run.trace) for run in result.runs):
        sentences.append(
            "A run that found nothing counts as worse than every run that found something. On a "
            "benchmark with such a run there are no means: curves are medians of all runs, and "
            "algorithms are put in order by the average rank of their runs."
        )
    if len(result.algorithms) > 1:
        against = reference or "the best one on the same benchmark"
        pairs = "the algorithms of a benchmark" if reference else "all pairs of a benchmark"
        sentences.append(
            f"At the end of the budget, each algorithm is compared with {against} by Wilcoxon's "
            "signed-rank test over the seeds that both have (zeros by Pratt's method), two-sided at "
            f"the level of 5 %, with Holm's correction over {pairs}. An algorithm is called better or "
            "worse only where mean and ranks agree. A12 is the chance that a run beats a run of "
            f"{'the reference' if reference else 'the best'} (Vargha and Delaney 2000)."
        )
        sentences.append(
            "Algorithms are ranked over time within each seed that all of them finished, with mean "
            "ranks for ties, and ranks are averaged over seeds."
        )
    entries = "all that was evaluated" if _programs(result) else "the table's entries"
    sentences.append(
        "For a fixed target, the success rate has a 95 % Wilson interval. The expected running time "
        "is the cost of all runs until they reached the target, or ended without it, divided by the "
        "number of successes (Hansen et al. 2021). Run-time distributions are over all runs and over "
        "targets that are evenly spaced in the logarithm of the regret, from the median of "
        f"{entries} to the best that any run reached."
    )
    if ranked_on:
        finished = f" on which every algorithm has finished runs ({listed(ranked_on)})"
        scope = finished if len(ranked_on) < len(result.benchmarks) else ""
        sentences.append(
            f"Over the benchmarks{scope}, algorithms are ranked by their mean at "
            "the end and compared by the Friedman test, and in pairs by the Nemenyi test with its "
            "critical difference at the level of 5 % (Demšar 2006)."
        )
    return sentences


def _either(texts: list[str]) -> str:
    return f"{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else texts[0]
