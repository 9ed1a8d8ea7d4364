"""The command that draws an architecture: ``draw``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import console

DRAW_EXAMPLES = """Examples:\n
    nasbench-lab draw "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])" --output cell.pdf\n
    nasbench-lab draw 8:16:32:48:64 --space nats-sss"""


def draw(
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="In the benchmark's official syntax.")
    ],
    space: Annotated[
        str | None,
        typer.Option(
            help="Its space, by name or as path/to/file.py:NAME; the known one that it fits if unset."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A file: .svg, .png or .pdf.")
    ] = Path("architecture.svg"),
) -> None:
    """Draw an architecture: a cell as a graph, anything else as a list of its decisions."""
    from nasbench_lab.drawing.drawing import draw as draw_architecture

    drawing = draw_architecture(architecture, space)
    file = drawing.save(output)
    console.print(drawing.describe(), soft_wrap=True, markup=False, highlight=False)
    console.print(f"Drawn in {file}.", soft_wrap=True, markup=False, highlight=False)
