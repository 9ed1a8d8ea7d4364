"""The study of predictors on a table, and its command."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from figure_checks import nothing_overlaps
from scipy.stats import kendalltau, spearmanr
from sklearn.linear_model import RidgeCV

from nasbench_lab.cli.predict import NAMES
from nasbench_lab.errors import MissingPackageError, QueryError, UnknownNameError, UnsuitedError
from nasbench_lab.figures.predictors import predictors_figure
from nasbench_lab.landscape.predictors import METRICS, study_predictors
from nasbench_lab.predictors import PREDICTORS, Predictor
from nasbench_lab.registry import table_folder
from nasbench_lab.spaces import Decision
from nasbench_lab.stats.predictions import prediction_frame, prediction_lines
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.proxies import proxy_columns
from nasbench_lab.tables.table import Table

EPOCHS = (1, 2, 4, 8, 16)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Errors, less of which is better, that three decisions add up to; curves and a proxy."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    decisions = tuple(Decision(name, range(5)) for name in "abc")
    options = np.indices((5, 5, 5)).reshape(3, -1).T
    rng = np.random.default_rng(0)
    error = 40.0 - options @ [4.0, 2.0, 1.0] + rng.normal(scale=0.5, size=125)
    curves = error[:, None] + 30.0 / np.array(EPOCHS) + rng.normal(scale=0.2, size=(125, 5))
    curves[:, -1] = error
    curves[7] = np.nan  # a training that failed
    columns = {
        Column("valid_error", "error", "%", False, "valid", epochs=EPOCHS): curves,
        Column("latency", "latency", "ms", False): options.sum(axis=1) + 1.0,
    }
    scores, seconds = proxy_columns("snip", "toy", 0, "four images")
    columns |= {scores: -error, seconds: np.full(125, 0.25)}
    info = TableInfo("toy", "own", "", "", "", "valid_error", "valid_error", decisions=decisions)
    return Table.create(table_folder("toy"), info, columns)


class Constant(Predictor):
    def _fit(self, architectures, values, columns):
        pass

    def _predict(self, architectures, columns):
        return np.zeros(len(architectures)), np.zeros(len(architectures))


def test_numbers_are_those_of_scipy_and_a_loop(table):
    study = study_predictors(
        table, predictors={"mine": ("ridge", {})}, sizes=[30, 10], seeds=3, test=40, top=5
    )
    frame = study.frame.set_index(["architectures", "seed"])
    assert list(study.frame["architectures"]) == [10] * 3 + [30] * 3
    values, rows = table.values("valid_error"), np.delete(np.arange(125), 7)
    for n in (10, 30):
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(rows)
            train, new = order[:n], order[30:70]
            features = table.space.encode(table.architectures)
            model = RidgeCV(np.geomspace(1e-3, 1e3, 13))
            y = values[train]
            model.fit(features[train], (y - y.mean()) / y.std())
            guess, truth = model.predict(features[new]), values[new]
            line = frame.loc[(n, seed)]
            assert line["kendall"] == pytest.approx(kendalltau(guess, truth).statistic)
            assert line["spearman"] == pytest.approx(spearmanr(guess, truth).statistic)
            least = sorted(truth)[:5]
            picked = [truth[i] for i in np.argsort(guess, kind="stable")[:5]]
            assert line["precision"] == np.mean([value in least for value in picked])
            assert line["regret"] == pytest.approx(truth[np.argmin(guess)] - truth.min())
    assert (study.frame[["fit_s", "query_ms"]] > 0).all().all()


class Remembers(Constant):
    """Keeps the values that it learned."""

    learned: ClassVar[list] = []

    def fit(self, architectures, values, columns=None):
        self.learned.append((architectures, values))
        super().fit(architectures, values, columns)


def test_one_trial_of_each_may_be_learned(table, tmp_path):
    options = np.indices((5, 5, 5)).reshape(3, -1).T
    trials = options.sum(axis=1)[:, None] + [0.0, 100.0, np.nan]
    trials[:60, 2] = trials[:60, 0] + 200.0
    column = Column("valid_error", "error", "%", False, "valid", trials=(1, 2, 3))
    noisy = Table.create(tmp_path / "noisy", table.info, {column: trials[:, :, None]})
    Remembers.learned.clear()
    study_predictors(
        noisy, None, {"x": (Remembers, {})}, sizes=[50], seeds=2, test=20, top=2, one_trial=True
    )
    _, *fits = Remembers.learned  # the first is not measured
    chosen = [values - architectures.sum(axis=1) for architectures, values in fits]
    assert len(fits) == 2
    for one in chosen:
        assert set(one.tolist()) == {0.0, 100.0, 200.0}
    assert not np.array_equal(*chosen)


def test_what_predicts_nothing_is_worth_nothing(table):
    study = study_predictors(
        table, predictors={"none": (Constant, {})}, sizes=[10], seeds=100, test=60, top=6
    )
    means = prediction_frame(study.frame, list(METRICS)).iloc[0]
    assert means["kendall"] == means["spearman"] == 0
    # By chance, 6 of 60 are right; 0.05 is 4 standard errors of 100 seeds.
    assert means["precision"] == pytest.approx(0.1, abs=0.05)
    assert means["seeds"] == 100


def test_all_predictors_that_can_learn_take_part(table):
    study = study_predictors(table, "latency", sizes=[12], seeds=1, test=20, top=3)
    shown = set(study.frame["predictor"])
    assert shown | set(study.left_out) == set(PREDICTORS)
    assert {"random_forest", "gp", "zero_cost"} <= shown
    assert "no early epochs" in study.left_out["learning_curve"]
    assert "gcn" in study.left_out


def test_curves_and_proxies_tell_more_than_architectures(table):
    chosen = {name: (name, {}) for name in ("learning_curve", "zero_cost", "random_forest")}
    study = study_predictors(table, predictors=chosen, sizes=[10], seeds=3, test=60, early=3)
    kendall = study.frame.groupby("predictor")["kendall"].mean()
    assert kendall["learning_curve"] > 0.8
    assert kendall["zero_cost"] > kendall["random_forest"] + 0.05


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"sizes": [124]}, QueryError, "numbers of architectures from 1 to 123"),
        ({"sizes": [0]}, QueryError, "numbers of architectures from 1 to 123"),
        ({"sizes": [120]}, QueryError, "at least 11 for test but got 4"),
        ({"sizes": [10], "seeds": 0}, QueryError, "at least 1 for seeds"),
        ({"sizes": [10], "early": 5}, QueryError, "fewer early epochs than the 5"),
        ({"predictors": {"x": ("gcn", {})}}, (UnsuitedError, MissingPackageError), "needs|Torch"),
        ({"predictors": {"x": ("tree", {})}}, UnknownNameError, "Unknown predictor"),
        ({"objective": "accuracy"}, QueryError, "accuracy"),
    ],
)
def test_impossible_studies_are_refused(table, settings, error, message):
    with pytest.raises(error, match=message):
        study_predictors(table, **settings)


def test_proxies_are_needed_for_the_predictor_of_that_name(table):
    with pytest.raises(UnsuitedError, match="no early epochs"):
        study_predictors(table, "latency", {"x": ("learning_curve", {})}, sizes=[10])


def test_the_figure_shows_each_predictor(table):
    chosen = {name: (name, {}) for name in ("ridge", "bayesian_ridge")}
    study = study_predictors(table, predictors=chosen, sizes=[5, 20], seeds=2, test=30)
    figure = predictors_figure(study)
    nothing_overlaps(figure, [*figure.axes, *figure.legends, figure._supxlabel])
    first = figure.axes[0]
    assert [line.get_label() for line in first.lines] == ["ridge", "bayesian_ridge"]
    means = prediction_frame(study.frame, ["kendall"])
    np.testing.assert_array_equal(
        np.concatenate([line.get_ydata() for line in first.lines]), means["kendall"]
    )
    assert first.get_title(loc="left") == "Kendall's τ"
    assert predictors_figure(study, title=False).axes[0].get_title(loc="left") == ""
    assert "regret of the best predicted, %" in [axes.get_ylabel() for axes in figure.axes]
    two = predictors_figure(study, ("kendall", "regret"))
    nothing_overlaps(two, [*two.axes, *two.legends, two._supxlabel])
    assert [axes.get_ylabel() for axes in two.axes] == [
        "Kendall's τ",
        "regret of the best predicted, %",
    ]


def frame_of(kendall, regret=2.0):
    """A study's frame from rank correlations by predictor, number of architectures and seed."""
    return pd.DataFrame(
        {"predictor": name, "architectures": n, "seed": seed, "kendall": value, "regret": regret}
        for (name, n), values in kendall.items()
        for seed, value in enumerate(values)
    )


