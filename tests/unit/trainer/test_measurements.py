"""Live training answers what tables answer, in the same words: objectives, constraints, reports."""

import json
import math

import numpy as np
import pytest

import nasbench_lab as lab
from nasbench_lab import stats
from nasbench_lab.errors import BudgetError, QueryError, TrainingError
from nasbench_lab.tables.columns import Query
from nasbench_lab.testing import check_benchmark

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from energy_counter import Counter
from small_data import maker, short, small_digits, trainings_done

from nasbench_lab.trainer import benchmark as module
from nasbench_lab.trainer import hardware
from nasbench_lab.trainer.entries import read_entry, write_entry
from nasbench_lab.trainer.measurements import METRICS
from nasbench_lab.trainer.training import _Run

pytestmark = pytest.mark.long

CELL, OTHER = (1, 3, 0, 1, 0, 2), (3, 3, 3, 3, 3, 3)
DATA = small_digits()
BOTH = ["valid_macro_f1", "parameters"]


@pytest.fixture
def make(tmp_path):
    return maker(tmp_path / "kept")


@pytest.fixture
def trained(monkeypatch):
    return trainings_done(monkeypatch, module)


def test_the_contract_with_several_objectives_and_constraints(make):
    bounds = ["parameters<=0.006", "valid_accuracy>=5"]
    check_benchmark(make(short(epochs=1), objective=BOTH, constraints=bounds), n=3)


def test_all_that_is_measured_can_be_seen(make):
    benchmark = make(seeds=(0, 1))
    names = [name for name, one in benchmark.columns.columns.items() if not one.on_test_data]
    names.remove("train_energy")
    assert {f"valid_{one}" for one in METRICS[:4]} | {"latency", "peak_memory", "flops"} <= {*names}
    seen = make(seeds=(0, 1), objective=names)
    training = seen.training(CELL)
    for epoch in (1, 3):
        values = dict(zip(names, seen.evaluate(CELL, epoch).values, strict=True))
        for name, curve in {**training.curves, **training.metrics}.items():
            if name in values:
                assert values[name] == curve[:, epoch - 1].mean()
        assert (values["parameters"], values["flops"]) == (training.parameters, training.flops)
        assert min(values["latency"], values["peak_memory"]) > 0
    units = {one.name: (one.unit, one.maximize) for one in seen.objectives}
    assert units["valid_macro_f1"] == ("%", True)
    assert units["valid_loss"] == ("1", False)
    assert (units["latency"], units["peak_memory"]) == (("ms", False), ("MB", False))
    about = seen.columns.columns["latency"].description
    assert "over a single image" in about
    assert hardware.hardware(torch.device("cpu")) in about


def test_words_are_those_of_tables(make):
    table = lab.load_benchmark("nb201-digits").table
    for name, column in table.columns.items():
        if name in make().columns.columns:
            mine = make().columns.columns[name]
            assert (mine.quantity, mine.unit, mine.maximize, mine.split) == (
                (column.quantity, column.unit, column.maximize, column.split)
            )
            assert mine.description == column.description
    asked = make(objective=Query("macro_f1", split="valid", epoch=2), report="test_macro_recall")
    assert [one.name for one in asked.objectives] == ["valid_macro_f1"]
    assert (asked.epochs, asked.fidelities) == (2, (1, 2))
    training = asked.training(CELL)
    assert asked.evaluate(CELL).values == (training.metrics["valid_macro_f1"][0, 1],)
    assert asked.evaluate(CELL, 1).values == (training.metrics["valid_macro_f1"][0, 0],)
    assert asked.report_value(CELL) == training.metrics["test_macro_recall"][0, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "test_macro_f1"}, "measured on test data, which a search must not see"),
        ({"constraints": "test_accuracy>=5"}, "measured on test data, which a search must not see"),
        ({"objective": ["parameters", "test_loss"]}, "measured on test data"),
        (
            {"objective": "macro_f1"},
            "has several columns for macro_f1, dataset=digits: valid_macro_f1",
        ),
        ({"objective": "valid_f1"}, "Did you mean 'valid_macro_f1'?"),
        ({"objective": BOTH[:1] * 2}, "one was given twice"),
        ({"objective": Query("valid_loss", epoch=4)}, "has epochs 1 to 3, not epoch 4"),
        ({"objective": Query("parameters", epoch=1)}, "has one value, not epoch 1"),
        ({"objective": Query("valid_loss", trial="random")}, "the mean over its seeds"),
        ({"constraints": "parameters<0.5"}, "Expected a constraint such as 'parameters<=0.5'"),
        ({"report": "test_f2"}, "has no column for test_f2"),
    ],
)
def test_what_cannot_be_asked_is_refused(make, options, words):
    with pytest.raises(QueryError) as refused:
        make(**options)
    assert words in str(refused.value)


