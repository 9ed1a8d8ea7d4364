"""What the README and the pages of `docs` show works: every block of code is run.

A block whose first line is a comment with the name of a file is that file. The blocks of a page are
run in their order, in one folder and with one set of names. `make test` runs a short form: fewer seeds
and evaluations, and of commands that take long only the reading of their options; the slow tests run
those too.
"""

import importlib
import re
import runpy
import shlex
import tarfile
import tomllib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import nats_files
import pytest
import tomli_w
import typer

from nasbench_lab import compare, stats
from nasbench_lab.cli import results
from nasbench_lab.cli.app import app
from nasbench_lab.errors import MissingPackageError
from nasbench_lab.experiment.toml import read_experiment
from nasbench_lab.registry import import_file, open_table, table_folder
from nasbench_lab.workers import Workers

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MADE = ("lessons", "reference")
"""Folders of pages that are made of the code and of the notebooks, which have tests of their own."""
PAGES = {
    "README": ROOT / "README.md",
    **{
        path.relative_to(DOCS).with_suffix("").as_posix(): path
        for path in sorted(DOCS.rglob("*.md"))
        if path.relative_to(DOCS).parts[0] not in MADE
    },
}
GENERATED = ("lessons", "algorithms", "tables", "spaces", "commands", "python")
"""Folders whose pages are there once the site is built, which follows links to them."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OUTPUTS = ("text",)
"""The languages of blocks that are no code."""

TRAINING = ("guides/training", "guides/weight_sharing")
"""Pages that need PyTorch."""

OWN_DATA_FOLDER = (
    *("README", "guides/official_files", "guides/questions", "guides/own_data"),
    *TRAINING,
)
"""Pages that make tables or trainings."""

ELSEWHERE = {
    "tcp://": "a cluster",
    "--url": "the network",
    "~/cifar": "the published files of images",
    "my.py:": "files that the text describes",
    "import NATS": "an official file",
    "nats-tss/cifar100": "an official file",
    "mine/table": "a table that students do not know",
    "nasbench-lab watch": "a reader, who ends it",
}
"""What no test has: such a command is only read."""

LONG = {
    *(
        "analyze",
        "explain",
        "fit-surrogate",
        "grade",
        "predict",
        "proxies",
        "search",
        "supernet",
        "transfer",
    ),
    *("validate", "--train", "gdas", "rgpe", "zero_cost_search(pool_size=200)"),
    *("my_surrogate.py:SURROGATE", "optuna(sampler=tpe)", "pymoo(algorithm=ga)"),
}
"""Commands and algorithms that take more than a second or two in their short form."""

SHORTER = {
    "budget=100": "budget=12",
    "budget=50": "budget=12",
    "seeds=30": "seeds=2, n_jobs=1",
    "seeds=20": "seeds=3, n_jobs=1",
    "seeds=10)": "seeds=2, n_jobs=1)",
    "budget=10, seed=0": "budget=3, seed=0",
    "seeds = 100 ": "seeds = 2 ",
    "budget = 200 ": "budget = 10 ",
    "budget = 200\n": "budget = 10\nseeds = 2\n",
}
"""The short form of Python and TOML."""

OPTIONS = {
    "compare": "--seeds 2 --jobs 1",
    "run": "--jobs 1",
    "search": "--budget 2 --workers 1",
    "transfer": "--algorithm random_search --algorithm gp_bo --budget 12 --seeds 2",
    "grade": "--budget 10 --seeds 2",
    "validate": "--top 1",
    "predict": "--predictor ridge --size 20 --seeds 2",
    "supernet": "--algorithm random_search_ws --seeds 1 --architectures 20",
    "remove": "--yes",
}
"""What is added to a command, and counts in place of what it says."""


def blocks_of(page):
    """Language and text of each block of code of a page, without the margin of a list."""
    return BLOCK.findall(PAGES[page].read_text("utf-8"))


def lines_of(text):
    """The commands in a block for a shell."""
    return [line for line in text.splitlines() if shlex.split(line, comments=True)]


def file_of(text):
    """The name of the file that a block is, if it is one."""
    match = re.match(r"# (\w+\.(?:py|toml))\n", text)
    return match and match[1]


def reads(arguments):
    """Reads a command's options, without running it."""
    command = typer.main.get_command(app).commands[arguments[0]]
    if hasattr(command, "commands"):
        command, arguments = command.commands[arguments[1]], arguments[1:]
    command.make_context(arguments[0], arguments[1:])