def test_sentences_say_what_is_best_by_how_much():
    above = {("a", 10): [0.1, 0.2], ("a", 100): [0.5, 0.7, 0.6]}
    lines = prediction_lines(frame_of({**above, ("b", 100): [0.4, 0.59, 0.51]}), "%")
    assert lines[0].startswith("Having learned from 100 architectures, a ranks others with")
    assert "τ of 0.60 [" in lines[0]
    # Each seed has other architectures: the difference is the same in all, the values are not.
    assert lines[0].endswith("; the next best is b with 0.50.")
    assert lines[1].startswith("Having learned from 10 architectures, a has 0.15 [")
    assert "worse than their best by 2 [2, 2] points." in lines[2]
    alike = prediction_lines(frame_of({**above, ("b", 100): [0.8, 0.1, 0.6]}), "ms")
    assert alike[0].endswith("b with 0.50, and the two cannot be told apart.")
    assert alike[2].endswith(" 2 [2, 2] ms.")


def test_sentences_of_one_predictor_or_one_seed():
    first, last = prediction_lines(frame_of({("a", 1): [-0.25]}), "1")
    assert first == (
        "Having learned from 1 architecture, a ranks others with a Kendall's τ of "
        "−0.25 [−0.25, −0.25]."
    )
    assert last.endswith("2 [2, 2].")
    one_seed = prediction_lines(frame_of({("a", 9): [0.9], ("b", 9): [0.1]}), "1")
    assert one_seed[0].endswith("cannot be told apart.")