def test_constraints_are_kept_as_on_tables(make):
    sizes = {one: make().training(one).parameters for one in (CELL, OTHER)}
    assert sizes[OTHER] > sizes[CELL]
    bound = sizes[CELL]
    benchmark = make(constraints=[f"parameters<={bound}", "valid_accuracy>=0"])
    assert math.isnan(benchmark.evaluate(CELL, 1).violation)  # the accuracy is not known yet
    assert benchmark.evaluate(CELL).violation == 0
    excess = sizes[OTHER] / bound - 1
    for epoch in (1, 3):
        assert benchmark.evaluate(OTHER, epoch).violation == pytest.approx(excess)
    assert benchmark.entry(OTHER)[1] == pytest.approx(excess)
    assert math.isnan(benchmark.entry(CELL)[1])
    assert make(constraints=f"parameters<={bound}").entry(CELL)[1] == 0
    never = make(constraints="valid_accuracy>=101").evaluate(CELL).violation
    value = make().evaluate(CELL).values[0]
    assert never == pytest.approx((101 - value) / 101)
    assert math.isnan(make(constraints="latency<=1e9").entry(CELL)[1])
    assert make(constraints="latency<=1e9").evaluate(CELL, 1).violation == 0


def test_a_training_that_diverges_has_no_value_at_all(make):
    wild = short(lr=1e30, momentum=0.0)
    evaluation = make(wild, objective=["parameters", "valid_macro_f1"]).evaluate(OTHER)
    assert np.isnan(evaluation.values).all()


def as_of_before(file):
    """Takes from a kept training what earlier versions did not measure."""
    content = json.loads(file.read_text())
    of = content["of"]
    entry = read_entry(file, of)
    assert len(entry["curves"]) == 6
    assert len(entry.pop("metrics")) == 8
    write_entry(file, of, entry)


def test_trainings_of_before_are_read_and_repeated_only_for_what_they_lack(make, trained, tmp_path):
    before = make().evaluate(CELL)
    (file,) = (tmp_path / "kept").glob("*.json")
    as_of_before(file)
    assert make().evaluate(CELL) == before
    assert make(objective=["valid_loss", "parameters"], report="valid_accuracy").evaluate(CELL)
    assert trained == [(0, 3)]
    seen = make(objective=["valid_accuracy", "valid_macro_f1"])
    assert seen.evaluate(CELL, 1).values[1] > 0
    assert trained == [(0, 3), (0, 3)]  # what was known of all epochs stays known
    assert make().evaluate(CELL) == before
    assert seen.evaluate(CELL).values[0] == before.values[0]
    assert len(trained) == 2


def test_checkpoints_of_before_are_gone_on_from_unless_something_would_lack(
    make, trained, monkeypatch
):
    save = _Run._save

    def without(run, path):
        run.metrics = None
        save(run, path)

    with monkeypatch.context() as patch:
        patch.setattr(_Run, "_save", without)
        make().evaluate(CELL, 1)
        make(seeds=(1,)).evaluate(CELL, 1)
    training = make().training(CELL)
    assert trained == [(0, 1), (0, 1), (1, 3)]
    assert training.metrics is None
    whole = make(seeds=(1,), report="test_macro_f1")
    assert whole.report_value(CELL) == whole.training(CELL).metrics["test_macro_f1"][0, 2]
    assert trained[3:] == [(0, 3)]


def test_networks_are_measured_once_on_a_machine(make, monkeypatch, trained):
    measured = []

    def counting(*what):
        measured.append(what[1])
        return {"latency": 2.0, "peak_memory": 3.0}

    monkeypatch.setattr(module, "measure_network", counting)
    options = {"objective": ["valid_accuracy", "latency"], "constraints": "peak_memory<=4"}
    assert make(**options).evaluate(CELL).values[1] == 2.0
    assert make(**options).evaluate(CELL, 1).values[1] == 2.0
    make().evaluate(CELL)
    assert len(measured) == 1
    monkeypatch.setattr(module, "hardware", lambda device: "another machine")
    assert make(**options).evaluate(CELL).violation == 0
    assert len(measured) == 2
    assert trained == [(0, 3)]


