"""The command ``grade``: the searches of a class of students."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import (
    Json,
    console,
    continued_when_repeated,
    print_rows,
    progress,
)
from nasbench_lab.cli.options import JobsOption

GRADE_EXAMPLES = """Examples:\n
    nasbench-lab grade handed_in --against regularized_evolution\n
    nasbench-lab grade handed_in -a random_search -a regularized_evolution --hidden mine/table\n
    nasbench-lab grade handed_in -a random_search -b nb201-digits --class MySearch --time-limit 300"""


def grade(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A .py file of each student, or a folder of each, named after them.",
        ),
    ],
    against: Annotated[
        list[str],
        typer.Option(
            "--against", "-a", metavar="NAME", help="An algorithm to test against; may be repeated."
        ),
    ],
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            "--benchmark",
            "-b",
            metavar="TABLE",
            help="A table that students are told; may be repeated. nas-bench-201-final/cifar10 if no "
            "table is named.",
        ),
    ] = None,
    hidden: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE",
            help="A table whose name no student is told; may be repeated. Only one of your own is "
            "unknown to them.",
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="BUDGET", help="Of each run, as for compare.")
    ] = "100",
    seeds: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Runs of each student on each table; their seeds are drawn."
        ),
    ] = 20,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to; results/grades_FOLDER if unset. The same command goes on there. Its folder "
            "private is not for students: it holds the seeds.",
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(metavar="METRIC", help="valid_regret or test_regret, at the end of a run."),
    ] = "valid_regret",
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="The class in each file; the only one if unset."
        ),
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Of processor time, for all runs of a student together."
        ),
    ] = 60.0,
    wall_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Of real time, for one that waits; ten times the other limit, or 600 if unset.",
        ),
    ] = None,
    memory: Annotated[
        int, typer.Option(metavar="MB", help="Memory that a student's process may take.")
    ] = 2000,
    jobs: JobsOption = -1,
    as_json: Json = False,
) -> None:
    """Grade the searches of a class: each in a process of its own, on seeds that nobody knows."""
    from nasbench_lab.classroom.grading import Rules
    from nasbench_lab.classroom.grading import grade as grade_all

    output = output or Path("results") / f"grades_{folder.resolve().name}"
    benchmarks = list(benchmark or ())
    if not benchmarks and not hidden:
        benchmarks = ["nas-bench-201-final/cifar10"]
    wall = max(600.0, 10 * time_limit) if wall_limit is None else wall_limit
    rules = Rules(metric, time_limit, wall, memory, class_name)
    with continued_when_repeated(), progress("students") as advance:
        grades = grade_all(
            folder,
            against,
            benchmarks,
            hidden=hidden or (),
            budget=budget,
            seeds=seeds,
            output=output,
            rules=rules,
            n_jobs=jobs,
            progress=advance,
        )
    frame = grades.to_frame()
    if as_json:
        print_rows(frame.astype(object).where(frame.notna(), None).to_dict(orient="records"), True)
        return
    print_rows(grades.rows(), False)
    console.print(
        f"Table: {output / 'grades.csv'}\nPage: {output / 'leaderboard.html'}\n"
        f"A note for each student: {output / 'notes'}",
        soft_wrap=True,
        markup=False,
    )
