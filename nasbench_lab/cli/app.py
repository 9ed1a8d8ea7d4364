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
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand

from nasbench_lab.cli.analyze import ANALYZE_EXAMPLES, analyze
from nasbench_lab.cli.compare import (
    COMPARE_EXAMPLES,
    MERGE_EXAMPLES,
    RUN_EXAMPLES,
    compare,
    merge,
    run,
)
from nasbench_lab.cli.console import Json, console, errors, never_fail, print_json, print_rows
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
from nasbench_lab.cli.predict import PREDICT_EXAMPLES, predict
from nasbench_lab.cli.proxies import PROXIES_EXAMPLES, proxies
from nasbench_lab.cli.results import PLOT_EXAMPLES, REPORT_EXAMPLES, plot, report
from nasbench_lab.cli.supernet import SUPERNET_EXAMPLES, supernet
from nasbench_lab.cli.train import BUILD_EXAMPLES, VALIDATE_EXAMPLES, build_table, validate
from nasbench_lab.cli.transfer import TRANSFER_EXAMPLES, transfer
from nasbench_lab.cli.verify import VERIFY_EXAMPLES, verify
from nasbench_lab.errors import (
    AlgorithmFileError,
    DataFolderError,
    MissingSourceError,
    NasbenchLabError,
    QueryError,
    TableFileError,
    text_of,
)
from nasbench_lab.processes import HASH_SEED, Terminated, lasting_threads, stop_workers
from nasbench_lab.words import counted

if TYPE_CHECKING:
    from nasbench_lab.tables.table import Table

app = typer.Typer(
    name="nasbench-lab",
    help="Compare neural-architecture-search algorithms on tabular benchmarks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class HeavyCommand(TyperCommand):
    """A command that loads large libraries."""

    def invoke(self, ctx: Any) -> Any:
        _check_memory()
        return super().invoke(ctx)


list_app = typer.Typer(help="List what there is.", no_args_is_help=True)
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
app.command("validate", epilog=VALIDATE_EXAMPLES, cls=HeavyCommand)(validate)
app.command("build-table", epilog=BUILD_EXAMPLES, cls=HeavyCommand)(build_table)
app.command("supernet", epilog=SUPERNET_EXAMPLES, cls=HeavyCommand)(supernet)
app.command("transfer", epilog=TRANSFER_EXAMPLES, cls=HeavyCommand)(transfer)
app.command("verify", epilog=VERIFY_EXAMPLES, cls=HeavyCommand)(verify)

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="Such as nas-bench-graph/cora.")]


@list_app.command("tables")
def list_tables(as_json: Json = False) -> None:
    """List all tables, and what the absent ones need."""
    from nasbench_lab.benchmark import lacking_times
    from nasbench_lab.registry import needed_files, table_folder, table_names, table_sources
    from nasbench_lab.tables.table import Table

    rows = []
    for name in table_names():
        source = table_sources().get(name)
        folder = table_folder(name)
        version = missing = None
        try:
            held = Table.open(folder)
            version = held.info.source.get("version")
            missing = [*held.info.missing, *lacking_times(held)]
            state = "ready"
        except DataFolderError as error:
            state = str(error)
        except TableFileError as error:
            if (folder / "manifest.json").exists():
                state = "of another version, see" if error.outdated else "damaged, see"
                state += f" nasbench-lab verify {name}"
            else:
                needed = needed_files().get(name)
                state = f"absent, needs {needed}: nasbench-lab import PATH"
        if source:
            try:
                current = source.version()
                if current != version:
                    state = f"made at first use, from {current}"
            except MissingSourceError:
                state = state if version else f"absent, needs {source.needs}"
            except TableFileError as error:
                state = str(error)
        if missing:
            state += f" ({missing[0]}{', …' if len(missing) > 1 else ''})"
        rows.append({"table": name, "state": state})
    print_rows(rows, as_json)


