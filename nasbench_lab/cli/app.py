"""The command line: ``nasbench-lab``."""

from __future__ import annotations

import errno
import math
import os
import signal
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nasbench_lab.cli.analyze import ANALYZE_EXAMPLES, analyze
from nasbench_lab.cli.compare import COMPARE_EXAMPLES, RUN_EXAMPLES, compare, run
from nasbench_lab.cli.console import errors, never_fail
from nasbench_lab.cli.draw import DRAW_EXAMPLES, draw
from nasbench_lab.cli.explain import EXPLAIN_EXAMPLES, explain
from nasbench_lab.cli.export import EXPORT_EXAMPLES, export
from nasbench_lab.cli.files import (
    FETCH_EXAMPLES,
    IMPORT_EXAMPLES,
    REMOVE_EXAMPLES,
    fetch,
    import_,
    remove,
)
from nasbench_lab.cli.grade import GRADE_EXAMPLES, grade
from nasbench_lab.cli.lists import list_app
from nasbench_lab.cli.merge import MERGE_EXAMPLES, merge
from nasbench_lab.cli.predict import PREDICT_EXAMPLES, predict
from nasbench_lab.cli.proxies import PROXIES_EXAMPLES, proxies
from nasbench_lab.cli.results import PLOT_EXAMPLES, REPORT_EXAMPLES, plot, report
from nasbench_lab.cli.search import SEARCH_EXAMPLES, search
from nasbench_lab.cli.supernet import SUPERNET_EXAMPLES, supernet
from nasbench_lab.cli.surrogate import FIT_SURROGATE_EXAMPLES, fit_surrogate
from nasbench_lab.cli.tables import (
    BEST_EXAMPLES,
    DESCRIBE_EXAMPLES,
    QUERY_EXAMPLES,
    best,
    describe,
    query,
)
from nasbench_lab.cli.train import BUILD_EXAMPLES, VALIDATE_EXAMPLES, build_table, validate
from nasbench_lab.cli.transfer import TRANSFER_EXAMPLES, transfer
from nasbench_lab.cli.verify import VERIFY_EXAMPLES, verify
from nasbench_lab.cli.watch import WATCH_EXAMPLES, watch
from nasbench_lab.errors import (
    NasbenchLabError,
    text_of,
)
from nasbench_lab.processes import HASH_SEED, Terminated, lasting_threads, stop_workers

if TYPE_CHECKING:
    pass

