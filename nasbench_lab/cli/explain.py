"""The command that explains what was found: ``explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.markup import escape

from nasbench_lab.cli.console import Json, console, one_of, print_json, print_rows
from nasbench_lab.cli.results import NoTitle
from nasbench_lab.cli.studies import write_study
from nasbench_lab.errors import QueryError
from nasbench_lab.user_code import is_in_file

if TYPE_CHECKING:
    from nasbench_lab.explanation import Explanation
    from nasbench_lab.explanation.importance import Method

EXPLAIN_EXAMPLES = """Examples:\n
    nasbench-lab explain nb201-digits\n
    nasbench-lab explain nas-bench-graph/cora --method permutation --best 0.01\n
    nasbench-lab explain results/my-run --algorithm regularized_evolution --seed 3"""


def _methods() -> tuple[str, ...]:
    from nasbench_lab.explanation.importance import Method

    return get_args(Method)


def explain(
    what: Annotated[
        str,
        typer.Argument(metavar="RESULT|TABLE", help="A result folder, or a table or table/task."),
    ],
    benchmark: Annotated[
        str | None, typer.Option(help="Of a result: the benchmark, if there are several.")
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="Of a result: explain the runs of this one only.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of a result: the run whose incumbents are explained; the one that saw the best "
            "value if unset. Of a table: of the random start.",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Of a table: the column; its objective if unset.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ARCHITECTURE", help="Of a table: where the path begins; at random if unset."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            parser=one_of("method", _methods),
            metavar="METHOD",
            help="How importance is measured: fanova (exact where all is known, else by a random "
            "forest) or permutation.",
        ),
    ] = "fanova",
    best: Annotated[
        float, typer.Option(help="The share of the architectures that are the best.")
    ] = 0.05,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to put it; results, as explanation-…, if unset."
        ),
    ] = None,
    no_title: NoTitle = False,
    as_json: Json = False,
) -> None:
    """Explain what was found: decisions that matter, what the best share, the way to the best.

    Of a table, all of its values are explained; of a result, the values that its runs saw, and how
    one of them got to what it found. Test values stand beside and decide nothing. Leaves CSV files,
    figures and summary.json in a folder, in place of an earlier explanation's.
    """
    from nasbench_lab.explanation import explain_result, explain_table
    from nasbench_lab.figures.explanation import explanation_figures

    measured = cast("Method", method)
    if _is_result(what):
        from nasbench_lab.results.result import Result

        for name, given in (("by", by), ("start", start)):
            if given is not None:
                raise typer.BadParameter("This is for a table, not a result.", param_hint=name)
        result = Result.open(Path(what))
        explained = explain_result(result, benchmark, algorithm, seed, method=measured, best=best)
        folder = output or Path(what) / f"explanation-{explained.known.name.replace('/', '-')}"
    else:
        from nasbench_lab.registry import open_task

        for name, given in (("benchmark", benchmark), ("algorithm", algorithm)):
            if given is not None:
                raise typer.BadParameter("This is for a result, not a table.", param_hint=name)
        if is_in_file(what):
            raise QueryError(
                f"What is explained are values that are known, and {what} is a program. Run searches "
                f"on it (nasbench-lab compare --benchmark {what}), and explain their result."
            )
        table, task = open_task(what)
        explained = explain_table(
            table,
            by or task.objective,
            task.report,
            method=measured,
            best=best,
            start=start,
            seed=seed or 0,
        )
        folder = output or Path("results") / f"explanation-{what.replace('/', '-')}"
    figures = explanation_figures(explained, title=not no_title)
    files = write_study(explained, figures, folder, _ALL)
    if as_json:
        print_json({**explained.summary(), "files": [str(file) for file in files]})
        return
    _show(explained)
    names = ", ".join(file.name for file in files if file.suffix != ".svg")
    console.print(
        f"In {folder}: {names}; figures as SVG too.", soft_wrap=True, markup=False, highlight=False
    )


def _is_result(what: str) -> bool:
    """Whether this is the folder of a result, and not the name of a table."""
    from nasbench_lab.registry import table_names

    folder = Path(what)
    if what in table_names():
        return False
    if not folder.is_dir():
        return folder.is_absolute() or what.startswith(("results/", "./", "../"))
    return True


_ALL = ("importance", "interactions", "winners", "path", "incumbents")
"""What not every explanation has a table or figure of."""


def _show(explanation: Explanation) -> None:
    from nasbench_lab.explanation.sentences import QUESTIONS, number, sentences

    known = explanation.known
    console.print(
        f"[bold]{escape(known.name)}[/bold], {escape(known.objective.name)}: {known.how}",
        highlight=False,
        soft_wrap=True,
    )
    answers = sentences(explanation)
    for name, question in QUESTIONS.items():
        if name in answers:
            console.print(f"\n[bold]{question}[/bold]", highlight=False)
            console.print(answers[name], markup=False, highlight=False)
        if name == "path" and explanation.path is not None:
            print_rows(
                [
                    {
                        "change": line["changed"] or "start",
                        "value": number(line["value"], known.objective),
                        "gain": number(line["gain"], known.objective, signed=True)
                        if line["changed"]
                        else "",
                        "reported": ""
                        if explanation.report is None
                        else number(line["reported"], explanation.report),
                    }
                    for line in explanation.path.steps.to_dict(orient="records")
                ],
                False,
            )
        if name == "incumbents" and explanation.chain is not None:
            print_rows(
                [
                    {
                        "evaluation": line["evaluation"],
                        "value": number(line["value"], known.objective),
                        "from": "" if line["changed"] == "" else f"{line['from_evaluation']:.0f}",
                        "what changed": line["changed"] or line["origin"],
                    }
                    for line in explanation.chain.to_dict(orient="records")
                ],
                False,
            )
    console.print()
