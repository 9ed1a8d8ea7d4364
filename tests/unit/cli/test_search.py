"""``search``: live training from the command line, of our spaces and of one's own."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch")

from nasbench_lab import load_model
from nasbench_lab.cli import search as search_command
from nasbench_lab.cli.watching import Watcher
from nasbench_lab.errors import UnsafeFileError
from nasbench_lab.results.result import Result
from nasbench_lab.running.search import run
from nasbench_lab.spaces import get_space
from nasbench_lab.trainer import data

pytestmark = pytest.mark.long

OWN = """
from torch import nn

from nasbench_lab import Decision, SearchSpace

space = SearchSpace(
    "mine", [Decision("width", (4, 8), ordered=True), Decision("learning rate", (0.1, 0.01), True)]
)


def build(architecture, shape, classes):
    width = space.options(architecture)["width"]
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1], width), nn.ReLU(), nn.Linear(width, classes))


def wide(architecture):
    return nn.Linear(3, 3)
"""


NO_MODEL = ("--final-seeds", "0")


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


@pytest.fixture
def mine(tmp_path):
    """The options that name one's own space, networks and data."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    signals = rng.normal(size=(60, 12)) + labels[:, None]
    np.savez(tmp_path / "my.npz", x_train=signals, y_train=labels, x_test=signals, y_test=labels)
    (tmp_path / "my.py").write_text(OWN)
    named = ("--space", "my.py:space", "--build", "my.py:build", "--data", "my.npz")
    return (*named, *NO_MODEL)


@pytest.fixture
def trained(tmp_path):
    """Tells the texts of the architectures whose trainings are kept."""
    kept = tmp_path / "data" / "trainings"
    return lambda: [json.loads(file.read_text())["architecture"] for file in kept.glob("*.json")]


def test_one_s_own_space_and_data(lab, mine, trained):
    told = lab("search", *mine, "--budget", "3", "--epochs", "2", "--trials", "2", "--json")
    assert told.code == 0, told.err
    assert told.data["best"] in trained()
    assert (told.data["space"], told.data["data"]) == ("mine", "my")
    assert (told.data["evaluations"], told.data["epochs"]) == (3, 2)
    assert told.data["seen"] == {"valid_accuracy": told.data["valid_accuracy"]}
    width = int(told.data["best"].split(":")[0])
    assert told.data["parameters"] == pytest.approx((13 * width + (width + 1) * 3) / 1e6)
    again = lab("search", *mine, "--budget", "3", "--epochs", "2", "--trials", "2", "--json")
    assert again.data == told.data
    told_again = lab("search", *mine, "--budget", "3", "--epochs", "2", "--trials", "2")
    assert "Going on in results/search-regularized_evolution-0-" in told_again.err
    shown = told_again.words
    assert "3 evaluations, in " in shown
    assert f"s by 1 worker, on cpu. The best: {told.data['best']} valid (%)" in shown
    assert f"{told.data['test_accuracy']:.2f}" in shown


def test_an_algorithm_s_own_work_is_no_evaluation(lab):
    algorithm = "zero_cost_search(proxy=params, pool_size=5)"
    told = lab(
        "search",
        "-a",
        algorithm,
        "--space",
        "nb201",
        "--budget",
        2,
        "--epochs",
        1,
        *NO_MODEL,
        "--json",
    )
    assert told.code == 0, told.err
    assert told.data["evaluations"] == 2


def test_chains_on_the_digits(lab, monkeypatch):
    digits = data.load_data("digits").first(40)
    monkeypatch.setattr(data, "load_data", lambda *_, **__: digits)
    told = lab("search", "--budget", "2", "--epochs", "1", "--device", "cpu", *NO_MODEL, "--json")
    assert told.code == 0, told.err
    assert get_space("chain").from_string(told.data["best"])


def test_an_interrupted_search_goes_on_and_can_be_reported(lab, mine, trained, monkeypatch):
    options = ("search", *mine, "-a", "random_search", "--budget", "4", "--epochs", "1", "--json")
    options += ("--workers", "2", "--output", "r", "--seed", "1")

    def interrupted(watcher, standing, lines=Watcher.lines):
        if standing.finished >= 2:
            raise KeyboardInterrupt
        return lines(watcher, standing)

    with monkeypatch.context() as patch:
        patch.setattr(Watcher, "lines", interrupted)
        told = lab(*options)
    assert told.code == 130
    assert "The same command goes on from here." in told.err
    (run,) = Result.open("r").runs
    assert 2 <= len(run.trace) < 4
    assert "has not come to the end" in run.warnings[0]
    whole = lab(*options)
    assert whole.code == 0, whole.err
    (run,) = Result.open("r").runs
    assert len(run.trace) == whole.data["evaluations"] == 4
    assert not run.warnings
    assert whole.data["best"] == run.trace.best()
    assert set(trained()) <= set(run.trace.texts())
    assert Path("r", "anytime_regret_seconds_mean.png").exists()
    told = lab("report", "r")
    assert told.code == 0, told.err
    page = Path("r", "report.html").read_text()
    assert "Time is real" in page
    assert "simulated" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.S)


