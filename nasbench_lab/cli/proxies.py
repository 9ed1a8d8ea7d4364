"""The command that judges zero-cost proxies: ``proxies``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, print_json, print_rows, progress
from nasbench_lab.cli.results import NoTitle
from nasbench_lab.cli.train import DataFolder
from nasbench_lab.errors import QueryError
from nasbench_lab.words import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nasbench_lab.landscape.proxies import ProxyStudy
    from nasbench_lab.tables.table import Table

PROXIES_EXAMPLES = """Examples:\n
    nasbench-lab proxies nb201-digits\n
    nasbench-lab proxies nats-tss/cifar10 --sample 200 --data-folder ~/cifar"""


def proxies(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Such as nb201-digits.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to put it; results, as proxies-TABLE, if unset."
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=3, help="Score so many random rows now, instead of reading the table's columns."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    data_folder: DataFolder = None,
    no_title: NoTitle = False,
    as_json: Json = False,
) -> None:
    """Compare zero-cost proxies with the end of training, and with the number of parameters.

    Rank correlations over all rows, and over the tenth that is best by the column itself. Leaves
    correlations.csv and a figure in a folder. Published correlations stand beside, each of another
    set of cells.
    """
    from nasbench_lab.figures.proxies import proxies_figure
    from nasbench_lab.figures.saving import save_figure
    from nasbench_lab.landscape.proxies import study_proxies
    from nasbench_lab.registry import open_task
    from nasbench_lab.tables.proxies import held_proxies

    opened, task = open_task(table)
    scores = seconds = None
    if sample is not None:
        scores, seconds = _scored(opened, task.objective, sample, seed, data_folder)
    elif not held_proxies(opened):
        raise QueryError(_advice(opened, task.objective))
    study = study_proxies(opened, task.objective, task.report, scores, seconds)
    folder = output or Path("results") / f"proxies-{table.replace('/', '-')}"
    figure = proxies_figure(study, title=not no_title)
    files = save_figure(figure, folder / "correlations", data=study.frame)
    if as_json:
        print_json(
            {
                "table": study.table,
                "rows": study.rows,
                "proxies": study.frame.to_dict(orient="records"),
                "files": [str(file) for file in files],
            }
        )
        return
    _show(study)
    names = ", ".join(file.name for file in files)
    console.print(f"In {folder}: {names}.", soft_wrap=True, markup=False, highlight=False)


def _advice(table: Table, objective: str) -> str:
    """What is to be done about a table without scores."""
    lacking = f"Table {table.name!r} holds no scores by zero-cost proxies."
    if table.space.name not in ("nb201", "nats-sss"):
        return (
            f"{lacking} There are networks to score for the spaces nb201 and nats-sss only, and this "
            f"is {table.space.name}."
        )
    now = f"score some rows now: nasbench-lab proxies {table.name} --sample 200"
    if "recipe" in table.info.details:
        return (
            f"{lacking} Name them in its recipe (proxies = ['synflow', …]) and add them: nasbench-lab "
            f"build-table RECIPE.toml --output {table.folder} --proxies-only. Or {now}"
        )
    if objective and table.column(objective).dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        now += " --data-folder FOLDER (with the images of the data set)"
    return f"{lacking} Its networks can be built, so {now}"


def _scored(
    table: Table, objective: str, n: int, seed: int, data_folder: Path | None
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Scores and seconds of random rows, NaN for all others."""
    import numpy as np

    from nasbench_lab.tables.proxies import PROXIES
    from nasbench_lab.trainer import need_torch
    from nasbench_lab.trainer.datasets import load_data
    from nasbench_lab.validation import recipe_of

    need_torch()
    from nasbench_lab.trainer.scoring import score_architecture

    column = table.column(objective)
    recipe = recipe_of(table, column)
    data = load_data(recipe.data, data_folder, trained_on=recipe.trained_on)
    known = np.flatnonzero(~np.isnan(table.values(objective)))
    rows = np.random.default_rng(seed).permutation(known)[:n].tolist()
    found = np.full((2, len(PROXIES), len(table)), np.nan)
    with progress("networks") as advance:
        for done, row in enumerate(rows):
            advance(done, len(rows), "scoring")
            architecture = tuple(table.architectures[row].tolist())
            scores = score_architecture(table.space, architecture, recipe, data)
            found[:, :, row] = list(scores.values.values()), list(scores.seconds.values())
    values, seconds = found
    return dict(zip(PROXIES, values, strict=True)), dict(zip(PROXIES, seconds, strict=True))


def _show(study: ProxyStudy) -> None:
    from nasbench_lab.landscape.proxies import BASELINE, SETS
    from nasbench_lab.landscape.reliability import TOP

    which = "" if study.rows == study.of else f" of {study.of:,}, scored now"
    console.print(
        f"[bold]{escape(study.table)}[/bold]: {counted(study.rows, 'row')}{which}; Spearman's ρ / "
        f"Kendall's τ with the end of training, and of the top 10 %",
        highlight=False,
        soft_wrap=True,
    )
    lines = study.frame.to_dict(orient="records")
    has_baseline = BASELINE in study.frame["proxy"].tolist()
    rows = []
    for line in lines:
        row = {"proxy": line["proxy"], "better": line["better"]}
        for column in study.columns:
            for top, words in (("", ""), ("top_", ", top")):
                row[f"{column.split or column.name}{words}"] = _both(line, top, column.name)
        if has_baseline:
            row[f"beats {BASELINE}"] = _beats(line)
        row["ms"] = "" if math.isnan(line["seconds"]) else f"{1000 * line['seconds']:.3g}"
        rows.append(row)
    print_rows(rows, False)
    console.print()
    print_rows(
        [
            {"proxy": line["proxy"], "here": _number(line[f"spearman_{study.columns[0].name}"])}
            | {key.replace("_", "-"): _number(line[f"published_{key}"]) for key in SETS}
            for line in lines
        ],
        False,
    )
    console.print(
        "Published ρ on NAS-Bench-201 and CIFAR-10: "
        + "; ".join(f"{key.replace('_', '-')}, {text}" for key, text in SETS.items())
        + ".",
        style="dim",
        highlight=False,
    )
    tied = [line for line in lines if line["values"] < study.rows / 10]
    if tied:
        console.print(
            "Few different scores: "
            + ", ".join(f"{line['proxy']} ({line['values']:,})" for line in tied)
            + ".",
            style="dim",
            highlight=False,
        )
    n = max(2, round(TOP * study.rows))
    console.print(
        f"The top has {counted(n, 'row')}, where a correlation has a standard error of some "
        f"{1 / math.sqrt(n - 1):.2f}.",
        style="dim",
        highlight=False,
    )
    losers = [x["proxy"] for x in lines if not x["beats_params"] and x["proxy"] != BASELINE]
    if has_baseline and losers:
        console.print(
            f"No better than counting parameters, over all rows: {', '.join(losers)}.",
            style="yellow",
            highlight=False,
        )


def _both(line: dict[str, Any], top: str, column: str) -> str:
    return " / ".join(_number(line[f"{top}{kind}_{column}"]) for kind in ("spearman", "kendall"))


def _beats(line: dict[str, Any]) -> str:
    """Whether a proxy ranks better than the number of parameters, and where."""
    where = {
        (True, True): "yes",
        (True, False): "yes, not in the top",
        (False, True): "in the top only",
        (False, False): "no",
    }
    return where[bool(line["beats_params"]), bool(line["top_beats_params"])]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