def test_a_damaged_measurement_is_repeated(make, tmp_path):
    make(objective=["valid_accuracy", "latency"]).evaluate(CELL)
    (file,) = (tmp_path / "kept").glob("*-*-*.json")
    file.write_text(file.read_text().replace("latency", "latencie"))
    assert make(objective=["valid_accuracy", "latency"]).evaluate(CELL).values[1] > 0


def test_energy_is_that_of_all_epochs_wherever_they_were_trained(make, monkeypatch, trained):
    Counter(0.5, 8.0, 0.5, 6.0, 4.0, 1.0).install(monkeypatch)
    asked = {"objective": ["valid_accuracy", "train_energy"], "seeds": (0, 1)}
    make(**asked)  # looks whether there is a counter, as each training does
    assert make(seeds=(0, 1)).training(CELL, 1).energy is None
    assert trained == [(0, 1)]
    benchmark = make(**asked)
    assert benchmark.evaluate(CELL, 1).values[1] == 6.0 / 2
    assert trained == [(0, 1), (0, 1)]
    assert make(**asked).evaluate(CELL).values[1] == (6.0 + 1.0 + 1.0) / 2
    assert trained == [(0, 1), (0, 1), (1, 3)]
    # Whoever does not ask for it goes on without.
    assert make(seeds=(0, 1)).training(CELL).energy.tolist() == [6.0, 1.0, 1.0]


def test_energy_that_is_not_measured_is_no_value(make, monkeypatch):
    Counter(there=False).install(monkeypatch)
    for asked in ("objective", "report", "constraints"):
        what = "train_energy<=5" if asked == "constraints" else "train_energy"
        with pytest.raises(TrainingError, match="not measured"):
            make(**{asked: what})
    Counter(0.0).install(monkeypatch)
    with pytest.raises(TrainingError, match="less time than the machine's counter needs"):
        make(objective="train_energy").evaluate(CELL)


def test_a_search_for_several_objectives_finds_a_front(make):
    options = {"objective": BOTH, "constraints": "parameters<=0.006", "report": "test_macro_f1"}
    benchmark = make(short(epochs=1), **options)
    names = ["nsga2(population_size=3)", "random_search"]
    result = lab.compare(names, benchmark, budget=6, seeds=2, n_jobs=1)
    frame = stats.table_frame(result, "hypervolume")
    assert np.isfinite(frame["mean"]).all()
    assert result.experiment.benchmarks[0].report.metric == "test_macro_f1"
    for run in result.runs:
        trace = run.trace
        assert trace.values.shape == (6, 2)
        kept = trace.violation == 0
        np.testing.assert_array_equal(kept, trace.values[:, 1] <= 0.006)
        incumbents = set(trace.incumbents().tolist()) - {-1}
        assert all(kept[position] for position in incumbents)


def in_phases(make, **options):
    phases = (
        lab.Phase(0.5, epoch=1, weights=(1.0, 0.0)),
        lab.Phase(epoch=2, weights=(1.0, -1000.0)),
    )
    benchmark = make(short(epochs=2), objective=BOTH, constraints="parameters<=0.006")
    budget = lab.Budget(evaluations=6, phases=phases)
    return lab.run("regularized_evolution(population_size=3)", benchmark, budget, **options)


def test_evaluation_in_phases(make):
    assert in_phases(make).epoch.tolist() == [1, 1, 1, 2, 2, 2]
    budget = lab.Budget(6, phases=(lab.Phase(epoch=3),))
    with pytest.raises(BudgetError, match="cannot evaluate after 3 epochs"):
        lab.run("random_search", make(short(epochs=2)), budget)


@pytest.mark.slow  # the short forms are the test above, and that of the command search
def test_a_live_search_in_phases_is_the_simulated_one(make):
    simulated, live = in_phases(make), in_phases(make, executor="processes")
    for column in ("architecture", "values", "epoch", "violation", "row", "status"):
        np.testing.assert_array_equal(getattr(live, column), getattr(simulated, column))