@pytest.mark.slow  # three searches in processes; in short in test_models
def test_it_ends_with_a_model(lab, mine, trained):
    pytest.importorskip("safetensors", reason="models need safetensors")
    options = ("search", *mine, "--final-seeds", 2, "--trials", 2, "--budget", 3, "--epochs", 2)
    drawn = lab(*options, *NO_MODEL, "-o", "r", "-a", "random_search", "--json")
    assert drawn.code == 0, drawn.err
    assert drawn.data["model"] is None
    told = lab(*options, "-o", "r", "--json")
    assert told.code == 0, told.err
    model = told.data["model"]
    assert model["seeds"] == [2, 3]  # not those of the search, which are 0 and 1
    assert model["confusion_split"] == "test"
    assert len(model["test_accuracy"]) == 2
    assert model["folder"].startswith("r/models/")
    noted = json.loads(Path("r", "training.json").read_text())["training mine on my"]
    assert (noted["epochs"], noted["trials"]) == (2, 2)
    with pytest.raises(UnsafeFileError, match="run_code=True"):
        load_model(model["folder"])
    loaded = load_model(model["folder"], run_code=True)
    assert (loaded.seed, loaded.about.text) == (model["chosen_seed"], told.data["best"])
    arrays = np.load("my.npz")
    right = 100 * (loaded.predict(arrays["x_test"]) == arrays["y_test"]).mean()
    chosen = model["seeds"].index(model["chosen_seed"])
    assert right == pytest.approx(model["test_accuracy"][chosen])
    assert told.data["random_search"]["drawn"] == 3
    assert told.data["random_search"]["target"] == told.data["valid_accuracy"]
    # The same again trains nothing, and says the same.
    models_before = {f: f.stat().st_mtime_ns for f in Path(model["folder"]).glob("weights-*")}
    shown = lab(*options, "-o", "r").words
    assert "Trained anew in full with 2 seeds that the search did not use (2, 3)" in shown
    assert "of 3 random evaluations in the folder" in shown
    assert f"load_model('{model['folder']}', run_code=True).predict(images)" in shown
    assert models_before == {f: f.stat().st_mtime_ns for f in models_before}


def test_what_fails_in_training_is_told(lab, mine, tmp_path):
    picky = "        raise ValueError('no such width')\n    width = "
    picky = f"    if space.options(architecture)['learning rate'] == 0.01:\n{picky}"
    (tmp_path / "my.py").write_text(OWN.replace("    width = ", picky))
    told = lab("search", *mine, "-a", "random_search", "--budget", "6", "--epochs", "1", "-o", "r")
    assert told.code == 0, told.err
    (run,) = Result.open("r").runs
    failed = run.trace.architecture[:, 1] == 1
    assert 0 < failed.sum() < 6
    assert list(run.trace.reasons) == failed.nonzero()[0].tolist()
    for reason in run.trace.reasons.values():
        assert re.search(r"ValueError: no such width.*my\.py, line \d+, in build", reason)
    assert f"6 evaluations, of which {failed.sum()} failed, in" in told.words
    assert len(re.findall(r"Trial \d failed: .*no such width", told.err)) == failed.sum()


def test_several_objectives_and_constraints(lab, mine):
    options = ("search", *mine, "-a", "nsga2(population_size=2)", "--epochs", "1", "--budget", "4")
    options += ("--objective", "valid_macro_f1", "--objective", "peak_memory")
    narrow = 13 * 4 + 5 * 3
    options += ("--constraint", f"parameters<={narrow / 1e6}", "--evaluation-limit", "1e6")
    told = lab(*options, "-o", "r")
    assert told.code == 0, told.err
    assert "The best by valid_macro_f1: 4:" in told.words
    assert "peak_memory (MB)" in told.words
    (run,) = Result.open("r").runs
    assert [one.name for one in run.trace.objectives] == ["valid_macro_f1", "peak_memory"]
    np.testing.assert_array_equal(run.trace.violation > 0, run.trace.architecture[:, 0] == 1)


def test_a_search_that_finds_no_allowed_network_says_so(lab, mine, monkeypatch):
    def simulated(algorithm, benchmark, budget, *_):
        Path("r").mkdir()
        return run(algorithm, benchmark, budget), Path("r")

    monkeypatch.setattr(search_command, "search_watched", simulated)
    told = lab(
        "search", *mine, "--epochs", "1", "--budget", "2", "--constraint", "parameters<=1e-9"
    )
    assert told.code == 1
    assert "No network that was found keeps to parameters<=1e-09" in " ".join(told.err.split())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--objective", "test_accuracy"), "is measured on test data, which a search must not see"),
        (("--constraint", "latency=5"), "Expected a constraint such as"),
        (("--evaluation-limit", "0"), "Expected a time limit of more than 0 s"),
        (("--build", "my.py:wide"), "fails on images of shape (n, 1, 1, 12)"),
        (("--build", "my.py:bild"), "define a function 'bild', but it defines build, wide."),
        (("--build", "your.py:build"), "Cannot read your.py"),
        (("--space", "my.py"), "Name the space too. In that file: my.py:space."),
        (("--space", "chains"), "Unknown space 'chains'. Did you mean 'chain'?"),
        (("--data", "our.npz"), "There is no file our.npz."),
        (("--data", "digit"), "Unknown data set 'digit'. Did you mean 'digits'?"),
        (("--algorithm", "random"), "Did you mean 'random_search'?"),
        (("--budget", "many"), "many"),
        (("--device", "abacus"), "Expected auto, cpu, cuda"),
    ],
)
def test_what_is_wrong_is_said(lab, mine, change, words):
    told = lab("search", *mine, "--budget", "2", "--epochs", "1", *change)
    assert told.code == 1
    assert words in " ".join(told.err.split())
    assert "Traceback" not in told.err


def test_a_space_of_one_s_own_needs_networks(lab, mine):
    told = lab("search", *mine[:2], *NO_MODEL, "--data", "my.npz")
    assert told.code == 1
    assert "There are no networks of the space 'mine' here." in " ".join(told.err.split())


def test_a_budget_for_no_training_is_said(lab, mine):
    told = lab("search", *mine, "--budget", "1e-9s", "--epochs", "1")
    assert told.code == 1
    assert "did not suffice for one training" in told.err