@list_app.command("algorithms")
def list_algorithms(as_json: Json = False) -> None:
    """List all search algorithms with their hyperparameters."""
    from nasbench_lab.algorithm import all_hyperparameters
    from nasbench_lab.registry import algorithm_class, algorithm_modules
    from nasbench_lab.trainer import INSTALL_TORCH

    rows = []
    for name in sorted(algorithm_modules()):
        try:
            cls = algorithm_class(name)
        except AlgorithmFileError as error:  # of a plug-in that is broken
            errors.print(f"Warning: {error}", markup=False, highlight=False, soft_wrap=True)
            continue
        module, known = sys.modules[cls.__module__], all_hyperparameters(cls)
        rows.append(
            {
                "algorithm": name,
                "what": (module.__doc__ or "").strip().partition("\n")[0],
                "needs": INSTALL_TORCH if cls.needs_torch and not find_spec("torch") else "",
                "hyperparameters": known
                if as_json
                else ", ".join(f"{key}={value}" for key, value in known.items()),
            }
        )
    print_rows(rows, as_json)


@list_app.command("spaces")
def list_spaces(as_json: Json = False) -> None:
    """List all search spaces: ours, those of plug-ins, and those that tables keep."""
    from nasbench_lab.registry import own_spaces
    from nasbench_lab.spaces import get_space, space_names

    own = own_spaces()
    known = [(name, get_space(name)) for name in sorted(space_names())]
    listed = [(name, space, own.pop(space, [])) for name, space in known]
    rows: list[dict[str, Any]] = []
    for name, space, tables in [*listed, *((one.name, one, kept) for one, kept in own.items())]:
        row: dict[str, Any] = {
            "space": name,
            "architectures": space.size,
            "decisions": len(space.decisions),
            "encodings": list(space.encodings) if as_json else ", ".join(space.encodings),
        }
        if not as_json:
            row["kept in"] = ", ".join(tables)
        elif tables:
            row["tables"] = tables
        rows.append(row)
    print_rows(rows, as_json)


@app.command(epilog="Example:\n\n    nasbench-lab describe nas-bench-graph/cora")
def describe(table: TableName, as_json: Json = False) -> None:
    """Say what a table holds, where it comes from, and how to cite it."""
    from dataclasses import asdict

    import numpy as np

    from nasbench_lab.benchmark import TableBenchmark, gaps, lacking_times
    from nasbench_lab.registry import open_task
    from nasbench_lab.spaces.conditions import in_words
    from nasbench_lab.tables.columns import ranges
    from nasbench_lab.tables.proxies import OF_PROXIES, SCORE

    opened, _ = open_task(table)
    info, tasks = opened.info, opened.info.tasks.items()
    missing = [*info.missing, *lacking_times(opened)]
    columns = []
    for column in opened.columns.values():
        held = not np.isnan(opened.values(column.name)).all()
        columns.append({**asdict(column), "best": opened.optimum(column.name) if held else None})
    benchmark = None
    with suppress(QueryError):  # it names no objective
        benchmark = TableBenchmark(opened)
    if as_json:
        print_json(
            {
                **asdict(info),
                "missing": missing,
                "rows": len(opened),
                "coverage": opened.coverage._asdict(),
                "policy": benchmark and benchmark.missing,
                "columns": columns,
            }
        )
        return
    told = gaps(benchmark) if benchmark else []
    coverage = " ".join(told or [f"the table holds {opened.coverage}."])
    console.print(f"[bold]{escape(info.name)}[/bold]\n{escape(info.description)}\n")
    print_rows(
        [
            {
                "column": c["name"],
                "unit": c["unit"],
                "split": c["split"] or "",
                "better": "more" if c["maximize"] else "less",
                "best": "" if c["best"] is None else f"{c['best']:.6g}",
                "trials": ranges(c["trials"]),
                "epochs": ranges(c["epochs"]) if c["epochs"] else "the end",
            }
            for c in columns
            if c["quantity"] not in OF_PROXIES
        ],
        False,
    )
    if scores := [
        {
            "score without training": c["name"],
            "better": "more" if c["maximize"] else "less",
            "best": "" if c["best"] is None else f"{c['best']:.6g}",
            "seed": ranges(c["trials"]),
            "took": _took(opened, c["name"]),
        }
        for c in columns
        if c["quantity"] == SCORE
    ]:
        console.print()
        print_rows(scores, False)
    if info.decisions:
        console.print()
        print_rows(
            [
                {
                    "decision": decision.name,
                    "options": ", ".join(map(str, decision.options))
                    + (" (ordered)" if decision.ordered else ""),
                    "exists if": in_words(decision) or "always",
                }
                for decision in info.decisions
            ],
            False,
        )
    console.print(
        f"\nSpace {info.space}: {counted(len(opened), 'entry')} for "
        f"{counted(opened.space.size, 'architecture')}. {coverage[0].upper()}{coverage[1:]}\n"
        + (
            f"Searches see {'one training of ' * (info.trial == 'random')}{info.objective}; results "
            f"are reported in {'the mean ' * (info.trial == 'random')}{info.report}; the clock is "
            f"{benchmark.clock}.\n"
            if benchmark
            else ""
        )
        + "".join(f"Task {k}: {t.objective}, reported in {t.report}.\n" for k, t in tasks)
        + "".join(f"Missing: {sentence.rstrip('.')}.\n" for sentence in missing)
        + f"Licence: {info.licence}. Made from {info.source.get('version')}, file "
        f"{info.source.get('file')}, SHA-256 {info.source.get('sha256')}.\n",
        highlight=False,
        markup=False,
    )
    console.print(info.citation, highlight=False, markup=False)


