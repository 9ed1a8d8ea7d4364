"""Takes what a search is to begin with: traces, results and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import ExperimentError, UnknownNameError
from nasbench_lab.experiment.warm_start import USES, Source, WarmStart
from nasbench_lab.results.result import Result
from nasbench_lab.tables.table import Table
from nasbench_lab.trace import Trace

DEFAULT_USE = "prior"

AnyHistory = str | Path | Trace | Result | Table | TableBenchmark | Sequence[Any]
"""A trace, a result or its folder, a table or its name, or several of these."""


def start_of(history: AnyHistory | None, use: str) -> WarmStart | None:
    """Takes what other searches have shown, if anything is given.

    Raises:
        ExperimentError: There is a use, but no history.
        NasbenchLabError: As ``taken_history``.
    """
    if history is not None:
        return taken_history(history, use)
    if use != DEFAULT_USE:
        raise ExperimentError(
            f"A use of a history is given, {use!r}, but no history. Name results or tables to begin "
            f"with: history=[…] in Python, --warm-start on the command line."
        )
    return None


def taken_history(history: AnyHistory, use: str) -> WarmStart:
    """Takes what other searches have shown.

    Args:
        history: Traces, results or their folders, tables or their names, one or several.
        use: What for, one of ``USES``.

    Raises:
        ExperimentError: There is nothing, or something that is none of these.
        UnknownNameError: There is no such use, table or folder.
        NasbenchLabError: A table or result cannot be read.
    """
    if use not in USES:
        raise UnknownNameError("use of a history", str(use), USES)
    given: Iterable[Any] = [history]
    if isinstance(history, Sequence) and not isinstance(history, str):
        given = history
    sources, traces = [], []
    for one in given:
        if isinstance(one, Trace):
            traces.append(one)
        else:
            sources.append(taken_source(one))
    if traces:
        about = dict.fromkeys(
            f"{trace.settings.get('algorithm')} on {trace.settings.get('benchmark')}"
            for trace in traces
        )
        sources.append(Source.of_traces(", ".join(about), traces))
    return WarmStart(use, tuple(sources))


def taken_source(one: object) -> Source:
    """Takes a table or its name, or a result or its folder.

    Raises:
        ExperimentError: It is something else.
        NasbenchLabError: It cannot be read.
    """
    if isinstance(one, Result):
        return Source.of_traces("a result", (run.trace for run in one.runs))
    if isinstance(one, Table | TableBenchmark):
        return Source.of_table(TableBenchmark(one) if isinstance(one, Table) else one)
    if isinstance(one, Path) or (isinstance(one, str) and Path(one).expanduser().is_dir()):
        folder = Path(one).expanduser().resolve()
        runs = Result.open(folder).runs
        return Source.of_traces(folder.name, (run.trace for run in runs), str(folder))
    if isinstance(one, str):
        try:
            return Source.of_table(one)
        except UnknownNameError as error:
            hint = "A history may also be a folder of results."
            raise UnknownNameError(error.kind, error.name, error.known, hint) from error
    raise ExperimentError(
        f"Expected as history a trace, a result or its folder, a table or its name, or a list of "
        f"these, but got {one!r:.100}."
    )