class Reader:
    """Someone who types all that a page shows."""

    def __init__(self, page, lab, long):
        self.page, self.lab, self.long, self.names = page, lab, long, {"__name__": "page"}

    def read(self):
        for language, text in blocks_of(self.page):
            if language not in OUTPUTS:
                getattr(self, language)(text)

    def python(self, text):
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        path = Path(file_of(text) or "block.py")
        path.write_text(text)
        self.names |= runpy.run_path(str(path), self.names)

    def toml(self, text):
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        assert tomllib.loads(text)
        if name := file_of(text):
            Path(name).write_text(text)

    def sh(self, text):
        for line in lines_of(text):
            program, *arguments = shlex.split(line, comments=True)
            if Path(program).name == "nasbench-lab":
                self.command(line, arguments)
            elif program == "make":
                assert f"\n{arguments[0]}:" in (ROOT / "Makefile").read_text()
            elif program == "docker":
                check_container(arguments)
            elif program == "mkdir":
                Path(arguments[-1]).mkdir(exist_ok=True)
            else:
                assert re.fullmatch(
                    r"python3 -m venv \.venv|\.venv/bin/python -m (pip install|pytest) .*"
                    r"|\.venv/bin/jupyter lab notebooks",
                    line,
                ), f"Nobody tests {line}"
                check_extras(line)

    def command(self, line, arguments):
        reads(arguments)
        if any(part in line for part in ELSEWHERE):
            return
        if not self.long and LONG.intersection(arguments):
            return
        extra = OPTIONS.get(arguments[0], "")
        if arguments[0] == "compare" and not re.search(r"--budget \d+(s|epochs)", line):
            extra += " --budget 12"
        outcome = self.lab(*arguments, *shlex.split(extra))
        assert outcome.code == 0, f"{line}\n{outcome.err}"


def check_extras(line):
    """The extras that a command installs are there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for extras in re.findall(r"\.\[([\w,]+)\]", line):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


def check_container(arguments):
    """What is built takes the arguments, and what is run in it is a command."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    if arguments[0] == "build":
        given = dict(re.findall(r"--build-arg (\w+)=(\S+)", " ".join(arguments)))
        assert {*given} <= {*re.findall(r"^ARG (\w+)", text, re.MULTILINE)}
        check_extras(f".[{given.get('EXTRAS', 'train')}]")
    else:
        assert arguments[0] == "run"
        for outer in re.findall(r"--volume \S+?:(\S+)", " ".join(arguments)):
            assert outer in text
        if command := arguments[arguments.index("nasbench-lab") + 1 :]:
            reads(command)


def prepare(page):
    """Puts into this folder what the reader of a page has."""
    if page in ("guides/official_files", "guides/questions"):
        prepare_official_file()
    if page in ("guides/own_data", "README"):
        prepare_measurements()
    if page == "guides/optimisers":
        prepare_comparison()
    if page == "teaching":
        (source,) = (text for _, text in blocks_of("README") if "class HillClimbing" in text)
        Path("handed_in").mkdir()
        Path("handed_in", "ada.py").write_text(source)


def prepare_comparison():
    """The comparison of optimisers in a short form: a few of ours, on tables that are there."""
    whole = tomllib.loads((DOCS / "comparisons" / "optimisers.toml").read_text("utf-8"))
    tables = ["nb201-digits", "nb201-mnist1d", "nas-bench-graph/cora", "nas-bench-graph/arxiv"]
    short = {"budget": 10, "seeds": 2, "benchmarks": tables, "algorithms": whole["algorithms"][:3]}
    Path("docs/comparisons").mkdir(parents=True)
    Path("docs/comparisons/optimisers.toml").write_text(tomli_w.dumps(short))


def prepare_official_file():
    """The table `nats-tss`, made of a few made-up records."""
    text = PAGES["guides/questions"].read_text("utf-8")
    (cell,) = set(re.findall(r'from_string\(\s*"(.*?)"', text))
    texts = [one for one in nats_files.cells(12) if one != cell][:11]
    texts.append(cell)
    records = {11: nats_files.record(11, cell, epochs={"200": 20})}
    folder = nats_files.write_simple(Path("NATS-tss-v1_0-3ffb9-simple"), texts, records)
    import_file(folder)
    with tarfile.open(f"{folder}.tar", "w") as tar:
        tar.add(folder, folder.name)


