"""``compare`` and ``plot`` with workers, epochs, several objectives and constraints."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from nasbench_lab.figures import anytime_figure
from nasbench_lab.results.result import Result
from nasbench_lab.spaces import get_space
from nasbench_lab.workers import Workers

pytestmark = pytest.mark.long

DIGITS = "nb201-digits"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Calls a command that leaves ``r`` when it is first asked for; later, copies what it left."""
    outcomes, kept = {}, tmp_path_factory.mktemp("once")

    def call(lab, *arguments):
        folder = kept / str(len(outcomes))
        if arguments not in outcomes:
            outcomes[arguments] = lab(*arguments), folder
            shutil.copytree("r", folder)
        outcome, folder = outcomes[arguments]
        shutil.copytree(folder, "r", dirs_exist_ok=True)
        return outcome

    return call


@pytest.fixture
def scheduled(lab, once):
    """Seven simulated seconds of ASHA and random search on unreliable workers."""
    return once(
        lab,
        *("compare", "-b", DIGITS, "-a", "random_search", "-a", "asha(eta=2)"),
        *("--clock", "resume", "--workers", 3, "--synchronous", "--fail", 0.2, "--straggle", 0.1),
        *("--constraint", "parameters<=0.03", "--constraint", "flops<=3"),
        *("--budget", "7s", "--seeds", 2, "--jobs", 1, "-o", "r", "--json"),
    )


@pytest.fixture
def two_objectives(lab, once):
    return once(
        lab,
        *("compare", "-b", DIGITS, "-a", "random_search", "-a", "gp_bo(weights=(1, 50))"),
        *("--objective", "valid_accuracy", "--objective", "parameters"),
        *("--budget", 15, "--seeds", 2, "--jobs", 1, "-o", "r"),
    )


def test_what_workers_are_like_reaches_the_runs(scheduled):
    assert Path(scheduled.data["figures"][0]).name == "anytime_regret_seconds_mean.png"
    experiment = Result.open("r").experiment
    assert experiment.workers == Workers(3, synchronous=True, fail=0.2, straggle=0.1)
    (benchmark,) = experiment.benchmarks
    assert list(map(str, benchmark.constraints)) == ["parameters<=0.03", "flops<=3.0"]
    assert benchmark.clock == "resume"
    result = Result.open("r")
    assert all(run.trace.cut_off is not None for run in result.runs)
    assert any((run.trace.since > 0).any() for run in result.runs)


def test_plot_draws_the_schedule_of_a_seed(lab, scheduled):
    done = lab("plot", "r", "--schedule")
    assert done.words == "Figure: r/schedule.png, .svg, .pdf, .csv"
    assert lab("plot", "r", "--schedule", "--seed", 1, "-o", "f", "--json").data == {
        "figures": [f"f/schedule_1.{ending}" for ending in ("png", "svg", "pdf", "csv")]
    }
    assert "seed 1" in Path("f/schedule_1.svg").read_text()
    assert "give --schedule" in lab("plot", "r", "--seed", 1).err
    assert "no metric" in lab("plot", "r", "--schedule", "--metric", "test").err
    outcome = lab("plot", "r", "--schedule", "--seed", 5)
    assert outcome.code == 1
    assert "no runs of seed 5 to plot. Seeds: 0, 1." in outcome.err


def test_a_pareto_front_needs_several_objectives(lab, scheduled):
    for arguments in (("--pareto",), ("--metric", "hypervolume")):
        outcome = lab("plot", "r", *arguments)
        assert outcome.code == 1
        assert "one objective, valid_accuracy; a Pareto front needs several" in outcome.err
    outcome = lab("compare", "-b", DIGITS, "--metric", "hypervolume", "--seeds", 1, "-o", "s")
    assert outcome.code == 1
    assert "needs several" in outcome.err
    assert not Path("s").exists()


def test_along_epochs(lab, scheduled):
    outcome = lab("plot", "r", "--axis", "epochs", "--json")
    assert Path(outcome.data["figures"][0]).name == "anytime_regret_epochs_mean.png"
    assert ">epochs<" in Path("r/anytime_regret_epochs_mean.svg").read_text()


def test_a_budget_in_epochs_draws_along_epochs(lab, undrawn):
    outcome = lab(
        *("compare", "-b", DIGITS, "-a", "hyperband", "--budget", "120epochs"),
        *("--clock", "resume", "--seeds", 2, "--jobs", 1, "-o", "r", "--json"),
    )
    assert Path(outcome.data["figures"][0]).name == "anytime_regret_epochs_mean.png"
    for run in Result.open("r").runs:
        assert run.trace.epochs()[-1] <= 120 < run.trace.epochs()[-1] + 12