def _took(table: Table, score: str) -> str:
    """The median seconds of a score, if the table has them."""
    import numpy as np

    times = table.columns.get(f"{score}_time")
    return f"{1000 * np.nanmedian(table.values(times.name)):.3g} ms" if times else ""


@app.command(
    epilog="""Example:\n
    nasbench-lab query nas-bench-graph/cora "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])" """
)
def query(
    table: TableName,
    architecture: Annotated[
        str, typer.Argument(metavar="ARCHITECTURE", help="In the benchmark's official syntax.")
    ],
    as_json: Json = False,
) -> None:
    """Look one architecture up: everything that the table holds of it."""
    from nasbench_lab.registry import open_task
    from nasbench_lab.tables.proxies import OF_PROXIES, SCORE

    opened, _ = open_task(table)
    parsed = opened.space.from_string(architecture)
    values = {name: opened.query(parsed, name) for name in opened.columns}
    counts = {name: int(opened.counts(name)[opened.row(parsed)]) for name in opened.columns}
    canonical = opened.space.to_string(opened.space.canonical(parsed))
    if as_json:
        text = opened.space.to_string(parsed)
        print_json(
            {"architecture": text, "canonical": canonical, "values": values, "trials": counts}
        )
        return
    console.print(f"Canonical form: {escape(canonical)}", highlight=False, soft_wrap=True)
    rows = [
        {
            "column": name,
            "value": f"{value:.6g}",
            "unit": opened.columns[name].unit,
            "split": opened.columns[name].split or "",
            "mean of": f"{counts[name]} of {len(opened.columns[name].trials)}",
        }
        for name, value in values.items()
        if opened.columns[name].quantity not in OF_PROXIES
    ]
    print_rows(rows, False)
    if scores := [
        {"score without training": name, "value": f"{value:.6g}"}
        for name, value in values.items()
        if opened.columns[name].quantity == SCORE
    ]:
        console.print()
        print_rows(scores, False)


@app.command(epilog="Example:\n\n    nasbench-lab best nas-bench-graph/cora --by test_accuracy")
def best(
    table: TableName,
    by: Annotated[
        str | None, typer.Option(help="The column to rank by; the table's objective by default.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Show the best entries of a table."""
    from nasbench_lab.registry import open_task

    opened, task = open_task(table)
    ranked_by = opened.column(by or task.objective)
    shown = list(dict.fromkeys([ranked_by.name, task.objective, task.report]))
    rows: list[dict[str, Any]] = []
    for row in opened.ranking(ranked_by.name)[:top].tolist():
        values = {name: float(opened.values(name)[row]) for name in shown}
        text = opened.space.to_string(tuple(opened.architectures[row].tolist()))
        formatted = values if as_json else {name: f"{v:.6g}" for name, v in values.items()}
        rows.append({**formatted, "architecture": text})
    print_rows(rows, as_json)


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
        or given[0] not in ("compare", "run", "transfer")
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