def prepare_measurements():
    """CSV files of measured networks, with and without a space of their own."""
    rows = ["layers,width_3,learning_rate,accuracy"]
    for i in range(24):
        width = "32" if i % 4 > 1 else ""
        rows.append(f"{1 + i % 4},{width},{10 ** (-4 + i / 8)},{50 + i}")
    Path("networks.csv").write_text("\n".join(rows))
    cell = nats_files.cells(1)[0]
    Path("my_results.csv").write_text(f"arch,valid_111,valid_777,test\n{cell},80,82,79.5\n")


@pytest.fixture
def read(lab, tmp_path, monkeypatch):
    """Reads a page in an empty folder, and returns the names that its Python has made."""

    def read_(page, long=False):
        if not long:  # the figure at the end of each comparison takes as long as the rest
            monkeypatch.setattr(results, "draw_anytime", lambda *_, **__: [Path("not_drawn.png")])
        if page in TRAINING and not find_spec("torch"):
            pytest.skip("training needs PyTorch")
        if page in OWN_DATA_FOLDER:
            folder = open_table("nas-bench-201-final").folder
            monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
            monkeypatch.setenv("TORCH_HOME", str(tmp_path))
            kept = table_folder("nas-bench-201-final")  # so that it need not be made again
            kept.parent.mkdir(parents=True)
            kept.symlink_to(folder)
        prepare(page)
        reader = Reader(page, lab, long)
        reader.read()
        return reader.names

    return read_


WITH_CODE = [page for page in PAGES if any(lang not in OUTPUTS for lang, _ in blocks_of(page))]
TESTED = {
    "guides/clocks",
    "guides/official_files",
    "guides/own_algorithm",
    "guides/own_data",
    "guides/questions",
    "guides/training",
    "guides/optimisers",
    "start",
    "statistics/index",
}
"""Pages with a test of their own below."""


@pytest.mark.parametrize("page", [page for page in WITH_CODE if page not in TESTED])
def test_what_a_page_shows_runs(page, read, undrawn):
    read(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE)
def test_all_that_a_page_shows_runs(page, read, undrawn):
    read(page, long=True)


