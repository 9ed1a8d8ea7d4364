"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Annotated, get_args

import typer

from nasbench_lab.cli.console import one_of
from nasbench_lab.processes import Executor


def _stats() -> ModuleType:
    """The statistics, imported when an option asks for their names."""
    from nasbench_lab import stats

    return stats


JobsOption = Annotated[
    int, typer.Option(help="Processes; -1 for one per core, or for all workers of a cluster.")
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        parser=one_of("executor", lambda: get_args(Executor)),
        metavar="EXECUTOR",
        help="Processes of this machine (processes), or a Dask cluster (dask).",
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of Dask's scheduler, such as tcp://HOST:8786."),
]
TimeLimitOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Of real time, for each run; one that takes longer counts as failed, the others go on.",
    ),
]
KeepGoingOption = Annotated[
    bool,
    typer.Option(
        "--keep-going", help="Go on after an error of an algorithm; that run counts as failed."
    ),
]
TracebackOption = Annotated[
    bool, typer.Option("--traceback", help="Show all that Python says of errors of algorithms.")
]
CheckRepeatOption = Annotated[
    bool,
    typer.Option(
        "--check-repeat",
        help="Repeat one run of each algorithm on each benchmark in another process, and say whether "
        "and why it comes out differently.",
    ),
]

MetricOption = Annotated[
    str | None,
    typer.Option(
        parser=one_of("metric", lambda: _stats().METRICS),
        metavar="METRIC",
        help="What the curves show: test_regret, valid_regret, test, valid or hypervolume. Both "
        "regrets, side by side, if unset, or of several objectives the hypervolume and the first "
        "one's regret.",
    ),
]
AxisOption = Annotated[
    str | None,
    typer.Option(
        parser=one_of("axis", lambda: get_args(_stats().Axis)),
        metavar="AXIS",
        help="What runs along the figure: evaluations, seconds or epochs. What the budget counts, if "
        "unset.",
    ),
]
StatisticOption = Annotated[
    str,
    typer.Option(
        parser=one_of("statistic", lambda: _stats().STATISTICS),
        metavar="NAME",
        help="Of the runs: mean (with 95 % bootstrap interval), median (with quartiles) or "
        "median_interval (with its exact 95 % interval).",
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        metavar="ALGORITHM",
        help="Test every algorithm against this one; against the best of each table if unset.",
    ),
]

# What is trained, and on what.

DataOption = Annotated[
    str,
    typer.Option(
        metavar="DATA",
        help="A data set, such as digits, mnist1d and cifar10; an .npz file with x_train, y_train "
        "and if there are any x_valid, y_valid, x_test, y_test; or FILE.py:NAME of a "
        "function that returns such arrays.",
    ),
]
BuildOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.py:NAME",
        help="Your function that makes a torch.nn.Module of an architecture.",
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, help="Of a training; those of the data's recipe if unset.")
]
TrialsOption = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Trainings of an architecture, whose mean counts."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
DataFolderOption = Annotated[
    Path | None, typer.Option(help="Where the files of a data set such as cifar10 are.")
]
