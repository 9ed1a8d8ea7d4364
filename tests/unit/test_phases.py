"""Evaluations that change while the budget is spent."""

import re

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab.algorithm import Evaluation
from nasbench_lab.budget import Budget, Phase
from nasbench_lab.errors import BudgetError, ExperimentError
from nasbench_lab.experiment.toml import read_experiment, to_toml
from nasbench_lab.report import write_report
from nasbench_lab.results.result import Result

SHORT = Budget(evaluations=20, phases=(Phase(0.25, epoch=3), Phase(0.5, epoch=6), Phase()))


def test_the_epoch_follows_what_is_spent():
    trace = lab.run("random_search", "nb201-digits", SHORT, seed=0)
    assert trace.epoch.tolist() == [3] * 5 + [6] * 5 + [12] * 10
    benchmark = lab.load_benchmark("nb201-digits")
    for architecture, epoch, value in zip(
        trace.architecture.tolist(), trace.epoch.tolist(), trace.values[:, 0], strict=True
    ):
        assert benchmark.evaluate(tuple(architecture), epoch).values == (value,)
    # The same architectures as without phases: random search learns nothing.
    whole = lab.run("random_search", "nb201-digits", 20, seed=0)
    np.testing.assert_array_equal(trace.architecture, whole.architecture)


def test_the_incumbent_is_of_the_longest_training():
    trace = lab.run("random_search", "nb201-digits", SHORT, seed=0)
    scores, incumbents = trace.values[:, 0], trace.incumbents()
    for n in range(20):
        first = 0 if n < 5 else 5 if n < 10 else 10
        assert incumbents[n] == first + np.argmax(scores[first : n + 1])


@pytest.mark.parametrize("unit", ["seconds", "epochs"])
def test_any_limit_can_be_what_is_spent(unit):
    budget = Budget(**{unit: 60}, phases=(Phase(0.5, epoch=2), Phase()))
    trace = lab.run("random_search", "nb201-digits", budget, seed=1)
    spent = trace.start if unit == "seconds" else np.append(0, trace.epochs()[:-1])
    assert trace.epoch.tolist() == np.where(spent < 30, 2, 12).tolist()
    assert set(trace.epoch.tolist()) == {2, 12}


def test_what_an_algorithm_names_itself_stays():
    one = lab.run("hyperband", "nb201-digits", SHORT, seed=0)
    other = lab.run("hyperband", "nb201-digits", 20, seed=0)
    assert one.equals(other)


def test_phases_that_change_nothing_change_nothing():
    for name in ("regularized_evolution", "gp_bo"):
        budget = Budget(evaluations=30, phases=(Phase(0.3), Phase(0.7, epoch=12), Phase()))
        one = lab.run(name, "nb201-digits", budget, seed=0)
        assert one.equals(lab.run(name, "nb201-digits", 30, seed=0))


SEEN = []


