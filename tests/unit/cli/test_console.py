"""What commands print: on outputs that lack signs, on narrow ones, and on those that were closed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_lab.cli import console
from nasbench_lab.cli.console import print_rows
from nasbench_lab.processes import HASH_SEED
from nasbench_lab.words import counted, listed, wrapped

pytestmark = pytest.mark.long

SCRIPT = Path(sys.executable).with_name("nasbench-lab")
CORA = "nas-bench-graph/cora"
COMMANDS = [
    *("list", "compare", "run", "merge", "plot", "report", "import", "fetch", "export", "draw"),
    *("analyze", "validate", "build-table", "describe", "query", "best"),
]
ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "the C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
LONG = [
    "regularized_evolution(population_size=100, sample_size=10)",
    "genetic_algorithm(selection=tournament, crossover=single_point, elitism=2)",
    *(f"my_searches.py:AnAlgorithmOfMyOwn{i}" for i in range(11)),
]


SEVERAL = """
import json, os, sys
from nasbench_lab.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["nasbench-lab", *(os.fsdecode(a.encode()) for a in arguments)]
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, b"\\0%d\\0" % code)
"""
"""Many commands in one process; a zero byte ends what one prints, another its exit status."""


def call(*arguments, cwd, command=(SCRIPT,), **settings):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONUTF8", "LC_ALL")}
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        env={**environment, "COLUMNS": "80", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if command != (SCRIPT,) else subprocess.PIPE,
        timeout=300,
    )


def call_all(commands, cwd, **settings):
    """Calls commands one after another; gives the exit status and what was said by each."""
    texts = json.dumps([[str(argument) for argument in arguments] for arguments in commands])
    python = (sys.executable, "-c", SEVERAL)
    done = call(texts, cwd=cwd, command=python, PYTHONHASHSEED=HASH_SEED, **settings)
    said, codes = (done.stdout.split(b"\0")[i::2] for i in (0, 1))
    assert done.returncode == 0, done.stdout[-1000:]
    return list(zip(map(int, codes), said[: len(commands)], strict=True))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A folder with a result `r` in which no run of random search got to the top 10."""
    folder = tmp_path_factory.mktemp("printed")
    done = call(
        *("compare", "-a", "random_search", "-b", CORA, "--budget", 5, "--seeds", 2),
        *("--jobs", 1, "-o", "r"),
        cwd=folder,
        PYTHONIOENCODING="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "∞" in done.stdout.decode()
    return folder


FEW = pytest.mark.parametrize(
    "encoding",
    [
        "ascii",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ENCODINGS if name != "ascii"),
    ],
)
"""ASCII can show the fewest signs; `make test-slow` tries the others."""


@FEW
def test_a_sign_that_the_output_lacks_never_costs_the_table(encoding, result, tmp_path):
    commands = [
        ("compare", "-a", "random_search", "-b", CORA, "--budget", 5, "--seeds", 2, "--jobs", 1),
        ("run", result / "r" / "experiment.toml", "-o", "again", "--jobs", 1),
    ]
    for code, said in call_all(commands, tmp_path, **ENCODINGS[encoding]):
        text = said.decode("ascii")
        assert code == 0, text
        (line,) = (line for line in text.splitlines() if line.startswith("random_search"))
        assert " inf " in line
        header = next(line for line in text.splitlines() if line.startswith("algorithm"))
        assert line.index("inf") == header.index("top 1 %")
        assert line.index("inf", header.index("top 10")) == header.index("top 10")


@FEW
def test_help_lists_and_errors_on_an_output_that_lacks_signs(encoding, result, tmp_path):
    wanted = [
        (("--help",), 0),
        *(((command, "--help"), 0) for command in COMMANDS),
        (("list", "algorithms"), 0),
        (("list", "tables"), 0),
        (("describe", CORA), 0),
        (("best", CORA, "--top", 1), 0),
        (("plot", result / "r", "-o", "figures", "--final"), 0),
        (("report", result / "r", "-o", "page.html"), 0),
        (("export", result / "r", "--format", "csv", "-o", "csv"), 0),
        (("compare", "-a", "gp_bo(("), 1),
        (("compare", "-a", "∞…"), 1),
        (("compare", "--seeds", "∞"), 2),
        (("draw", "∞"), 1),
    ]
    ends = call_all([arguments for arguments, _ in wanted], tmp_path, **ENCODINGS[encoding])
    for (arguments, wanted_code), (code, said) in zip(wanted, ends, strict=True):
        assert code == wanted_code, (arguments, said)
        assert b"Traceback" not in said, said
        assert said
        said.decode("cp1252" if encoding == "cp1252" else "ascii", "surrogateescape")


