"""The command that follows one-shot methods: ``supernet``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_lab.cli.console import (
    Json,
    console,
    continued_when_repeated,
    print_json,
    print_rows,
    progress,
)
from nasbench_lab.cli.options import DataFolderOption
from nasbench_lab.trainer import need_torch
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from nasbench_lab.running.supernet import SupernetStudy

DEFAULT_TABLES = ("nb201-mnist1d", "nb201-digits")
"""The first of them that is there is the default."""

DEFAULT_METHODS = ("random_search_ws", "darts")

SUPERNET_EXAMPLES = """Examples:\n
    nasbench-lab supernet\n
    nasbench-lab supernet nb201-digits --algorithm spos --seeds 3 --jobs 2\n
    nasbench-lab supernet -a "enas(normalisation=running)" -a enas --architectures 500\n
    nasbench-lab supernet my-darts -a "darts(channels=16, cells=8)" --data-folder ~/cifar"""


def supernet(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE]",
            help="A table of networks that nasbench-lab trains; nb201-mnist1d if unset and it is "
            "there, or nb201-digits.",
        ),
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            "--algorithm",
            "-a",
            metavar="NAME",
            help="A one-shot method, or name(key=value); may be repeated. Random search with weight "
            "sharing and DARTS if unset.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each method.")] = 1,
    architectures: Annotated[
        int,
        typer.Option(
            min=3,
            metavar="N",
            help="How many of the table are ranked after each epoch; all are after the last.",
        ),
    ] = 200,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder; results/supernet-TABLE if unset. What it holds of the same runs is "
            "not done again.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one per core.")] = 1,
    data_folder: DataFolderOption = None,
    as_json: Json = False,
) -> None:
    """Train supernets, and see how they rank the architectures of a table.

    After each epoch: the rank correlation of the accuracies with shared weights with those in the
    table, and what cell is derived, with its skip connections and its test regret. Leaves figures and
    their data. A command that was stopped goes on where it was when it is given again, and nasbench-lab
    watch shows the folder meanwhile.
    """
    need_torch()
    from nasbench_lab.registry import table_names
    from nasbench_lab.running.supernet import study_supernets

    if table is None:
        table = next(name for name in DEFAULT_TABLES if name in table_names())
    folder = output or Path("results") / f"supernet-{table.replace('/', '-')}"
    with continued_when_repeated(), progress("steps") as advance:
        study = study_supernets(
            table,
            list(dict.fromkeys(algorithm or DEFAULT_METHODS)),
            seeds=seeds,
            ranked=architectures,
            folder=folder,
            files=data_folder,
            n_jobs=jobs,
            progress=advance,
        )
    files = study.save(folder)
    if as_json:
        rows = study.ends().to_dict(orient="records")
        print_json({"table": study.table, "ends": rows, "files": [str(file) for file in files]})
        return
    _show(study)
    names = ", ".join(file.name for file in files if file.suffix != ".svg")
    console.print(
        f"In {folder}: {names}; figures as SVG too.", soft_wrap=True, markup=False, highlight=False
    )


def _show(study: SupernetStudy) -> None:
    ends = study.ends()
    runs = counted(ends["seed"].nunique(), "seed")
    all_ranked = f"all {counted(int(ends['ranked'].max()), 'network')}"
    console.print(
        f"{study.table}: after the last epoch, {all_ranked} ranked; {runs}.",
        highlight=False,
        markup=False,
    )
    print_rows(
        [
            {
                "algorithm": algorithm,
                "Kendall's τ, test": _spread(of_one["kendall_test"], 3),
                "valid": _spread(of_one["kendall_valid"], 3),
                "Spearman's ρ, test": _spread(of_one["spearman_test"], 3),
                "τ of the top 10 %": _spread(of_one["top_kendall_test"], 3),
                "skips (%)": _spread(100 * of_one["skip_connect"], 0),
                "test regret": _spread(of_one["test_regret"], 2),
                "seconds": _spread(of_one["seconds"], 1),
            }
            for algorithm, of_one in ends.groupby("algorithm", sort=False)
        ],
        False,
    )
    console.print(
        "Correlations of accuracies with shared weights, on the half of the training set that the "
        "weights were not trained on, with those in the table. Skips, and regret in percentage points, "
        "are those of what is derived; seconds are simulated."
        + " Mean ± standard deviation over the seeds."
        * (ends["seed"].nunique() > 1),
        style="dim",
        highlight=False,
    )


def _spread(values: pd.Series[float], digits: int) -> str:
    """Mean, and the standard deviation of several."""
    mean, deviation = values.mean(), values.std()
    if math.isnan(mean):
        return "none"
    return f"{mean:.{digits}f}" + ("" if math.isnan(deviation) else f" ± {deviation:.{digits}f}")
