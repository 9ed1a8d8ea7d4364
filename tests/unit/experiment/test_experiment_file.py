"""Experiment files: what is written is read as it was, and what is wrong is told with line and key."""

import json
import re
import shutil
import string
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasbench_lab import registry
from nasbench_lab.budget import Budget
from nasbench_lab.errors import ExperimentError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.toml import read_experiment, to_toml
from nasbench_lab.registry import algorithm_class, load_benchmark, open_table
from nasbench_lab.running.comparison import compare, run_experiment
from nasbench_lab.tables.columns import Constraint, Query, Task
from nasbench_lab.workers import Workers

CORA = "nas-bench-graph/cora"
DIGITS = "nb201-digits"

OWN = """
from nasbench_lab import SearchAlgorithm

class Own(SearchAlgorithm):
    def __init__(self, space, *, value=None, **kwargs):
        super().__init__(space, **kwargs)

    def ask(self):
        return self.trial(self.space.sample(self.rng))
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my söarch (2).py"
    path.write_text(OWN)
    return f"{path}:Own"


def assert_comes_back(tmp_path, **arguments):
    """What a comparison is can be told from its file, wherever that lies."""
    arguments = {"algorithms": ["random_search"], "benchmarks": CORA, "budget": 5} | arguments
    experiment = Experiment.of(**arguments)
    file = tmp_path / "elsewhere" / "experiment.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(to_toml(experiment), encoding="utf-8")
    read = read_experiment(file)
    assert read == experiment
    return read


# Round trips


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"benchmarks": [DIGITS, CORA, "nas-bench-graph/proteins"]},
        {"seeds": 3},
        {"seeds": [3]},
        {"seeds": [0, 1, 3]},
        {"seeds": [2, 1, 0]},
        {"seeds": np.arange(4, 7)},
        {"seeds": [2**63 - 1]},
        {"charge_repeats": False},
        {"workers": 4},
        {"workers": Workers(2, True, 0.1, 0.25, 7.5), "benchmarks": DIGITS},
        {"workers": Workers(np.int64(2), np.True_, np.float64(0.1)), "benchmarks": DIGITS},
        {"budget": Budget(evaluations=np.int64(7))},
        {"budget": 7.0},
        {"budget": "12.5s", "benchmarks": DIGITS},
        {"budget": "1e-7s", "benchmarks": DIGITS},
        {"budget": Budget(seconds=np.float64(1e22)), "benchmarks": DIGITS},
        {"budget": Budget(seconds=3), "benchmarks": DIGITS},
        {"budget": "40epochs", "benchmarks": DIGITS},
        {"budget": "200.0,0.1s,40epochs", "benchmarks": DIGITS},
    ],
    ids=str,
)
def test_policies_come_back(tmp_path, arguments):
    assert_comes_back(tmp_path, **arguments)


@pytest.mark.parametrize(
    "asked",
    [
        {"clock": "resume"},
        {"clock": "evaluations"},
        {"objective": "flops", "report": "parameters"},
        {"objective": ["valid_accuracy", "parameters", "flops"]},
        {"objective": Query("accuracy", split="valid", epoch=4)},
        {"objective": Query("valid_accuracy", epoch=np.int64(4)), "clock": "every_epoch"},
        {"objective": Query("valid_accuracy", trial="random")},
        {"objective": Query("valid_accuracy", trial=1), "report": Query("test_accuracy", trial=2)},
        {"report": Query("accuracy", split="test", epoch=12)},
        {"constraints": ["parameters<=0.02", "flops >= 1e-3"]},
        {"constraints": [Constraint(Query("parameters"), np.float64(0.02))]},
        {"constraints": [Constraint(Query("accuracy", "valid", epoch=4), 20, at_most=False)]},
        {"constraints": Constraint(Query("valid_accuracy", trial=0), 20.0, at_most=False)},
    ],
    ids=str,
)
def test_benchmarks_come_back(tmp_path, asked):
    opened = load_benchmark(DIGITS, **asked)
    (read,) = assert_comes_back(tmp_path, benchmarks=opened).benchmarks
    assert read.queries == opened.queries
    assert read.report == opened.report
    assert read.constraints == opened.constraints
    assert read.clock == opened.clock


def test_a_constraint_that_is_no_text_is_a_table():
    # A table of one's own may name its columns as it likes.
    experiment = Experiment.of(["random_search"], CORA, budget=5)
    constraint = Constraint(Query("size <= of it"), 0.5)
    benchmark = replace(experiment.benchmarks[0], constraints=(constraint,))
    text = to_toml(replace(experiment, benchmarks=(benchmark,)))
    (entry,) = tomllib.loads(text)["benchmarks"]
    assert entry["constraints"] == [{"query": "size <= of it", "limit": 0.5, "at_most": True}]


def stand_in(monkeypatch, table, **changes):
    """Makes a table one of those that are known by name."""
    monkeypatch.setattr(table, "info", replace(table.info, **changes))
    known = registry.table_names()
    monkeypatch.setattr(registry.tables, "table_names", lambda: [*known, table.name])
    monkeypatch.setattr(
        registry.tables,
        "open_table",
        lambda name: table if name == table.name else open_table(name),
    )


def test_a_task_of_a_table_comes_back(tmp_path, make_table, monkeypatch):
    tasks = {"small": Task("train_time", "test_accuracy")}
    stand_in(monkeypatch, make_table(name="toy/tasks"), tasks=tasks)
    (read,) = assert_comes_back(tmp_path, benchmarks="toy/tasks/small").benchmarks
    assert (read.benchmark.task, read.benchmark.first_objective.metric) == ("small", "train_time")


@pytest.mark.parametrize(
    "label",
    [
        *("gp_bo", " a ", "ä \"quoted\" 'twice' \\n", "two\nlines\tand\r\n", "<b>&"),
        *("#no comment", "[x]", "a = 1", "own.py:Own", "\x00\x1f\x7f", "a\u2028\x85", "🙂"),
        *('"""', "'''"),
    ],
)
def test_labels_come_back(tmp_path, label):
    read = assert_comes_back(tmp_path, algorithms={label: "gp_bo", "other": "random_search"})
    assert read.labels == [label, "other"]