def test_what_stands_for_signs_is_read_like_them():
    text = "∞, Müller… 1−2 ± 0.5 µs → 日"
    shown = text.encode("ascii", "nasbench_lab.replaced").decode()
    assert shown == "inf, Muller... 1-2 +/- 0.5 us -> ?"
    assert (
        text.encode("cp1252", "nasbench_lab.replaced").decode("cp1252").startswith("inf, Müller…")
    )
    # Bytes of a file's name that are no text come out as they are.
    assert os.fsdecode(b"\xff.csv").encode("ascii", "nasbench_lab.replaced") == b"\xff.csv"


def test_a_pipe_that_is_closed_is_no_error_to_speak_of(result):
    command = f"'{SCRIPT}' list algorithms | head -n 1"
    done = subprocess.run(command, shell=True, cwd=result, capture_output=True, timeout=300)
    assert done.returncode == 0
    assert done.stdout.startswith(b"algorithm")
    assert done.stderr == b""


def test_no_standard_output_at_all(result):
    command = f"'{SCRIPT}' list spaces >&-"
    assert subprocess.run(command, shell=True, cwd=result, timeout=300).returncode == 0


def tokens(text):
    """Words, the ends of which are spaces and the signs after which a word may be broken."""
    return [token for token in re.split(r"[\s_/(,=:|+-]+", text) if token]


def printed(rows, width, monkeypatch, capsys):
    monkeypatch.setattr(console.console, "width", width)
    print_rows(rows, False)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 100])
def test_tables_break_between_words_only(width, monkeypatch, capsys):
    rows = [
        {
            "algorithm": name,
            "runs": 100,
            "hypervolume": "0.123 [0.100,0.150]",
            "test regret": f"{i}.00 [0.93,10.08]",
            "valid regret": "0.31 [0.28,0.33]",
            "top 1 %": "139 (54%)",
            "top 10": "∞ (15%)",
            "failed": "12.1",
            "ms": "87.5",
        }
        for i, name in enumerate(LONG)
    ]
    text = printed(rows, width, monkeypatch, capsys)
    assert max(map(len, text.splitlines())) <= width
    whole = {
        token for row in rows for value in (*row, *row.values()) for token in tokens(str(value))
    }
    assert set(tokens(text)) == whole
    # No algorithm and no number is lost.
    for row in rows:
        assert tokens(text).count(tokens(row["test regret"])[0]) >= 1


def test_columns_that_do_not_fit_follow_with_the_first(monkeypatch, capsys):
    rows = [{"name": n, **{f"column{i:02}": "x" * 8 for i in range(12)}} for n in ("one", "two")]
    lines = printed(rows, 60, monkeypatch, capsys).splitlines()
    heads = [line.split() for line in lines if line.startswith("name")]
    assert [head[0] for head in heads] == ["name", "name", "name"][: len(heads)]
    assert [name for head in heads for name in head[1:]] == [f"column{i:02}" for i in range(12)]
    assert len([line for line in lines if line.startswith("two")]) == len(heads) > 1


def test_a_word_wider_than_the_screen_is_broken_somewhere(monkeypatch, capsys):
    text = printed([{"a": "x" * 50, "b": "y"}], 20, monkeypatch, capsys)
    assert text.count("x") == 50
    assert text.count("y") == 1


def help_texts(columns, folder):
    """The help of each command on a screen of some columns, without frames."""
    helps = [(command, "--help") for command in COMMANDS]
    ends = call_all(helps, folder, COLUMNS=columns, PYTHONIOENCODING="utf-8")
    frames = {ord(sign): " " for sign in "│╭╮╰╯─"}
    return dict(zip(COMMANDS, (said.decode().translate(frames) for _, said in ends), strict=True))


def test_help_breaks_between_words_only(tmp_path):
    wide = help_texts("250", tmp_path)
    for width in ("80", "60"):
        for command, narrow in help_texts(width, tmp_path).items():
            # The longest option, --critical-difference, leaves too little of 60 columns to others.
            if (command, width) != ("plot", "60"):
                # Words that are cut short end in an ellipsis.
                assert set(tokens(narrow)) <= set(tokens(wide[command])), (command, width)


@pytest.mark.parametrize(
    ("n", "noun", "words"),
    [
        (1, "architecture", "1 architecture"),
        (0, "run", "0 runs"),
        (2, "entry", "2 entries"),
        (15625, "entry", "15,625 entries"),
        (2, "search", "2 searches"),
        (3, "process", "3 processes"),
        (2, "day", "2 days"),
        (500, "epoch", "500 epochs"),
        (1, "process", "1 process"),
    ],
)
def test_counts_have_their_plural(n, noun, words):
    assert counted(n, noun) == words


def test_lists_and_lines():
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert wrapped("gp_bo(kernel=matern)", 12).split("\n") == ["gp_bo(", "kernel=", "matern)"]
    assert wrapped("regularized_evolution", 14).split("\n") == ["regularized_", "evolution"]