app = typer.Typer(
    name="nasbench-lab",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"nasbench-lab {version('nasbench-lab')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Compare neural-architecture-search algorithms on tabular benchmarks."""


class HeavyCommand(TyperCommand):
    """A command that loads large libraries."""

    def invoke(self, ctx: Any) -> Any:
        _check_memory()
        return super().invoke(ctx)


app.add_typer(list_app, name="list")
app.command("compare", epilog=COMPARE_EXAMPLES, cls=HeavyCommand)(compare)
app.command("run", epilog=RUN_EXAMPLES, cls=HeavyCommand)(run)
app.command("merge", epilog=MERGE_EXAMPLES, cls=HeavyCommand)(merge)
app.command("plot", epilog=PLOT_EXAMPLES, cls=HeavyCommand)(plot)
app.command("report", epilog=REPORT_EXAMPLES, cls=HeavyCommand)(report)
app.command("import", epilog=IMPORT_EXAMPLES)(import_)
app.command("fetch", epilog=FETCH_EXAMPLES)(fetch)
app.command("remove", epilog=REMOVE_EXAMPLES)(remove)
app.command("export", epilog=EXPORT_EXAMPLES, cls=HeavyCommand)(export)
app.command("draw", epilog=DRAW_EXAMPLES)(draw)
app.command("analyze", epilog=ANALYZE_EXAMPLES, cls=HeavyCommand)(analyze)
app.command("explain", epilog=EXPLAIN_EXAMPLES, cls=HeavyCommand)(explain)
app.command("proxies", epilog=PROXIES_EXAMPLES, cls=HeavyCommand)(proxies)
app.command("predict", epilog=PREDICT_EXAMPLES, cls=HeavyCommand)(predict)
app.command("fit-surrogate", epilog=FIT_SURROGATE_EXAMPLES, cls=HeavyCommand)(fit_surrogate)
app.command("validate", epilog=VALIDATE_EXAMPLES, cls=HeavyCommand)(validate)
app.command("search", epilog=SEARCH_EXAMPLES, cls=HeavyCommand)(search)
app.command("build-table", epilog=BUILD_EXAMPLES, cls=HeavyCommand)(build_table)
app.command("supernet", epilog=SUPERNET_EXAMPLES, cls=HeavyCommand)(supernet)
app.command("grade", epilog=GRADE_EXAMPLES, cls=HeavyCommand)(grade)
app.command("transfer", epilog=TRANSFER_EXAMPLES, cls=HeavyCommand)(transfer)
app.command("verify", epilog=VERIFY_EXAMPLES, cls=HeavyCommand)(verify)
app.command("watch", epilog=WATCH_EXAMPLES, cls=HeavyCommand)(watch)
app.command("describe", epilog=DESCRIBE_EXAMPLES)(describe)
app.command("query", epilog=QUERY_EXAMPLES)(query)
app.command("best", epilog=BEST_EXAMPLES)(best)


def main() -> None:
    """Runs the command line; errors that were foreseen end in one line, not in a traceback."""
    _fix_hash_seed()
    never_fail()
    if _room() < math.inf:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # each thread takes some
    # Also when it is told to end, it takes its worker processes with it.
    for name in ("SIGTERM", "SIGHUP"):
        sent = getattr(signal, name, None)
        if sent is not None and signal.getsignal(sent) is signal.SIG_DFL:  # not under nohup
            signal.signal(sent, _terminate)
    before, code = lasting_threads(), 1
    try:
        _run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if _signals:
            code = 128 + _signals[0]
            sys.exit(code)
        raise
    except BaseException:
        if not _signals:
            raise
        code = 128 + _signals[0]
        sys.exit(code)
    finally:
        _leave_threads(before, code)


def _run() -> None:
    """Runs the application, and tells errors that were foreseen.

    Whatever a signal interrupted, such as the start of a worker, may raise an error of its own. It
    says nothing that the signal does not.
    """
    try:
        app()
    except NasbenchLabError as error:
        if not _signals:
            message = text_of(error, 20_000)
            errors.print(
                f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True
            )
        sys.exit(1)
    except (MemoryError, ImportError, OSError) as error:
        if _signals or not _is_lack_of_memory(error):
            raise
        errors.print(
            f"Error: There is not enough memory ({error or type(error).__name__}). Let fewer "
            f"processes work at once (--jobs), or raise the limit (ulimit -v). What was finished is "
            f"kept.",
            style="red", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        sys.exit(1)


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is lacking, also for the code of a library."""
    if isinstance(error, ImportError):
        return "failed to map segment" in str(error)
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


_LEAST_ROOM = 940 << 20
"""Bytes of address space that a heavy command takes on one thread, with some to spare."""


def _room() -> float:
    """How many bytes of address space this process may have (``ulimit -v``)."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def _check_memory() -> None:
    """Refuses to begin where there is too little memory.

    The linear algebra of SciPy asks for memory again and again while it is loaded, and never ends.

    Raises:
        MemoryError: There is too little.
    """
    if (room := _room()) < _LEAST_ROOM:
        raise MemoryError(
            f"{_LEAST_ROOM >> 20} MB of address space are needed at least, and {room / 2**20:.0f} are "
            f"allowed"
        )
    if room < math.inf:
        import scipy.linalg  # noqa: F401 (while there is room)


_signals: list[int] = []
"""Those that told this command to end."""


def _terminate(sent: int, _: object) -> None:
    _signals.append(sent)
    raise Terminated(128 + sent)


def _fix_hash_seed() -> None:
    """Starts this command again under a fixed hash seed, if none is set.

    Else an algorithm that goes through a set of strings would find something else each time. The
    process stays the same one, with its files and its place in pipes. Windows has no such thing;
    there, only worker processes have a fixed seed.
    """
    given = sys.argv[1:]
    is_this = given and sys.orig_argv[-len(given) :] == given  # and not a program that calls main()
    if (
        not is_this
        or given[0] not in ("compare", "grade", "run", "search", "transfer")
        or "PYTHONHASHSEED" in os.environ
    ):
        return
    if sys.platform == "win32" or sys.flags.ignore_environment or threading.active_count() > 1:
        return
    environment = {**os.environ, "PYTHONHASHSEED": HASH_SEED}
    with suppress(OSError):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _leave_threads(before: Collection[threading.Thread], code: int) -> None:
    """Ends the command although threads still run, which Python would wait for."""
    left = lasting_threads(before)
    for thread in left:
        thread.join(1.0)
    names = sorted(thread.name for thread in left if thread.is_alive())
    if names:
        errors.print(
            f"Threads that an algorithm started still run, and are left: {', '.join(names)}.",
            markup=False,
            soft_wrap=True,
        )
        stop_workers()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
