"""The command that leaves one task of a family out: ``transfer``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_lab.cli.console import (
    Json,
    console,
    continued_when_repeated,
    one_of,
    print_json,
    print_rows,
    progress,
)
from nasbench_lab.cli.execution import algorithms_at_work
from nasbench_lab.cli.options import JobsOption
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.running.transfer import TransferStudy

DEFAULT_ALGORITHMS = (
    *("random_search", "regularized_evolution", "reinforce", "gp_bo"),
    *("transfer_zero_shot", "transfer_bounding_box", "quantile_transfer", "rgpe"),
)

TRANSFER_EXAMPLES = """Examples:\n
    nasbench-lab transfer nas-bench-201-final\n
    nasbench-lab transfer fcnet --algorithm gp_bo --algorithm rgpe --budget 50 --seeds 50\n
    nasbench-lab transfer nas-bench-graph -a random_search -a local_search --use candidates\n
A family is a table with several tasks, or what the names of several tables begin with."""


def transfer(
    family: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY",
            help="Such as nas-bench-graph, nas-bench-201-final, fcnet or transnas-micro.",
        ),
    ],
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            metavar="NAME",
            help="A name, name(key=value), or FILE.py:CLASS; may be repeated. Four that search alone, "
            "of which three learn from other tasks, and four that cannot do without, if unset.",
        ),
    ] = None,
    budget: Annotated[str, typer.Option(metavar="BUDGET", help="Of each run.")] = "100",
    seeds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs of each algorithm on each task.")
    ] = 20,
    use: Annotated[
        str,
        typer.Option(
            parser=one_of("use", lambda: ("prior", "candidates")),
            metavar="USE",
            help="What other tasks are used for: prior, by the algorithms that learn from them; "
            "candidates, by all: others' best are evaluated first.",
        ),
    ] = "prior",
    metric: Annotated[
        str,
        typer.Option(
            parser=one_of("metric", lambda: ("valid_regret", "test_regret")),
            metavar="METRIC",
            help="What is compared: valid_regret or test_regret, at the end of a run.",
        ),
    ] = "valid_regret",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder; results/transfer-FAMILY if unset. What it holds of this study is not "
            "run again.",
        ),
    ] = None,
    jobs: JobsOption = -1,
    as_json: Json = False,
) -> None:
    """Search each task of a family, with and without what the other tasks show.

    Leaves a table per task and algorithm, mean ranks along the evaluations, how much the tasks agree,
    and a figure of these. A command that was stopped goes on where it was when it is given again.
    """
    from nasbench_lab.running.transfer import study_transfer

    folder = output or Path("results") / f"transfer-{family.replace('/', '-')}"
    with continued_when_repeated(), progress() as advance, algorithms_at_work():
        study = study_transfer(
            family,
            algorithm or DEFAULT_ALGORITHMS,
            budget=budget,
            seeds=seeds,
            use=use,
            metric=metric,
            folder=folder,
            n_jobs=jobs,
            progress=advance,
        )
    files = study.save(folder)
    if as_json:
        frames = {"overall": study.overall(), "per_task": study.per_task()}
        content = {key: frame.to_dict(orient="records") for key, frame in frames.items()}
        print_json({"family": study.family, **content, "files": [str(file) for file in files]})
        return
    _show(study)
    names = ", ".join(file.name for file in files if file.suffix != ".svg")
    console.print(
        f"In {folder}: {names}; figure as SVG too; results in alone and taught.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _show(study: TransferStudy) -> None:
    overall = study.overall()
    runs = len(study.taught.experiment.seeds)
    what = study.metric.replace("_", " ")
    console.print(
        f"{study.family}: {counted(len(study.tasks), 'task')}, each left out once; {what} after "
        f"{study.alone.experiment.budget}, {counted(runs, 'run')} each.",
        highlight=False,
        markup=False,
    )
    print_rows(
        [
            {
                "algorithm": line["name"],
                "mean rank": f"{line['mean_rank']:.2f}",
                "worst task (rank)": f"{_short(line['worst_task'], study.family)} "
                f"({line['worst_rank']:.1f})",
                "helps on": "" if math.isnan(line["helps"]) else f"{line['helps']:.0f}",
                "hurts on": "" if math.isnan(line["hurts"]) else _hurts(line, study),
            }
            for line in overall.to_dict(orient="records")
        ],
        False,
    )
    one, other, lowest = study.least_alike
    means = study.per_task().groupby("task")["agreement"].first()
    console.print(
        f"Ranks among all of these, means over tasks and runs. Transfer helps or hurts where the 95 % "
        f"interval of the change of the mean leaves out 0, against the same algorithm alone, or "
        f"against gp_bo. Tasks agree by rank correlations of {means.min():.2f} to {means.max():.2f} "
        f"on average; {_short(one, study.family)} and {_short(other, study.family)} agree least "
        f"({lowest:.2f}).",
        style="dim",
        highlight=False,
        markup=False,
    )


def _short(task: str, family: str) -> str:
    return task.removeprefix(f"{family}/")


def _hurts(line: dict[str, object], study: TransferStudy) -> str:
    tasks = [_short(task, study.family) for task in str(line["hurts_on"]).split(", ") if task]
    return f"{len(tasks)}: {', '.join(tasks)}" if tasks else "0"