def test_the_help_names_all_predictors():
    assert set(NAMES.replace(" and ", ", ").split(", ")) == set(PREDICTORS)


@pytest.mark.long
def test_the_command(table, lab, undrawn):
    given = ("-p", "ridge", "-p", "gp(kernel=hamming)", "-n", "10", "-n", "20", "--seeds", "2")
    out = lab("predict", "toy", *given)
    assert out.code == 0, out.err
    assert "toy, valid_error: predictions of 104 architectures, 2 seeds" in out.words
    assert "Having learned from 20 architectures, " in out.words
    folder = Path("results") / "predict-toy"
    assert {file.name for file in folder.iterdir()} == {
        *(f"predictors.{ending}" for ending in ("csv", "png", "svg")),
        "runs.csv",
    }
    means = pd.read_csv(folder / "predictors.csv")
    assert list(means["predictor"]) == ["ridge"] * 2 + ["gp(kernel=hamming)"] * 2
    assert len(pd.read_csv(folder / "runs.csv")) == 8
    data = lab("predict", "toy", *given, "--by", "latency", "--json", "-o", "elsewhere").data
    assert data["column"] == "latency"
    assert data["predictors"][0]["kendall_low"] <= data["predictors"][0]["kendall"]
    assert lab("predict", "toy", "-p", "rigde").err.count("Did you mean 'ridge'") == 1
    assert "different predictors" in lab("predict", "toy", "-p", "gp", "-p", "gp").err
