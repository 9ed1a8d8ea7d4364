"""The command line: what it prints, what it leaves, and how it refuses."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from one_shot import PEERS
from waiting import wait_for

import nasbench_lab
from nasbench_lab import registry
from nasbench_lab.budget import Budget
from nasbench_lab.cli import app as cli
from nasbench_lab.cli import execution as cli_execution
from nasbench_lab.errors import MissingPackageError, MissingSourceError
from nasbench_lab.files import sha256
from nasbench_lab.registry import make_algorithm, open_table
from nasbench_lab.results.result import Result
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.sources import TableSource
from nasbench_lab.workers import Workers

pytestmark = pytest.mark.long

PROTEINS = "nas-bench-graph/proteins"
CORA = "nas-bench-graph/cora"
CELL = "Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])"
SCRIPT = Path(sys.executable).with_name("nasbench-lab")

OWN = """
from nasbench_lab import SearchAlgorithm, Trial

class Fine(SearchAlgorithm):
    def ask(self):
        return self.trial(self.space.sample(self.rng))

class Outside(SearchAlgorithm):
    def ask(self):
        return self.trial((0, 0, 0, 0, 99))

class NoTrial(SearchAlgorithm):
    def ask(self):
        return self.space.sample(self.rng)

class Skips(SearchAlgorithm):
    def ask(self):
        return self.trial((0, 4, 4, 4, 4))

class FailsLater(SearchAlgorithm):
    runs = 0

    def ask(self):
        FailsLater.runs += self._n_trials == 0
        if FailsLater.runs == 3:
            raise KeyError("mine")
        return self.trial(self.space.sample(self.rng))

class InterruptsAtOnce(SearchAlgorithm):
    def ask(self):
        raise KeyboardInterrupt

class Fails(SearchAlgorithm):
    def ask(self):
        raise KeyError("mine")

class Interrupts(SearchAlgorithm):
    runs = 0

    def ask(self):
        if self._n_trials == 0:
            Interrupts.runs += 1
        if Interrupts.runs == 4:
            raise KeyboardInterrupt
        return self.trial(self.space.sample(self.rng))
"""


@pytest.fixture(autouse=True)
def own(tmp_path):
    """Algorithms of the user's own, in the folder where the commands run."""
    (tmp_path / "own.py").write_text(OWN)


@pytest.fixture
def compare(lab):
    """Runs a small comparison in one process."""

    def call(*arguments):
        return lab("compare", "-b", PROTEINS, "--jobs", 1, "--budget", 8, "--seeds", 3, *arguments)

    return call


def assert_refused(outcome, *words):
    """One line on standard error, and nothing else."""
    assert outcome.code == 1
    assert outcome.out == ""
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("Error: ")
    for word in words:
        assert word in line


# Comparing and plotting


