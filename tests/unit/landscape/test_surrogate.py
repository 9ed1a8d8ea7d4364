"""Surrogates of tables."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from nasbench_lab.errors import PredictorError, TableFileError, UnknownNameError
from nasbench_lab.landscape.surrogate import Surrogate
from nasbench_lab.predictors import make_predictor
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

SPACE = get_space("darts")
FOREST = ("random_forest", {"n_trees": 10})


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def quality(architectures):
    """How many operations are separable convolutions, roughly."""
    texts = SPACE.to_string(np.asarray(architectures))
    return np.array([80.0 + text.count("sep_conv") for text in texts])


def trained(n=60, times=True, seed=0, name="darts-mine"):
    """A table of some genotypes."""
    architectures = SPACE.sample(np.random.default_rng(seed), n)
    frame = pd.DataFrame(
        {
            "genotype": SPACE.to_string(architectures),
            "accuracy": quality(architectures),
            "seconds": 10.0 + quality(architectures),
        }
    )
    columns = [Column("accuracy", "accuracy", "%", True, split="valid")]
    columns += [Column("seconds", "train_time", "s", False)] if times else []
    return Table.from_frame(frame, name, columns, space="darts", architecture="genotype")


def test_it_answers_for_the_whole_space():
    trained()
    surrogate = Surrogate("darts-mine", *FOREST)
    new = SPACE.sample(np.random.default_rng(9), 40)
    predicted = [surrogate.report_value(tuple(one)) for one in new.tolist()]
    assert kendalltau(predicted, quality(new)).statistic > 0.2
    assert (surrogate.space, surrogate.clock) == (SPACE, "train_only")
    cost = [surrogate.evaluate(tuple(one)).cost for one in new.tolist()]
    assert 90 < min(cost) <= max(cost) < 110
    assert Surrogate("darts-mine", *FOREST).report_value(tuple(new[0])) == predicted[0]
    for one in map(tuple, new[:5].tolist()):
        assert surrogate.report_value(one) == surrogate.report_value(SPACE.canonical(one))


def test_a_search_sees_noise_by_the_deviation_of_the_model():
    trained(times=False)
    surrogate = Surrogate("darts-mine", *FOREST)
    assert (surrogate.clock, surrogate.noisy) == ("evaluations", True)
    one = SPACE.at(12345)
    model = make_predictor("random_forest", SPACE, 0, n_trees=10)
    table = SPACE.canonical(SPACE.sample(np.random.default_rng(0), 60))
    table = np.unique(table, axis=0)
    model.fit(table, quality(table))
    mean, std = (float(part[0]) for part in model.predict(np.array([SPACE.canonical(one)])))
    assert surrogate.report_value(one) == mean
    rng = np.random.default_rng(3)
    expected = mean + np.random.default_rng(3).normal(0.0, std)
    assert surrogate.evaluate(one, rng=rng).values == (expected,)
    assert surrogate.evaluate(one, rng=np.random.default_rng(3)).cost == 1.0
    plain = Surrogate("darts-mine", *FOREST, noise=False)
    assert plain.evaluate(one, rng=rng).values == (mean,)


def test_the_held_out_error_is_that_of_architectures_not_seen():
    trained(n=100)
    good = Surrogate("darts-mine", "ridge").held_out()
    assert good.n == 100
    assert good.rmse < 0.7 * good.spread  # the quality is a sum over decisions, nearly
    assert good.kendall > 0.5
    assert "held-out error, of 100 archi" in good.sentence("%").lower()
    noise = np.random.default_rng(1).normal(90, 2, 100)
    architectures = SPACE.sample(np.random.default_rng(0), 100)
    frame = pd.DataFrame({"genotype": SPACE.to_string(architectures), "accuracy": noise})
    column = Column("accuracy", "accuracy", "%", True, split="valid")
    Table.from_frame(frame, "noise", [column], space="darts", architecture="genotype")
    bad = Surrogate("noise", *FOREST).held_out()
    assert bad.rmse > 0.9 * bad.spread  # nothing can be learned, and it says so
    assert abs(bad.kendall) < 0.3


def test_wrong_tables_are_refused():
    trained(n=9)
    with pytest.raises(PredictorError, match=r"at least 10 architectures .* but got 9"):
        Surrogate("darts-mine")
    with pytest.raises(UnknownNameError, match="Unknown table 'absent'"):
        Surrogate("absent")
    trained()
    fingerprint = Surrogate("darts-mine", *FOREST).table
    trained(seed=1)
    with pytest.raises(TableFileError, match=r"is another one .* fit-surrogate darts-mine"):
        Surrogate("darts-mine", *FOREST, fingerprint=fingerprint)
    with pytest.raises(UnknownNameError, match="predictor 'forest'"):
        Surrogate("darts-mine", "forest")
