"""The command that fits a surrogate to a table: ``fit-surrogate``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import Json, console, print_json
from nasbench_lab.errors import DataFolderError

FIT_SURROGATE_EXAMPLES = """Examples:\n
    nasbench-lab fit-surrogate nb201-digits\n
    nasbench-lab fit-surrogate my-networks --predictor "gp(kernel=wl)" --output my_surrogate.py\n
    nasbench-lab compare --benchmark my_surrogate.py:SURROGATE"""

_FILE = '''"""A surrogate of {table}, written by: nasbench-lab fit-surrogate {table}

{error}
"""

from nasbench_lab.landscape.surrogate import Surrogate

SURROGATE = Surrogate(
    {table!r},
    {predictor!r},
    {settings!r},
    noise={noise},
    seed={seed},
    fingerprint={fingerprint!r},
)
'''


def fit_surrogate(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Such as nas-bench-graph/cora, or table/task.")
    ],
    predictor: Annotated[
        str, typer.Option("--predictor", "-p", help="Name, or name(setting=value, …).")
    ] = "random_forest",
    noise: Annotated[
        bool, typer.Option("--noise/--no-noise", help="Whether searches see noise.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; surrogate_TABLE.py if unset."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit a model to a table's trainings: a benchmark of all of its space, with its held-out error.

    Leaves a small Python file that fits the model again, the same, wherever the table is.
    """
    from nasbench_lab.landscape.surrogate import Surrogate
    from nasbench_lab.registry.algorithms import parse_algorithm

    name, settings = parse_algorithm(predictor)
    file = output or Path(f"surrogate_{re.sub(r'[^0-9A-Za-z]+', '_', table)}.py")
    if file.exists():
        raise DataFolderError(
            f"{file} is there already, and stays as it is. Name another --output."
        )
    surrogate = Surrogate(table, name, settings, noise=noise, seed=seed)
    error = surrogate.held_out()
    objective = surrogate.objectives[0]
    sentence = error.sentence(objective.unit)
    text = _FILE.format(
        table=table,
        error=sentence,
        predictor=name,
        settings=settings,
        noise=noise,
        seed=seed,
        fingerprint=surrogate.table,
    )
    try:
        with open(file, "x", encoding="utf-8") as new:
            new.write(text)
    except OSError as problem:
        raise DataFolderError(f"Cannot write {file}: {problem.strerror}.") from problem
    if as_json:
        print_json(
            {
                "table": table,
                "objective": objective.name,
                "unit": objective.unit,
                "file": str(file),
                "held_out": error._asdict(),
            }
        )
        return
    console.print(
        f"{table}, {objective.name}: {sentence}\n"
        f"Compare algorithms on it: nasbench-lab compare --benchmark {file}:SURROGATE",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