def test_compare_leaves_a_result_a_table_and_a_figure(compare, tmp_path):
    done = compare("-a", "random_search", "-a", "gp_bo(n_initial=3)", "-o", "new/result")
    assert (done.code, done.err.strip()) == (0, "")
    assert f"{PROTEINS}, 3 runs of 8 evaluations" in done.words
    for words in ("random_search", "gp_bo(n_initial=3)", "test regret", "valid regret", "Note: "):
        assert words in done.words
    stem = "new/result/anytime_regret_evaluations_mean"
    assert f"Figure: {stem}.png and {stem}.svg" in done.words
    assert Path(f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    assert Path(f"{stem}.svg").read_text().startswith("<?xml")
    result = Result.open("new/result")
    assert result.algorithms == ["random_search", "gp_bo(n_initial=3)"]
    assert [len(run.trace) for run in result.runs] == [8] * 6
    summary = result.summary()
    for line in summary.to_dict(orient="records"):
        assert f"{line['test_regret']:.2f}" in done.words
        assert f"{line['valid_regret_high']:.2f}" in done.words


@pytest.mark.usefixtures("undrawn")
def test_compare_without_output_makes_a_new_folder_in_results(compare):
    done = compare("-a", "random_search")
    (folder,) = Path("results").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d{6}.*", folder.name)
    assert str(folder / "anytime_regret_evaluations_mean.png") in done.words
    assert len(Result.open(folder).runs) == 3


@pytest.mark.usefixtures("undrawn")
def test_comparisons_of_one_second_have_folders_of_their_own(compare, monkeypatch):
    class Stopped(datetime):
        @classmethod
        def now(cls):
            return cls(2026, 2, 3, 4, 5, 6)

    monkeypatch.setattr(cli_execution, "datetime", Stopped)
    for _ in range(3):
        assert compare("-a", "random_search").code == 0
    names = sorted(folder.name for folder in Path("results").iterdir())
    assert names == ["2026-02-03_040506", "2026-02-03_040506-2", "2026-02-03_040506-3"]


@pytest.mark.usefixtures("undrawn")
def test_compare_counts_failures_where_there_are_any(compare):
    assert "failed" not in compare("-a", "random_search", "-o", "none").words
    done = compare("-a", "random_search", "-a", "own.py:Skips", "-o", "some")
    assert re.search(r"Skips 0% ∞ ∞ ∞ ∞ 100% ", done.words)
    assert "3 of 3 runs of Skips found nothing within the budget" in done.words
    assert "100% of Skips's evaluations failed (100%: the table has no such" in done.words


@pytest.mark.usefixtures("undrawn")
def test_compare_as_json(compare):
    done = compare("-a", "random_search", "-a", "reinforce", "-o", "r", "--json").data
    result = Result.open("r")
    assert done["notes"] == result.notes()
    assert [Path(file).is_file() for file in done["figures"]] == [True, True]
    assert [line["algorithm"] for line in done["summary"]] == ["random_search", "reinforce"]
    expected = result.summary()
    assert set(done["summary"][0]) == set(expected.columns)
    for line, other in zip(done["summary"], expected.to_dict(orient="records"), strict=True):
        for key, value in other.items():
            assert line[key] == (None if value == float("inf") else value)


@pytest.mark.usefixtures("undrawn")
def test_what_compare_is_told_reaches_the_runs(lab):
    done = lab(
        *("compare", "-b", PROTEINS, "-b", CORA, "-a", "random_search", "-a", "own.py:Fine"),
        *("--budget", "6 evaluations", "--seeds", 2, "--workers", 3, "--free-repeats", "-o", "r"),
        *("--jobs", 2, "--metric", "valid", "--statistic", "median", "--json"),
    )
    assert [Path(f).name for f in done.data["figures"]] == [
        "anytime_valid_evaluations_median.png",
        "anytime_valid_evaluations_median.svg",
    ]
    experiment = Result.open("r").experiment
    assert experiment.budget == Budget(6)
    assert (experiment.workers, experiment.charge_repeats) == (Workers(3), False)
    assert experiment.seeds == (0, 1)
    assert experiment.tables == [PROTEINS, CORA]
    own = Path("own.py").resolve()
    assert experiment.algorithms[1].to_json() == {
        "name": "Fine", "algorithm": "Fine", "file": str(own), "code": {"own.py": sha256(own)}
    }  # fmt: skip
    assert {worker for run in Result.open("r").runs for worker in run.trace.worker} == {0, 1, 2}


@pytest.mark.usefixtures("undrawn")
def test_plot_draws_a_result_again(compare, lab):
    compare("-a", "random_search", "-o", "r")
    done = lab("plot", "r", "--metric", "valid_regret", "--statistic", "median")
    assert done.code == 0
    assert Path("r/anytime_valid_regret_evaluations_median.svg").is_file()
    assert "r/anytime_valid_regret_evaluations_median.png" in done.words
    assert lab("plot", "r", "-o", "elsewhere/new").code == 0
    assert Path("elsewhere/new/anytime_regret_evaluations_mean.svg").is_file()
    assert not Path("r/anytime_valid_evaluations_mean.svg").exists()
    data = lab("plot", "r", "--json").data
    assert data["figures"][0] == str(Path("r/anytime_regret_evaluations_mean.png"))


# Looking things up


def test_list_tables_says_which_are_there(lab, monkeypatch, tmp_path):
    def missing():
        raise MissingSourceError("not installed")

    source = registry.table_sources()[PROTEINS]
    absent = TableSource("other/table", "the package other", missing, lambda folder: None)
    known = {PROTEINS: source, CORA: registry.table_sources()[CORA], "other/table": absent}
    for module in (registry.listing, registry.tables):
        monkeypatch.setattr(module, "table_sources", lambda: known)
    monkeypatch.setattr(registry.tables, "file_formats", list)
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    open_table(PROTEINS)
    made = {"table": CORA, "state": f"made at first use, from {source.version()}"}
    assert lab("list", "tables", "--json").data == [
        made,
        {"table": PROTEINS, "state": "ready"},
        {"table": "other/table", "state": "absent, needs the package other"},
    ]
    assert f"{PROTEINS} ready other/table absent, needs" in lab("list", "tables").words
    newer = replace(source, version=lambda: "nas-bench-graph 9")
    known[PROTEINS] = newer
    states = [line["state"] for line in lab("list", "tables", "--json").data]
    assert states[1] == "made at first use, from nas-bench-graph 9"
    del known[PROTEINS]
    assert lab("list", "tables", "--json").data[1]["state"] == "ready"
    (open_table(PROTEINS).folder / "manifest.json").write_text("{")
    assert lab("list", "tables", "--json").data[1]["state"].startswith("damaged, see ")


def test_list_tables_names_all_of_ours(lab):
    names = [line["table"] for line in lab("list", "tables", "--json").data]
    assert len([name for name in names if name.startswith("nas-bench-graph/")]) == 9
    assert "analognas-bench/cifar10" in names


def test_algorithms_that_need_pytorch_are_listed_without_it(lab, monkeypatch):
    monkeypatch.setattr("nasbench_lab.registry.listing.find_spec", lambda *_: None)
    monkeypatch.setattr("nasbench_lab.trainer.find_spec", lambda *_: None)
    needs = {row["algorithm"]: row["needs"] for row in lab("list", "algorithms", "--json").data}
    assert needs["reinforce"] == ""
    for name in ("lstm_controller", "ppo_controller", "dqn", "enas"):
        assert needs[name] == "pip install 'nasbench-lab[train]'"
    for name in ("lstm_controller", "ppo_controller", "dqn"):
        with pytest.raises(MissingPackageError, match="This needs PyTorch: pip install"):
            make_algorithm(name, get_space("nb201"))


def test_list_algorithms(lab):
    data = {line["algorithm"]: line for line in lab("list", "algorithms", "--json").data}
    assert {"random_search", "regularized_evolution", "reinforce", "gp_bo"} <= set(data)
    evolution = data["regularized_evolution"]
    expected = {"population_size": 10, "sample_size": 3, "near": 1.0}
    expected |= {"warmup": 0, "move": 0.0, "proxy": "synflow"}  # off by default
    expected |= {"prior_weight": 0.8}
    assert evolution["hyperparameters"] == expected
    assert evolution["what"] == "Regularized (aging) evolution."
    assert "population_size=10, sample_size=3" in lab("list", "algorithms").words
    for name, line in data.items():
        # Optimisers of other packages are extras of their own.
        extra = name.replace("_", "-") if name in PEERS else "train"
        assert line["needs"] in ("", f"pip install 'nasbench-lab[{extra}]'")
    # What is inherited can be set too; an algorithm's own default counts.
    assert next(iter(data["darts"]["hyperparameters"])) == "order"
    assert data["darts"]["hyperparameters"]["epochs"] == 50
    assert data["spos"]["hyperparameters"]["normalisation"] == "recalibrated"


def test_list_spaces(lab):
    data = {line["space"]: line for line in lab("list", "spaces", "--json").data}
    assert data["nb201"] == {
        "space": "nb201",
        "architectures": 15_625,
        "decisions": 6,
        "encodings": ["one_hot", "adjacency", "path"],
    }
    assert {"nas-bench-graph", "nas-bench-graph-proteins"} <= set(data)
    assert "nb201 15625 6 one_hot, adjacency, path" in lab("list", "spaces").words


def test_describe(lab):
    data = lab("describe", PROTEINS, "--json").data
    assert (data["name"], data["rows"], data["licence"]) == (PROTEINS, 2_021, "Apache-2.0")
    assert data["citation"].startswith("@inproceedings")
    assert len(data["source"]["sha256"]) == 64
    columns = {column["name"]: column for column in data["columns"]}
    assert list(columns) == ["valid_roc_auc", "test_roc_auc", "latency", "parameters"]
    latency = columns["latency"]
    assert (latency["unit"], latency["split"], latency["maximize"]) == ("s", None, False)
    assert latency["best"] == open_table(PROTEINS).values("latency").min()
    words = lab("describe", PROTEINS).words
    for part in (
        "Apache-2.0",
        "@inproceedings",
        "2,021 entries for 5,625",
        data["source"]["sha256"],
    ):
        assert part in words
    assert "latency s less" in words


def test_query(lab):
    table = open_table(CORA)
    data = lab("query", CORA, CELL, "--json").data
    assert data["architecture"] == "Arch([0, 1, 1, 2], ['gcn', 'gin', 'cheb', 'fc'])"
    assert data["canonical"] == data["architecture"]
    found = table.space.from_string(CELL)
    assert data["values"] == {name: table.query(found, name) for name in table.columns}
    words = lab("query", CORA, CELL).words
    assert f"valid_accuracy {data['values']['valid_accuracy']:.6g} % valid" in words
    assert "Canonical form: Arch([0, 1, 1, 2], ['gcn', 'gin', 'cheb', 'fc'])" in words


def test_best(lab):
    table = open_table(CORA)
    data = lab("best", CORA, "--top", 30, "--json").data
    values = [line["valid_accuracy"] for line in data]
    assert values == sorted(table.values("valid_accuracy").tolist(), reverse=True)[:30]
    for line in data:
        found = table.space.from_string(line["architecture"])
        assert line["test_accuracy"] == table.query(found, "test_accuracy")
    by_latency = lab("best", CORA, "--by", "latency", "--json").data
    assert [line["latency"] for line in by_latency] == np.sort(table.values("latency"))[
        :10
    ].tolist()
    assert set(by_latency[0]) == {"latency", "valid_accuracy", "test_accuracy", "architecture"}
    words = lab("best", CORA, "--top", 1).words
    assert words.endswith(data[0]["architecture"])


# Help

COMMANDS = {
    command.name or command.callback.__name__: command for command in cli.app.registered_commands
}


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_gives_examples(lab, command, option):
    done = lab(command, option)
    assert done.code == 0
    assert "Example" in done.words
    assert f"nasbench-lab {command} " in done.words.partition("Example")[2]
    first = COMMANDS[command].callback.__doc__.splitlines()[0]
    assert first in done.words


def test_help_lists_all_commands(lab):
    words = lab("--help").words
    for command in (*COMMANDS, "list"):
        assert command in words
    words = lab("list", "--help").words
    assert all(what in words for what in ("tables", "algorithms", "spaces"))


@pytest.mark.parametrize("command", ["describe", "query", "best"])
def test_the_examples_work_as_they_are(lab, command):
    examples = re.findall(r"nasbench-lab (.+)", COMMANDS[command].epilog)
    assert examples
    for example in examples:
        assert lab(*shlex.split(example)).code == 0


# Refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (f"describe {PROTEINS}s", ["Unknown table", f"Did you mean '{PROTEINS}'", "Known: "]),
        (f"best {CORA} --by test_acc", ["no column for test_acc", "test_accuracy (cora, test)"]),
        (f"query {CORA} 'Arch([0, 1], [fc])'", ["Expected 4 nodes", "as in Arch([0, 1, 2, 1]"]),
        (f"query {CORA} '|none~0|'", ["Expected Arch(["]),
        (f'query {CORA} "{CELL.replace("gin", "gim")}"', ["but got 'gim'", "options are gat"]),
        (f"query {CORA} 'Arch([0,0,0,0], [skip,skip,skip,skip])'", ["no entry", "never made up"]),
        ("plot nowhere", ["nowhere cannot be read as a result", "`nasbench-lab compare`"]),
    ],
)
def test_a_question_that_cannot_be_answered(lab, arguments, words):
    assert_refused(lab(*shlex.split(arguments)), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-b nas-bench-graph/coraa", ["Unknown table", "Did you mean 'nas-bench-graph/cora'"]),
        ("-a random_serch", ["Unknown algorithm", "Did you mean 'random_search'", ".py:ClassName"]),
        ("-a 'gp_bo(kernal=path)'", ["Unknown hyperparameter of GPBO", "Did you mean 'kernel'"]),
        ("-a 'gp_bo(kernel=paths)'", ["kernel", "'paths'", "ordinal, hamming, matern, path"]),
        ("-a 'gp_bo(kernel)'", ["Expected name or name(key=value, …)", "'gp_bo(kernel)'"]),
        ("-a reinforce -a reinforce", ["different names", "reinforce, reinforce"]),
        ("--budget -5", ["more than 0 evaluations", "-5"]),
        ("--budget=-5s", ["more than 0 seconds", "-5"]),
        ("--budget 0", ["more than 0 evaluations", "0"]),
        ("--budget 5x", ["such as 200, '12000s', '12h', '10d', '500epochs'", "'5x'"]),
        ("--budget ''", ["such as 200, '12000s', '12h', '10d', '500epochs'"]),
        ("--budget 60s", ["holds no training times", "Give a number of evaluations"]),
        ("--budget 60epochs", ["Give a number of evaluations"]),
        ("-a none.py:Any", ["Cannot read", "none.py: No such file"]),
        ("-a own.py:Any", ["own.py to define a class 'Any'", "there are: Fine, Outside, NoTrial"]),
        ("-a broken.py:Any", ["broken.py cannot be imported", "SyntaxError"]),
        ("-a own.py:Outside", ["not of the space", "from 0 to 4 for 'node 4'", "got 99"]),
        ("-a own.py:NoTrial", ["must return a Trial", "Return self.trial(architecture)"]),
        (
            "-a own.py:Fails",
            ["Fails on", "seed 0 failed: KeyError: 'mine'", "own.py, line", "in ask"],
        ),
        ("-o own.py/result", ["Cannot write to own.py/result", "name another folder"]),
        ("--axis seconds", ["against simulated seconds", "Use the axis 'evaluations'"]),
        ("-a 'random_search(replacement=false)'", ["replacement", "'false'", "True, False"]),
        ("-a 'gp_bo(n_initial=many)'", ["whole number of at least 1 for n_initial", "'many'"]),
        ("-a own.py", ["Name the class too", "own.py:Fine"]),
        ("-o old", ["old cannot be read as a result", "KeyError: 'format'"]),
    ],
)
def test_a_comparison_that_cannot_be_run(compare, tmp_path, arguments, words):
    (tmp_path / "broken.py").write_text("class (:\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text("{}")
    assert_refused(compare(*shlex.split(arguments)), *words)
    assert not list(Path("results").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("frobnicate", "No such command 'frobnicate'"),
        ("compare --seeds 0", "Invalid value for '--seeds'"),
        ("compare --metric regret", "Invalid value for '--metric'"),
        ("compare --sedes 3", "No such option"),
        ("describe", "Missing argument 'TABLE'"),
    ],
)
def test_wrong_usage(lab, arguments, words):
    done = lab(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Usage: " in done.err
    assert "Traceback" not in done.err


def test_a_data_folder_that_cannot_be_written(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "own.py" / "data"))
    words = ["Cannot write to", "own.py/data", "set NASBENCH_LAB_DATA to a folder that you own"]
    assert_refused(lab("describe", PROTEINS), *words)
    assert_refused(lab("compare", "-b", PROTEINS, "--budget", 5), *words)