VALUES = [
    *(0, -3, 10**30, 1.5, -1e-300, 1e22, True, False, None, "", "text", "it's", 'a "b"', "a\nb\\"),
    *(
        "x=1, y=(2)",
        "5",
        "None",
        b"\xff'",
        (),
        (1,),
        (1, "a", None),
        [],
        [[1], ["ü"]],
        {},
        {"a": (1,)},
    ),
    *({1, 2}, 1j, "own.py:Own", ") #"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_hyperparameters_of_every_kind_come_back(tmp_path, own, value):
    spec = f"{own}(value={value!r})"
    read = assert_comes_back(tmp_path, algorithms={"mine": spec})
    assert {one.name: one.spec for one in read.algorithms} == {"mine": spec}


literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(string.printable + "äß🙂\u2028", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(str.strip)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.dictionaries(labels, literals, min_size=1, max_size=3),
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True),
    evaluations=st.none() | st.integers(1, 10**9),
    seconds=st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False),
    fail=st.floats(0, 1),
)
def test_whatever_is_compared_comes_back(tmp_path, values, seeds, evaluations, seconds, fail):
    path = tmp_path / "own.py"
    if not path.exists():
        path.write_text(OWN)
    assert_comes_back(
        tmp_path,
        algorithms={label: f"{path}:Own(value={value!r})" for label, value in values.items()},
        benchmarks=DIGITS,
        seeds=seeds,
        budget=Budget(evaluations=evaluations, seconds=seconds),
        workers=Workers(3, fail=fail),
    )


def test_a_class_from_a_file_comes_back_as_that_file(tmp_path, own):
    read = assert_comes_back(tmp_path, algorithms=[algorithm_class(own)])
    assert {one.name: one.spec for one in read.algorithms} == {"Own": own}


def test_the_file_is_for_people():
    text = to_toml(Experiment.of(["random_search", "gp_bo"], CORA, budget="7", seeds=9))
    assert (
        text
        == """# nasbench-lab run experiment.toml
budget = 7
seeds = 9
charge_repeats = true
algorithms = [
    "random_search",
    "gp_bo",
]

[workers]
count = 1

[[benchmarks]]
table = "nas-bench-graph/cora"
clock = "evaluations"
objectives = [
    "valid_accuracy",
]
report = "test_accuracy"
constraints = []
missing = "fail"
"""
    )


# What people write