def test_the_start_leads_to_a_comparison(read, undrawn, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # on two processes, as where there are two cores
    names = read("start")
    assert len(names["trace"]) == 12
    assert names["trace"].best().startswith("Arch(")
    assert len(names["result"].summary()) == 3


def test_the_algorithm_is_complete_in_fifteen_lines(read, undrawn):
    names = read("guides/own_algorithm")
    assert names["HillClimbing"].__name__ == "HillClimbing"
    sources = {
        text
        for page in ("README", "guides/own_algorithm")
        for _, text in blocks_of(page)
        if "class HillClimbing" in text
    }
    (source,) = sources
    assert len([line for line in source.splitlines() if line.strip() and line[0] != "#"]) <= 15


def test_the_readme_is_short():
    assert len(PAGES["README"].read_text("utf-8").splitlines()) <= 150


def test_the_questions_to_a_table_are_answered(read):
    names = read("guides/questions")
    cell = names["table"].space.to_string(names["cell"])
    trials = nats_files.record(11, cell, epochs={"200": 20})["12"]["all_results"]
    finals = [trials["cifar10-valid", seed]["eval_acc1es"]["x-valid@11"] for seed in (111, 777)]
    assert names["table"].query(names["cell"], names["valid"]) == pytest.approx(sum(finals) / 2)
    assert names["benchmark"].evaluate(names["cell"]).cost > 0


def test_the_drop_in_is_dropped_in(read):
    assert read("guides/official_files")["api"].used_time > 0


def test_own_data_become_tables(read, undrawn):
    names = read("guides/own_data")
    table = names["table"]
    assert table.space.size == 3
    assert table.query(table.space.from_string("2:32"), "accuracy") == 86.0
    mapped = import_file(Path("my_results.csv"))
    assert mapped.name == "mine/nb201"
    cell = mapped.space.from_string(nats_files.cells(1)[0])
    assert mapped.query(cell, "valid_accuracy") == 81.0
    (decisions,) = (text for _, text in blocks_of("guides/own_data") if "bins = 8" in text)
    Path("networks.toml").write_text(
        '[table]\nname = "networks"\nobjective = "accuracy"\n'
        f'{decisions}\n[[columns]]\nname = "accuracy"\nfrom = "accuracy"\nunit = "%"\n'
        f'maximize = true\nsplit = "valid"\n'
    )
    space = import_file(Path("networks.csv")).space
    assert [one.name for one in space.decisions] == ["layers", "width_3", "learning_rate"]
    assert space.size == 8 * (1 + 1 + 3 + 3)


def test_a_benchmark_of_one_s_own_is_compared_on(tmp_path):
    (source,) = (text for _, text in blocks_of("guides/own_data") if "class Hill(" in text)
    path = tmp_path / "my_benchmark.py"
    path.write_text(source)
    result = compare(["random_search", "gp_bo"], f"{path}:Hill", budget=30, seeds=3)
    assert len(result.runs) == 6
    assert result.summary().set_index("algorithm").loc["gp_bo", "valid_regret"] == 0


def test_the_training_example_runs(read, tmp_path):
    assert len(read("guides/training")["trace"]) == 3
    assert len(list((tmp_path / "data" / "trainings").glob("*.json"))) == 3


def test_the_example_of_workers_runs(read, undrawn):
    trace = read("guides/clocks")["trace"]
    assert trace.settings["workers"] == {"count": 4, "fail": 0.05, "straggle": 0.1}
    assert (trace.since > 0).any()
    assert (trace.violation > 0).any()
    assert len(trace.cut_off)
    text = PAGES["guides/clocks"].read_text("utf-8")
    described = re.search(r"trace.to_frame\(\)  # (.*), …", text)[1].split(", ")
    assert set(described) - {"value"} <= set(trace.to_frame())


def test_the_statistics_are_made(read):
    names = read("statistics/index")
    result, mine, theirs = names["result"], names["mine"], names["theirs"]
    table = stats.table_frame(result, "valid_regret")
    assert list(table["algorithm"]) == ["random_search", "local_search"]
    targets = stats.target_frame(result, targets=["top 10", "best 1 %", 0.5])
    assert set(targets["target"]) == {"top 10", "best 1 %", "regret <= 0.5"}
    assert 0 < stats.wilcoxon_p(mine, theirs) < 1
    assert stats.vargha_delaney(mine, theirs) < 0.5
    assert stats.seeds_needed(mine, theirs, power=0.8).n > 5


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    text = PAGES[page].read_text("utf-8")
    for name in sorted(set(re.findall(r"`(nasbench_lab(?:\.\w+)+)\b", text))):
        assert found(name), name
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (PAGES[page].parent / link).exists() or link.split("/")[-2] in GENERATED, link


def found(name):
    """Whether a module or something in it has a dotted name."""
    with suppress(MissingPackageError):  # it is there where PyTorch is
        thing = importlib.import_module("nasbench_lab")
        for part in name.split(".")[1:]:
            if not hasattr(thing, part):
                with suppress(ImportError):
                    importlib.import_module(f"{thing.__name__}.{part}")
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
    return True


def test_each_function_that_answers_a_question_is_there():
    text = PAGES["statistics/index"].read_text("utf-8")
    names = re.findall(r"^\|.*?\|(.*?)\|", text, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(names))
    assert len(named) >= 7
    assert all(callable(getattr(stats, name)) for name in named)


def test_the_experiment_file_is_read(tmp_path):
    (source,) = (text for kind, text in blocks_of("guides/compare") if kind == "toml")
    (tmp_path / "my_experiment.toml").write_text(source)
    experiment = read_experiment(tmp_path / "my_experiment.toml")
    assert experiment.labels == ["random_search", "gp_bo(kernel='matern')"]
    assert experiment.workers == Workers(4, fail=0.05)
    assert str(experiment.benchmarks[1].constraints[0]) == "parameters<=0.5"


def test_the_comparison_of_optimisers_runs_and_ranks(read, undrawn):
    names = read("guides/optimisers")
    overview = names["overview"]
    assert "random_search" in overview.index
    assert overview.shape == (3, 1 + 4 + 1)
    # The ranks of three algorithms on each of four tables add up to 1 + 2 + 3, ties included.
    assert overview["mean rank"].sum() == pytest.approx(6)
    assert (overview["s per run"] > 0).all()


def test_every_extra_is_named_with_what_it_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", PAGES["start"].read_text("utf-8"), re.M)
    for extra, needed in project["optional-dependencies"].items():
        told = ", ".join(needed).replace(">=", " ")
        told = re.sub(r"nasbench-lab\[(.*?)\]", lambda match: inner_extras(match[1]), told)
        assert dict(rows)[extra] == told
    assert len(rows) == len(project["optional-dependencies"])


def inner_extras(names):
    """Extras that another one installs, as the page names them."""
    return ", ".join(f"`{name}`" for name in names.split(","))


def test_both_commands_are_named():
    text = PAGES["README"].read_text("utf-8")
    assert "make compare" in text
    assert "make test" in text
    assert "@@" not in text