@pytest.mark.parametrize("file", ["valid_roc_auc.npy", "row_of_index.npy", "manifest.json"])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_truncated_table(lab, monkeypatch, tmp_path, file, keep):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    path = open_table(PROTEINS).folder / file
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    for command in (["describe"], ["best"], ["compare", "--budget", "5", "-b"]):
        assert_refused(lab(*command, PROTEINS), str(path.parent), "cannot be opened", "Delete that")
    # What the message says helps.
    for part in path.parent.iterdir():
        part.unlink()
    path.parent.rmdir()
    assert lab("describe", PROTEINS).code == 0


def test_a_table_that_was_changed_is_noticed(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    path = open_table(PROTEINS).folder / "valid_roc_auc.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert_refused(lab("describe", PROTEINS), "valid_roc_auc.npy has changed", "Delete that folder")


# Interruption


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_comparison_keeps_what_is_finished(compare):
    done = compare("-a", "random_search", "-a", "own.py:Interrupts", "--seeds", 5, "-o", "r")
    assert done.code == 130
    assert "Interrupted: 8 of 10 runs were finished and are kept in r." in done.err
    assert "3 to 5 runs of 8 evaluations" in done.words
    assert "random_search 5 " in done.words
    assert "Interrupts 3 " in done.words
    result = Result.open("r")
    assert (len(result.runs), result.n_expected) == (8, 10)
    assert Path("r/anytime_regret_evaluations_mean.png").is_file()


def test_an_interruption_before_anything_is_finished(compare):
    done = compare("-a", "own.py:InterruptsAtOnce", "-o", "r")
    assert (done.code, done.out) == (130, "")
    assert done.err.strip() == "Interrupted before any run was finished."
    assert not Path("r").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_failure_after_some_runs_says_where_these_are(compare):
    done = compare("-a", "own.py:FailsLater", "--seeds", 5)
    (folder,) = Path("results").iterdir()
    assert (done.code, done.out) == (1, "")
    kept, error = done.err.strip().splitlines()
    assert (
        kept == f"The runs that were finished are kept in {folder}; the same command goes on there."
    )
    assert error.startswith("Error: FailsLater on ")
    assert len(Result.open(folder).runs) == 2


@pytest.mark.usefixtures("undrawn")
def test_an_interrupted_comparison_as_json(compare):
    done = compare("-a", "own.py:Interrupts", "--seeds", 5, "-o", "r", "--json")
    assert done.code == 130
    assert json.loads(done.out)["summary"][0]["runs"] == 3


def test_ctrl_c_on_two_processes(tmp_path):
    # A test run in the background may ignore Ctrl-C, which its children inherit.
    listen = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    arguments = shlex.split(f"compare -b {CORA} -a gp_bo --budget 30 --seeds 400 --jobs 2 -o r")
    process = subprocess.Popen(
        [sys.executable, "-c", listen, SCRIPT, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(tmp_path.glob("r/runs/[!.]*.parquet"))) >= 3, process)
        # As a terminal does: to the whole group of processes.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=600)
    finally:
        process.kill()
    result = Result.open(tmp_path / "r")
    assert process.returncode == 130, err
    assert 3 <= len(result.runs) < 400
    (line,) = err.strip().splitlines()
    kept = f"Interrupted: {len(result.runs)} of 400 runs were finished and are kept in r."
    assert line == f"{kept} The same command goes on there."
    assert "Traceback" not in out
    assert "gp_bo" in out
    assert {len(run.trace) for run in result.runs} == {30}


# As other programs see it


def test_the_console_script_and_the_module_are_the_command_line():
    modules = ("nasbench_lab", "nasbench_lab.cli")
    for command in ([SCRIPT], *([sys.executable, "-m", module] for module in modules)):
        done = subprocess.run(
            [*command, "best", PROTEINS, "--top", "1", "--json"], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert set(json.loads(done.stdout)[0]) == {"valid_roc_auc", "test_roc_auc", "architecture"}


def test_the_version_is_that_of_package_and_citation(lab):
    assert lab("--version").out == f"nasbench-lab {version('nasbench-lab')}\n"
    citation = (Path(__file__).parents[3] / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {version('nasbench-lab')}\n" in citation


def test_an_error_of_the_console_script():
    done = subprocess.run([SCRIPT, "describe", "coraa"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: Unknown table 'coraa'.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["nasbench_lab", "nasbench_lab.cli"])
def test_an_import_is_light(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded & {"pandas", "scipy", "sklearn", "matplotlib", "torch", "pyarrow", "joblib"}


def test_every_public_name_can_be_imported():
    for name in nasbench_lab.__all__:
        assert getattr(nasbench_lab, name).__name__ == name
    assert set(nasbench_lab.__all__) <= set(dir(nasbench_lab))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nasbench_lab.nothing  # noqa: B018
