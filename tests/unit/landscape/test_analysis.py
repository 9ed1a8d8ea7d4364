"""Spread and effects of decisions against plain counting, and a whole study of odd tables."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from nasbench_lab.errors import QueryError
from nasbench_lab.landscape.analysis import (
    analyse,
    cost_columns,
    distribution,
    importance,
    marginal_effects,
    tolerance,
)
from nasbench_lab.landscape.landscape import local_optima, merged, survey
from nasbench_lab.registry import load_benchmark
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

NAN = math.nan
PROTEINS = "nas-bench-graph/proteins"


@pytest.fixture(scope="module")
def proteins():
    """A table in which architectures share rows."""
    return load_benchmark(PROTEINS).table


@pytest.fixture
def make(tmp_path, timed):
    """A table over the space ``toy`` with one column of given values, one per architecture or row."""

    def make(values, row_of_index=None, **changes):
        column = Column("value", "accuracy", "%", True)
        info = replace(timed.info, objective="value", report="value")
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        values = np.array(values, float)
        return Table.create(folder, info, {replace(column, **changes): values}, row_of_index)

    return make


def by_hand(table, column):
    """``(architecture, value)`` of all architectures that have one."""
    values = table.values(column)
    every = itertools.product(*map(range, table.space.n_options))
    found = [(one, values[table.row(one)]) for one in every if table.row(one) >= 0]
    return [(one, float(value)) for one, value in found if not math.isnan(value)]


# Spread


def test_distribution_counts_architectures(proteins):
    (line,) = distribution(survey(proteins), ["valid_roc_auc"]).to_dict(orient="records")
    values = np.array([value for _, value in by_hand(proteins, "valid_roc_auc")])
    assert line["architectures"] == len(values) == 5616
    assert line["rows"] == 2021
    assert line["mean"] == pytest.approx(values.mean())
    assert line["std"] == pytest.approx(values.std())
    quantiles = [line[key] for key in ("q25", "median", "q75", "q90", "q95", "q99")]
    assert quantiles == pytest.approx(np.percentile(values, [25, 50, 75, 90, 95, 99]))
    assert (line["min"], line["max"], line["best"]) == (values.min(), values.max(), values.max())
    near = values >= values.max() - 1 - 1e-9
    assert line["near_architectures"] == near.sum()
    assert line["near_share"] == pytest.approx(near.mean())
    assert line["near_rows"] == (proteins.values("valid_roc_auc") >= values.max() - 1 - 1e-9).sum()


def test_near_is_a_percentage_point_or_a_hundredth_of_the_range(make):
    values = [0.0, 100.0, 99.0, 98.9, *range(1, 9)]
    (line,) = distribution(survey(make(values)), ["value"]).to_dict(orient="records")
    assert (line["near"], line["near_architectures"]) == (1.0, 2)
    seconds = make(np.array(values) * 3, unit="s", maximize=False)
    (line,) = distribution(survey(seconds), ["value"]).to_dict(orient="records")
    assert (line["near"], line["near_architectures"], line["best"]) == (3.0, 2, 0.0)
    assert tolerance(seconds, seconds.column("value")) == 3.0


def test_cost_columns_are_those_of_the_same_training(tmp_path, timed):
    def column(name, quantity, **more):
        return Column(name, quantity, "s", False, **more)

    columns = [
        Column("a", "accuracy", "%", True, "valid", "cifar10", "12", trained_on="train"),
        column("params", "parameters"),
        column("flops", "flops", dataset="cifar10", schedule="12"),
        column("other-data", "flops", dataset="cifar100"),
        column("other-schedule", "latency", schedule="200"),
        column("pixel3", "pixel3_latency", dataset="cifar10"),
        column("time", "train_time", schedule="12", trained_on="train"),
        column("other-part", "train_time", trained_on="train+valid"),
        column("passes", "valid_time", split="valid"),
        column("loss", "loss", split="valid"),
        column("empty", "energy"),
    ]
    info = replace(timed.info, objective="a", report="a")
    values = {one: np.full(12, NAN if one.name == "empty" else 1.0) for one in columns}
    table = Table.create(tmp_path / "costs", info, values)
    assert cost_columns(table, columns[0]) == ["params", "flops", "pixel3", "time"]
    assert cost_columns(table, columns[1]) == []


# Decisions


def test_marginal_effects_by_hand(proteins):
    frame, pairs = marginal_effects(survey(proteins)), by_hand(proteins, "valid_roc_auc")
    mean = np.mean([value for _, value in pairs])
    lines = frame.to_dict(orient="records")
    assert len(lines) == 9 + 4 * 5
    for i, decision in enumerate(proteins.space.decisions):
        for j, option in enumerate(decision.options):
            line = lines.pop(0)
            assert (line["decision"], line["option"]) == (decision.name, option)
            some = [value for one, value in pairs if one[i] == j]
            assert line["architectures"] == len(some)
            assert line["mean"] == pytest.approx(np.mean(some))
            assert line["effect"] == pytest.approx(np.mean(some) - mean)
            assert line["std"] == pytest.approx(np.std(some))


def test_importance_by_hand_and_by_least_squares(proteins):
    frame, r2 = importance(survey(proteins))
    pairs = by_hand(proteins, "valid_roc_auc")
    values = np.array([value for _, value in pairs])
    for i, share in enumerate(frame["share"]):
        options = np.array([one[i] for one, _ in pairs])
        means = np.array([values[options == option].mean() for option in options])
        assert share == pytest.approx(means.var() / values.var())
    x = proteins.space.encode(np.array([one for one, _ in pairs]), "one_hot")
    residuals = values - x @ np.linalg.lstsq(x, values, rcond=None)[0]
    assert r2 == pytest.approx(1 - residuals.var() / values.var())


def test_without_interactions_the_shares_are_those_of_the_parts(make):
    parts = [(0.0, 1.0, 5.0), (0.0, 3.0), (0.0, 0.0)]
    frame, r2 = importance(survey(make([sum(p) for p in itertools.product(*parts)])))
    variances = np.array([np.var(part) for part in parts])
    assert frame["share"].tolist() == pytest.approx(variances / variances.sum())
    assert r2 == pytest.approx(1.0)


def test_over_a_full_product_the_shares_add_up(make):
    frame, r2 = importance(survey(make(np.random.default_rng(0).normal(size=12))))
    assert 0 < r2 < 1
    assert frame["share"].sum() == pytest.approx(r2)


def test_a_pure_interaction_is_nobodys_alone(make):
    values = [(b + c) % 2 for _, b, c in itertools.product(range(3), range(2), range(2))]
    frame, r2 = importance(survey(make(values)))
    assert [*frame["share"], r2] == pytest.approx([0.0] * 4, abs=1e-12)


def test_an_option_that_nobody_has(make):
    table = make(range(8), np.r_[np.arange(8), [-1] * 4])
    lines = marginal_effects(survey(table)).to_dict(orient="records")
    assert [line["architectures"] for line in lines] == [4, 4, 0, 4, 4, 4, 4]
    assert math.isnan(lines[2]["effect"])
    frame, r2 = importance(survey(table))
    assert [*frame["share"], r2] == pytest.approx([16 / 21, 4 / 21, 1 / 21, 1.0])


# All of it


def check(analysis):
    """Every table can be written and every single figure is JSON."""
    for frame in analysis.frames().values():
        assert len(frame)
        assert frame.to_csv(index=False)
    summary = analysis.summary()
    assert json.loads(json.dumps(summary))["table"] == analysis.landscape.table.name
    return summary


def test_a_study_of_the_toy_table(timed):
    analysis = analyse(timed, walks=20)
    summary = check(analysis)
    assert set(analysis.frames()) == {
        "distribution", "noise", "noise_levels", "fidelity", "marginal_effects", "importance",
        "local_optima", "fitness_distance", "autocorrelation",
    }  # fmt: skip
    assert analysis.distribution["column"].tolist() == [
        "valid_accuracy", "test_accuracy", "train_time",
    ]  # fmt: skip
    assert summary["fidelity"]["epoch"] == 2
    assert summary["walks"]["walks"] == 20
    optima = analysis.frames()["local_optima"]
    assert optima["basin"].sum() == summary["local_optima"]["ascents"] == 10
    assert optima["basin_share"].sum() == pytest.approx(1)
    best = timed.space.from_string(optima["architecture"][0])
    assert timed.query(best, "valid_accuracy") == optima["value"][0]
    assert optima["value"][0] == timed.optimum("valid_accuracy")


@pytest.mark.parametrize("maximize", [True, False])
def test_one_value_that_diverged_changes_no_local_optimum(make, maximize):
    losses = np.random.default_rng(0).random(12)
    worst = int(losses.argmin() if maximize else losses.argmax())
    found = []
    for outlier in (losses[worst], *((-1 if maximize else 1) * x for x in (1e3, 1e9, 1.7e308))):
        losses[worst] = outlier
        landscape = survey(make(losses, unit="1", maximize=maximize))
        optima = local_optima(landscape)
        near = tolerance(landscape.table, landscape.column)
        found.append((optima.rows.tolist(), optima.basins.tolist()))
        assert near < 0.1
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("unit", [1e-300, 1e-6, 1e6, 1e300])
def test_a_study_of_moves_is_the_same_in_any_unit(make, unit):
    # Means that differ in the order of their sum only: 0.1 + 0.2 + 0.3, and the same about 0.
    values = np.array([0.6, 0.1 + 0.2 + 0.3, 0.5, 0.6 - 1e-9, *np.linspace(0, 0.5, 8)])
    assert values[0] != values[1]
    found = [local_optima(survey(make(values * factor, unit="s"))) for factor in (1.0, unit)]
    assert found[0].rows.tolist() == found[1].rows.tolist()
    assert found[0].basins.tolist() == found[1].basins.tolist()
    fitness = survey(make(values * unit, unit="s")).fitness
    assert fitness[0] == fitness[1] != fitness[3]


def test_rounding_is_by_the_size_of_what_was_added_up():
    values = np.array([1e-17, 0.0, 0.5, 0.5 + 1e-16, np.nan, 1e9, -np.inf])
    sizes = np.array([0.3, 0.3, 0.5, 0.5, 0.0, 1e9, np.inf])
    expected = [0.0, 0.0, 0.5, 0.5, np.nan, 1e9, -np.inf]
    assert np.array_equal(merged(values, sizes), expected, equal_nan=True)
    # Of numbers that were not added up, the least is as good as the largest.
    assert merged(values)[0] == 1e-17
    assert len(merged(np.empty(0))) == 0


def test_a_study_of_a_part_says_what_it_cannot_mean(make):
    whole = survey(make(np.arange(12.0)))
    assert (whole.neighbours_held, whole.caveat) == (1.0, "")
    most = survey(make([NAN, *np.arange(11.0)]))
    assert 0.8 < most.neighbours_held < 0.99
    assert "are those of the part that it holds, not of the space" in most.caveat
    few = survey(make([5.0, *[NAN] * 10, 6.0]))
    assert few.neighbours_held < 0.5
    assert "say nothing of the space" in few.caveat
    for landscape in (whole, most, few):
        summary = analyse(landscape.table, walks=5).summary()
        assert summary["caveat"] == (landscape.caveat or None)
        assert summary["neighbours_held"] == landscape.neighbours_held


def test_the_same_seed_gives_the_same_study(proteins):
    first, again, other = (analyse(proteins, walks=50, seed=seed) for seed in (1, 1, 2))
    assert first.summary() == again.summary()
    assert first.summary()["walks"] != other.summary()["walks"]


def test_progress_is_told_part_by_part(timed):
    told = []
    analyse(timed, walks=5, progress=lambda *step: told.append(step))
    assert [step[:2] for step in told] == [(i, 9) for i in range(9)]
    assert told[6] == (6, 9, "local optima")


def test_another_column_and_report(proteins):
    summary = check(analyse(proteins, "latency", "valid_roc_auc", walks=50))
    assert (summary["column"], summary["report"], summary["unit"]) == (
        "latency", "valid_roc_auc", "s",
    )  # fmt: skip
    assert summary["distribution"][0]["best"] == proteins.optimum("latency")
    assert [line["column"] for line in summary["distribution"]] == [
        "latency", "valid_roc_auc", "parameters",
    ]  # fmt: skip


def test_a_report_without_values_is_left_out_unless_it_is_asked_for(make_table):
    table = make_table(test=np.full((11, 2, 3), NAN))
    assert check(analyse(table, walks=5))["report"] == "valid_accuracy"
    with pytest.raises(QueryError, match="empty"):
        analyse(table, report="test_accuracy")


@pytest.mark.parametrize("largest", [1e200, -1.7e308])
def test_values_whose_variance_overflows_are_refused(make, largest):
    with pytest.raises(QueryError, match=r"values up to 1e\+150, .* Leave such values out"):
        analyse(make([largest, *range(11)]), walks=5)


ODD = {
    "constant": [5.0] * 12,
    "one value": [NAN] * 11 + [5.0],
    "two values": [NAN] * 10 + [5.0, 6.0],
    "zeros": [0.0] * 12,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_are_studied(make, name):
    summary = check(analyse(make(ODD[name]), walks=5))
    assert summary["agreement"] is None
    assert summary["noise"] is None
    assert summary["fidelity"] is None
    assert summary["local_optima"]["to_best"] == 1.0
