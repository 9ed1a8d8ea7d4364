"""The command that shows what is going on in a folder: ``watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_lab.cli.console import console

WATCH_EXAMPLES = """Examples:\n
    nasbench-lab watch results/my-run\n
    nasbench-lab watch results/my-run --port 9000 --open"""


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            help="A result folder, or that of a supernet study or of a table that is built; it need "
            "not be there yet.",
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="The first free from 8765 on if unset; 0 for any.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="The address to listen at. Others than this machine's own loopback let everybody in "
            "who knows the page's address.",
        ),
    ] = "127.0.0.1",
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser of this machine.")
    ] = False,
) -> None:
    """Show what runs on a page: comparison, search, validation, supernet study, build of a table.

    How far it is, the curves so far, who works on it, what failed, and the time that is left; of a
    result that is finished, the report. The folder is only read. From another machine: ssh -L
    8765:127.0.0.1:8765 HOST, and then the address that this command prints. Ctrl-C ends it.
    """
    from nasbench_lab.watch import Server

    with Server(folder, host, port) as server:
        console.print(
            f"Watching {folder} at\n{server.url}\nCtrl-C ends this; it touches nothing.",
            soft_wrap=True, markup=False, highlight=False,
        )  # fmt: skip
        if open_page:
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("Ended.")