def test_several_objectives_are_told_with_their_hypervolume(lab, two_objectives):
    assert two_objectives.code == 0, two_objectives.err
    for words in ("hypervolume", "test regret", "share of that of the table's exact Pareto front"):
        assert words in two_objectives.words
    assert "top 10" not in two_objectives.words
    assert Path("r/anytime_objectives_evaluations_mean.png").exists()
    result = Result.open("r")
    summary = result.summary()
    assert summary["hypervolume"].between(0.3, 1).all()
    assert (summary["hypervolume_low"] <= summary["hypervolume"]).all()
    assert result.experiment.algorithms[1].algorithm == "gp_bo(weights=(1, 50))"
    assert lab("plot", "r", "--pareto").words == "Figure: r/pareto.png, .svg, .pdf, .csv"
    assert "Pareto front of the table" in Path("r/pareto.svg").read_text()
    assert lab("plot", "r", "--metric", "hypervolume", "--json").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--constraint", "parameters"), "Expected a constraint such as 'parameters<=0.5'"),
        (("--constraint", "parameters<=0"), "keeps to parameters<=0.0"),
        (("--objective", "test_accuracy"), "test data, which a search must not see"),
        (("--objective", "latency"), "no column for latency"),
        (("--workers", "0"), "workers"),
        (("--fail", "1.5"), "fail"),
        (("-a", "nsga2(weights=(1,))"), "Expected no weights"),
        (("--objective", "flops", "--objective", "flops"), "given twice"),
        (("-b", "nas-bench-graph/cora", "--axis", "epochs"), "cannot be shown against epochs"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(lab, arguments, words):
    table = () if "-b" in arguments else ("-b", "nb201-digits")
    outcome = lab("compare", "-a", "random_search", *table, *arguments, "--seeds", 1, "-o", "r")
    assert outcome.code != 0
    assert words in " ".join((outcome.err + outcome.out).split())
    assert not Path("r").exists()


def test_every_algorithm_is_listed_with_its_hyperparameters(lab):
    rows = {row["algorithm"]: row for row in json.loads(lab("list", "algorithms", "--json").out)}
    assert rows["asha"]["hyperparameters"]["eta"] == 3
    assert rows["genetic_algorithm"]["hyperparameters"]["crossover"] == "uniform"
    assert "fidelities" not in rows["bohb"]["hyperparameters"]


# Trainings that differ, and long ones


@pytest.fixture
def on_real_values(lab, once):
    return once(
        lab,
        *("compare", "-a", "random_search", "-a", "regularized_evolution", "--budget", "30"),
        *("--seeds", 3, "--jobs", 1, "-o", "r"),
    )


def test_the_default_comparison_names_what_was_seen_and_what_it_is_worth(on_real_values):
    assert on_real_values.code == 0, on_real_values.err
    for words in (
        "nas-bench-201-final/cifar10, 3 runs of 30 evaluations",
        "mean regret",
        "seen regret",
        "In mean regret",
        "a search sees one training of an architecture",
    ):
        assert words in on_real_values.words
    assert "test regret" not in on_real_values.words
    result = Result.open("r")
    days = sum(float(run.trace.cost.sum()) for run in result.runs) / 86_400
    assert f"Simulated {days:.3g} GPU-days of training in " in on_real_values.words
    left, right = anytime_figure(result, ["seen_regret", "test_regret"]).axes
    assert "What the search saw: validation accuracy of one" in left.get_title(loc="left")
    assert "What it is worth: mean validation accuracy" in right.get_title(loc="left")


def test_what_was_seen_is_the_value_of_one_training(on_real_values):
    result = Result.open("r")
    summary = result.summary()
    benchmark = result.benchmark("nas-bench-201-final/cifar10")
    trials = benchmark.table.trials("cifar10_valid_accuracy")
    for line in summary.to_dict(orient="records"):
        regrets = []
        for run in result.runs:
            if run.algorithm == line["algorithm"]:
                regrets.append(np.nanmax(trials) - np.max(run.trace.values[:, 0]))
        assert line["seen_regret"] == pytest.approx(np.mean(regrets))
        assert line["seen_regret"] != line["test_regret"]


def test_an_axis_of_days_has_marks_in_days(lab, on_real_values):
    figure = anytime_figure(Result.open("r"), axis="seconds")
    figure.draw_without_rendering()
    (panel,) = figure.axes
    assert panel.get_xlabel() == "simulated time"
    marks = [label.get_text() for label in panel.get_xticklabels()]
    assert marks
    assert all(re.fullmatch(r"[\d.]+[hd]", mark) for mark in marks)


def test_commands_about_a_table_take_a_task_too(lab):
    best = lab("best", "nas-bench-201-final/cifar100", "--top", 1, "--json").data[0]
    assert best["cifar100_valid_accuracy"] == pytest.approx(73.4933, abs=1e-3)
    described = lab("describe", "nas-bench-201-final/cifar100")
    assert "Searches see one training of cifar10_valid_accuracy" in described.words
    assert "reported in the mean cifar10_valid_accuracy" in described.words
    assert "Did you mean 'cifar100'" in lab("best", "nas-bench-201-final/cifar_100").err


def test_the_report_says_that_a_search_sees_one_training(lab, on_real_values):
    assert lab("report", "r").code == 0
    page = " ".join(Path("r/report.html").read_text().split())
    assert "one training, drawn at random at each evaluation" in page
    assert "judged by the mean cifar10_valid_accuracy" in page


def test_what_is_true_of_several_benchmarks_is_said_once(lab, undrawn):
    told = lab(
        *("compare", "-b", "nas-bench-201-final/cifar10", "-b", "nas-bench-201-final/cifar100"),
        *("-a", "random_search", "--budget", 10, "--seeds", 2, "--jobs", 1),
    )
    assert told.code == 0, told.err
    assert told.words.count("a search sees one training") == 1
    assert "Note: nas-bench-201-final/cifar10, nas-bench-201-final/cifar100: a search" in told.words


@pytest.fixture
def signals(tmp_path, monkeypatch):
    """One's own data, and a folder of trainings of its own."""
    pytest.importorskip("torch", reason="training needs PyTorch")
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    labels = np.arange(40) % 2
    np.savez(tmp_path / "my.npz", x_train=labels[:, None] + np.eye(40), y_train=labels)
    return ("--data", "my.npz", "--epochs", 1, "--device", "cpu", "--jobs", 1, "-o", "r")


def test_real_training_is_compared_and_its_cost_told_before(lab, signals):
    told = lab(
        *("compare", "--train", "chain-signals", "-a", "random_search", "-a", "local_search"),
        *("--budget", 2, "--seeds", 2, *signals, "--json"),
    )
    assert told.code == 0, told.err
    said = " ".join(told.err.split())
    assert "Warning: training chain-signals on my trains: at most 8 trainings, about" in said
    result = Result.open("r")
    assert result.benchmarks == ["training chain-signals on my"]
    space = get_space("chain-signals")
    trained = {
        json.loads(file.read_text())["architecture"]
        for file in Path("data", "trainings").glob("*.json")
    }
    evaluated = {
        space.to_string(space.canonical(tuple(one)))
        for run in result.runs
        for one in run.trace.architecture.tolist()
    }
    assert evaluated <= trained
    assert len(trained) <= len(evaluated) + 3  # those that were measured before
    told = lab("report", "r")
    assert told.code == 0, told.err


def test_real_training_is_compared_by_several_objectives(lab, signals):
    told = lab(
        *("compare", "--train", "chain-signals", "-a", "nsga2(population_size=2)"),
        *("--objective", "valid_macro_f1", "--objective", "parameters"),
        *("--constraint", "parameters<=0.1", "--budget", 4, "--seeds", 1, *signals, "--json"),
    )
    assert told.code == 0, told.err
    (run,) = Result.open("r").runs
    assert [one.name for one in run.trace.objectives] == ["valid_macro_f1", "parameters"]
    np.testing.assert_array_equal(run.trace.violation == 0, run.trace.values[:, 1] <= 0.1)


def test_objectives_of_which_no_trained_network_keeps_to_the_constraint(lab, signals):
    told = lab(
        *("compare", "--train", "chain-signals", "-a", "nsga2(population_size=2)"),
        *("--objective", "valid_accuracy", "--objective", "parameters"),
        *("--constraint", "parameters<=1e-9", "--budget", 2, "--seeds", 1, *signals),
    )
    assert told.code == 1
    assert "keeps to parameters<=1e-09 and has values of all of" in " ".join(told.err.split())
    (run,) = Result.open("r").runs  # it is kept
    assert (run.trace.violation > 0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--data", "digits2"), "Name their space too: --train chain."),
        (("--trials", 2), "Name their space too: --train chain."),
        (("--train", "chains"), "Unknown space 'chains'. Did you mean 'chain'?"),
        (("--train", "chain", "--missing", "fail"), "--missing is about tables"),
    ],
)
def test_options_that_do_not_go_together(lab, options, words):
    pytest.importorskip("torch", reason="training needs PyTorch")
    told = lab("compare", *options, "--budget", 2, "--seeds", 1)
    assert told.code == 1
    assert words in " ".join(told.err.split())