@pytest.fixture
def write(tmp_path):
    def call(text, name="e.toml"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return call


SHORTEST = """budget = 5
algorithms = ["random_search"]
benchmarks = ["nas-bench-graph/cora"]
"""


def test_the_shortest_file_has_the_defaults_of_compare(write):
    read = read_experiment(write(SHORTEST))
    assert read == Experiment.of(["random_search"], CORA, budget=5)


def test_every_form_is_read(write):
    read = read_experiment(
        write(
            """
budget = "20s, 30epochs"
seeds = [5, 3]
workers.count = 2  # dotted
workers.fail = 0

[[algorithms]]
name = "mine"
algorithm = "gp_bo(kernel=matern)"

[[algorithms]]
algorithm = "random_search"

[[benchmarks]]
table = "nb201-digits"
objectives = [{ metric = "accuracy", split = "valid", trial = 1 }, "flops"]
constraints = [{ query = "parameters", limit = 1 }, "flops>=0.1", { query = { metric = "accuracy",
    split = "valid" }, limit = 5.0, at_most = false }]
""".replace('"accuracy",\n    split', '"accuracy", split')
        )
    )
    assert read == Experiment.of(
        {"mine": "gp_bo(kernel='matern')", "random_search": "random_search"},
        load_benchmark(
            DIGITS,
            objective=[Query("accuracy", "valid", trial=1), "flops"],
            constraints=[
                "parameters<=1",
                "flops>=0.1",
                Constraint(Query("accuracy", "valid"), 5, at_most=False),
            ],
        ),
        budget=Budget(seconds=20, epochs=30),
        seeds=[5, 3],
        workers=Workers(2),
    )


@pytest.mark.parametrize(
    "text",
    [
        SHORTEST.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + SHORTEST.encode(),
        "\n\n# Über\n" + SHORTEST + "\n# the end",
        SHORTEST.removesuffix("\n"),
    ],
)
def test_how_the_text_is_kept_does_not_matter(write, text):
    assert read_experiment(write(text)).labels == ["random_search"]


def test_paths_are_relative_to_the_file(write, tmp_path, monkeypatch):
    text = SHORTEST.replace("random_search", "searches/own.py:Own(value='up/../own.py')")
    file = write(text, "project/e.toml")
    write(OWN, "project/own.py")
    (tmp_path / "project" / "searches").mkdir()
    shutil.move(tmp_path / "project" / "own.py", tmp_path / "project" / "searches" / "own.py")
    monkeypatch.chdir(tmp_path)
    for path in (file, "project/e.toml"):
        read = read_experiment(path)
        (entry,) = read.algorithms
        assert entry.file == str(tmp_path / "project" / "searches" / "own.py")
        assert entry.name == "Own(value='up/../own.py')"
    result = run_experiment(replace(read, seeds=(0, 1)), n_jobs=1)
    assert len(result.runs) == 2


def test_a_path_may_begin_at_home(write, tmp_path, monkeypatch):
    write(OWN, "home/own.py")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    read = read_experiment(write(SHORTEST.replace("random_search", "~/own.py:Own")))
    assert [one.spec for one in read.algorithms] == [f"{tmp_path / 'home' / 'own.py'}:Own"]


def test_a_table_without_an_objective_of_its_own_is_given_one(write, make_table, monkeypatch):
    stand_in(monkeypatch, make_table(name="toy/aimless"), objective="", report="")
    entry = 'table = "toy/aimless"\nclock = "train_only"'
    text = f'budget = 5\nalgorithms = ["random_search"]\n[[benchmarks]]\n{entry}\n'
    with pytest.raises(
        ExperimentError, match=r"line 4, benchmarks\[0\]\.table: .*no objective of its"
    ):
        read_experiment(write(text))
    read = read_experiment(
        write(text + 'objectives = ["valid_accuracy"]\nreport = "test_accuracy"')
    )
    assert read.benchmarks[0].clock == "train_only"


# What is wrong


def refused(write, text, name="e.toml"):
    """The lines of the message, each as (line, key, what)."""
    file = write(text, name)
    with pytest.raises(ExperimentError) as caught:
        read_experiment(file)
    message = str(caught.value)
    found = [
        re.fullmatch(re.escape(str(file)) + r", line (\d+), ([^:]+): (.+)", line)
        for line in message.split("\n")
    ]
    assert all(found), message
    return [(int(match[1]), match[2], match[3]) for match in found]


def changed(old, new):
    assert old in SHORTEST
    return SHORTEST.replace(old, new)


TABLE = """budget = 5
algorithms = ["random_search"]

[[benchmarks]]
# It is the first.
table = "nb201-digits"
"""

ERRORS = {
    # What is not there
    "no budget": (changed("budget = 5\n", ""), 1, "budget", "is missing"),
    "no algorithm": (
        changed('"random_search"', '\n  "gp_bo",\n  { name = "mine" }\n'),
        4,
        "algorithms[1].algorithm",
        "is missing",
    ),
    "an empty list": (changed('["random_search"]', "[]"), 2, "algorithms", "at least one entry"),
    # Keys
    "an unknown key": (
        "# First\n\n# a comment\nbudgets = 7\n" + SHORTEST,
        4,
        "budgets",
        "Did you mean 'budget'?",
    ),
    "of a report": (
        TABLE + "[benchmarks.report]\nmetric = 'test_accuracy'\n\nsplitt = 'test'",
        10,
        "benchmarks[0].report.splitt",
        "Did you mean 'split'?",
    ),
    "of a constraint's query": (
        TABLE + 'constraints = [{ query = { metric = "flops", tril = 1 }, limit = 1 }]',
        7,
        "benchmarks[0].constraints[0].query.tril",
        "Did you mean 'trial'?",
    ),
    "dotted": (SHORTEST + "workers.cuont = 2", 4, "workers.cuont", "Did you mean 'count'?"),
    # Types
    "a list for the budget": (changed("5", "[5]"), 1, "budget", "Expected a budget"),
    "a number for an algorithm": (
        changed('"random_search"', "\n'gp_bo',\n\n# a comment\n[1],\n"),
        6,
        "algorithms[1]",
        "text, or a table",
    ),
    "text for the objectives": (
        TABLE + 'objectives = "flops"',
        7,
        "benchmarks[0].objectives",
        "a list",
    ),
    "text for an epoch": (
        TABLE + 'report = { metric = "test_accuracy", epoch = "12" }',
        7,
        "benchmarks[0].report.epoch",
        "a whole number",
    ),
    "a truth for a trial": (
        TABLE + 'report = { metric = "test_accuracy", trial = true }',
        7,
        "benchmarks[0].report.trial",
        "a trial's seed",
    ),
    "an infinite limit": (
        TABLE + 'constraints = [{ query = "flops", limit = inf }]',
        7,
        "benchmarks[0].constraints[0].limit",
        "a finite number",
    ),
    "text for at_most": (
        TABLE + 'constraints = [{ query = "flops", limit = 1, at_most = "yes" }]',
        7,
        "benchmarks[0].constraints[0].at_most",
        "true or false",
    ),
    "a seed twice": (SHORTEST + "\nseeds = [\n1,\n1,\n]", 5, "seeds", "twice"),
    # Values
    "a budget in days": (changed("5", "'5days'"), 1, "budget", "Expected a budget"),
    "a decimal comma": (changed("5", "'12,5s'"), 1, "budget", "a decimal point"),
    "no workers": (SHORTEST + "workers = 0", 4, "workers.count", "at least 1 worker"),
    "more than certain": (
        SHORTEST + "[workers]\ncount = 3\nstraggle = 1.5",
        6,
        "workers.straggle",
        "a chance from 0 to 1",
    ),
    "an unknown table": (
        changed("/cora", "/coraa"),
        3,
        "benchmarks[0].table",
        "Did you mean 'nas-bench-graph/cora'?",
    ),
    "test data as objective": (
        TABLE + 'objectives = ["test_accuracy"]',
        7,
        "benchmarks[0].objectives[0]",
        "test data",
    ),
    "an objective twice": (
        TABLE + 'objectives = [\n "flops", "parameters",\n "flops" ]',
        9,
        "benchmarks[0].objectives[2]",
        "twice",
    ),
    "no such epoch": (
        TABLE + "[[benchmarks.objectives]]\nmetric = 'valid_accuracy'\nepoch = 99",
        7,
        "benchmarks[0].objectives[0]",
        "99",
    ),
    "no constraint": (
        TABLE + 'constraints = [\n  "flops<=1",\n  "flops<1",\n]',
        9,
        "benchmarks[0].constraints[1]",
        "a constraint such as",
    ),
    "constraints that nothing keeps": (
        TABLE + 'constraints = [\n  "flops<=0.5",\n  "flops>=0.6",\n]',
        9,
        "benchmarks[0].constraints[1]",
        "at once",
    ),
    "deep inside": (
        'budget = 5\nalgorithms = ["gp_bo"]\nbenchmarks = [\n  { table = "nb201-digits", '
        'constraints = [\n    "flops<=1",\n    "latency<=1" ] } ]',
        6,
        "benchmarks[0].constraints[1]",
        "no column for latency",
    ),
    "an unknown algorithm": (
        changed('"random_search"', '\n  "random_search",\n  "gp_boo",\n'),
        4,
        "algorithms[1]",
        "Did you mean 'gp_bo'?",
    ),
    "an unknown hyperparameter": (
        changed("random_search", "gp_bo(kernal=path)"),
        2,
        "algorithms[0]",
        "Did you mean 'kernel'?",
    ),
    "no such file": (changed("random_search", "own.py:Own"), 2, "algorithms[0]", "No such file"),
    "two of one name": (
        changed('"random_search"', '"gp_bo",\n{ name = "gp_bo", algorithm = "random_search" }'),
        3,
        "algorithms[1]",
        "two algorithms 'gp_bo'",
    ),
    # What does not go together
    "seconds without times": (changed("5", '"100s"'), 1, "budget", "in simulated seconds"),
    "a clock without times": (
        changed('["nas-bench-graph/cora"]', '[{table = "nas-bench-graph/cora", clock = "resume"}]'),
        3,
        "benchmarks[0].clock",
        "'resume'",
    ),
    # Lines
    "after a text of several lines": (
        'algorithms = ["""\nrandom_search"""]\nbenchmarks = ["x"]\nbudget = 5',
        3,
        "benchmarks[0].table",
        "'x'",
    ),
    "after signs that are no lines": (
        "# a\u2028b\x85c\n\n" + SHORTEST + "seeds = 0",
        6,
        "seeds",
        "seeds",
    ),
    "windows later": ((SHORTEST + "\nseeds = 0").replace("\n", "\r\n"), 5, "seeds", "seeds"),
}
"""One per kind: the text, the line and key of the error, and the word that matters."""


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_has_its_line_and_key(write, case):
    text, line, key, words = ERRORS[case]
    ((found_line, found_key, what),) = refused(write, text)
    assert (found_line, found_key) == (line, key)
    assert words in what
    assert "pydantic" not in what
    assert "Input should" not in what


def test_all_errors_of_form_are_told_at_once(write):
    text = 'algorithm = ["gp_bo"]\nbudget = []\nbenchmarks = [1, "x"]\nseeds = 0\n'
    assert {(line, key) for line, key, _ in refused(write, text)} == {
        (1, "algorithm"),
        (1, "algorithms"),
        (2, "budget"),
        (3, "benchmarks[0]"),
        (4, "seeds"),
    }


def test_an_empty_file_lacks_three_keys(write):
    for text in ("", "\n\n", "# only a comment"):
        assert refused(write, text) == [
            (1, key, "is missing") for key in ("algorithms", "benchmarks", "budget")
        ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("budget = 5\nbudget = 6\n", "line 2"),
        ("budget = 5\n\nalgorithms = [\n  gp_bo,\n]", "line 4"),
        ("budget 5", "line 1"),
        ("budget = 5\n[workers]\ncount = 1\n[workers]\n", "line 4"),
        ("workers.count = 1\n[workers]\nfail = 1", "line 2"),
        ('budget = "5\n', "line 1"),
        ("algorithms = [", "end of document"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "can't decode byte 0x89"),
        (SHORTEST.encode("utf-16"), "not in UTF-8 but in UTF-16"),
        ('budget = "ä"'.encode("latin-1"), "can't decode byte"),
        ("a = " + "[" * 100_000, "recursion"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(write, text, words):
    file = write(text)
    with pytest.raises(ExperimentError, match=re.escape(f"{file} is no TOML file: ")) as caught:
        read_experiment(file)
    assert words in str(caught.value)


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"Cannot read .*e\.toml: No such file"):
        read_experiment(tmp_path / "e.toml")
    with pytest.raises(ExperimentError, match=r"Cannot read .*: Is a directory"):
        read_experiment(tmp_path)


def test_an_error_in_a_long_file_is_found(write):
    seeds = "".join(f"  {seed},\n" for seed in range(300))
    assert refused(write, f"seeds = [\n{seeds}]\n{changed('5', '0')}")[0][:2] == (303, "budget")


def test_the_command_says_line_and_key(lab, write):
    outcome = lab("run", write(SHORTEST + "seeds = [1, 1]\n"))
    assert outcome.code == 1
    assert outcome.err.strip().endswith("none of them twice, but got [1, 1].")
    assert "e.toml, line 4, seeds: " in outcome.err


def test_what_compare_writes_is_json_of_its_manifest(tmp_path):
    result = compare(["random_search"], CORA, budget=5, seeds=2, n_jobs=1, folder=tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    read = read_experiment(tmp_path / "r" / "experiment.toml")
    assert read == result.experiment
    assert json.loads(json.dumps(read.to_json())) == manifest["experiment"]