class Watching(lab.SearchAlgorithm):
    """Keeps the score and the values of each result."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        SEEN.clear()

    def ask(self):
        return self.trial(self.space.sample(self.rng))

    def tell(self, trial, evaluation):
        SEEN.append((self.score(evaluation), evaluation.values))


def test_the_weights_follow_what_is_spent():
    objectives = ["valid_accuracy", "parameters"]
    benchmark = lab.TableBenchmark(lab.open_table("nb201-digits"), objective=objectives)
    phases = (Phase(0.5, weights=(1, 0)), Phase(0.75, weights=(0, 2)), Phase())
    trace = lab.run(Watching, benchmark, Budget(evaluations=12, phases=phases), seed=0)
    expected = [v[0] if i < 6 else -2 * v[1] for i, (_, v) in enumerate(SEEN)]
    assert [score for score, _ in SEEN] == pytest.approx(expected)
    # The first objective decides, whatever the weights.
    assert trace.incumbents()[-1] == np.argmax(trace.values[:, 0])


def test_a_search_follows_its_phase():
    benchmark = lab.TableBenchmark(
        lab.open_table("nb201-digits"), objective=["valid_accuracy", "parameters"]
    )
    phases = (Phase(0.5, weights=(1, 0)), Phase(weights=(0, 1)))
    budget = Budget(evaluations=200, phases=phases)
    trace = lab.run("regularized_evolution(population_size=20)", benchmark, budget, seed=0)
    sizes = trace.values[:, 1]
    assert sizes[150:].mean() < 0.5 * sizes[50:100].mean()


def test_weights_that_do_not_fit_are_refused():
    algorithm = Watching(lab.get_space("nb201"), maximize=(True, False))
    algorithm.reweigh((2.0, 1.0))
    assert algorithm.score(Evaluation((3.0, 4.0), 1.0)) == 2.0
    with pytest.raises(lab.NasbenchLabError, match="one weight for each of 2 objectives"):
        algorithm.reweigh((1.0,))


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ((Phase(0.5, epoch=5),), "the last at 1, but they end at 0.5"),
        ((Phase(0.5), Phase(0.5), Phase()), "one after the other"),
        ((Phase(0.7), Phase(0.5), Phase()), "one after the other"),
    ],
)
def test_phases_follow_each_other_to_the_end(phases, said):
    with pytest.raises(BudgetError, match=said):
        Budget(evaluations=10, phases=phases)


@pytest.mark.parametrize(
    "values",
    [
        *({"until": until} for until in (0, -1, 1.5, float("nan"), True, "half")),
        *({"epoch": epoch} for epoch in (0, -1, 2.5, True, "3")),
        *({"weights": weights} for weights in ((), "ab", (float("nan"),), 3, ("a",))),
    ],
)
def test_a_phase_of_impossible_values_is_refused(values):
    with pytest.raises(BudgetError, match="in a phase of the budget but got"):
        Phase(**values)


def test_what_a_benchmark_does_not_know_is_refused_before_the_search():
    for name, phase, said in (
        ("nb201-digits", Phase(epoch=13), "cannot evaluate after 13 epochs.*It knows 1, 2"),
        ("nas-bench-graph/cora", Phase(epoch=3), "the end of training only"),
        ("nb201-digits", Phase(weights=(1, 2)), "1 objective, but a phase .* 2 weights"),
    ):
        with pytest.raises(BudgetError, match=said):
            lab.run("random_search", name, Budget(evaluations=5, phases=(phase,)))


FILE = """
budget = 20
seeds = 2
algorithms = ["random_search", "local_search"]
benchmarks = ["nb201-digits"]

[[phases]]
until = 0.25
epoch = 3

[[phases]]
until = 0.5
epoch = 6

[[phases]]
"""


def test_an_experiment_file_has_phases_and_a_result_keeps_them(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(FILE)
    experiment = read_experiment(file)
    assert experiment.budget == SHORT
    again = tmp_path / "again.toml"
    again.write_text(to_toml(experiment))
    assert read_experiment(again) == experiment
    names = ["random_search", "local_search"]
    result = lab.compare(
        names, "nb201-digits", budget=SHORT, seeds=2, n_jobs=1, folder=tmp_path / "result"
    )
    kept = Result.open(tmp_path / "result")
    assert kept.experiment == result.experiment
    assert kept.experiment.budget == SHORT
    assert kept.runs[0].trace.settings["budget"] == SHORT.describe()
    plain = lab.compare(names, "nb201-digits", budget=20, seeds=2, n_jobs=1)
    assert any("phases" in line for line in kept.experiment.differences(plain.experiment))
    page = write_report(kept, tmp_path / "report.html").read_text()
    text = re.sub(r"\s+", " ", page)
    assert "until 25% of it are spent, after 3 epochs; then until 50%" in text


def test_numbers_of_numpy_are_kept_as_plain_ones(tmp_path):
    phases = Phase(np.float64(0.5), epoch=np.int64(3), weights=[np.float64(1)]), Phase()
    budget = Budget(evaluations=10, phases=phases)
    lab.compare(
        ["random_search"], "nb201-digits", budget=budget, seeds=1, n_jobs=1, folder=tmp_path
    )
    assert Result.open(tmp_path).experiment.budget == budget


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("until = 2.0", "a share until above 0 and at most 1"),
        ("until = 0.9", "the last at 1"),
        ("epoch = 99", "cannot evaluate after 99 epochs"),
        ("epoch = 'all'", "Expected a whole number"),
        ("epochs = 3", "epoch"),
    ],
)
def test_mistakes_in_phases_name_their_place(tmp_path, line, said):
    file = tmp_path / "mine.toml"
    file.write_text(FILE + line)
    with pytest.raises(ExperimentError, match=said) as error:
        read_experiment(file)
    assert "phases" in str(error.value)
