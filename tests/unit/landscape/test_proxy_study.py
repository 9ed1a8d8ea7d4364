"""Rank correlations of zero-cost proxies with the end of training, and the published ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from nasbench_lab.errors import QueryError
from nasbench_lab.figures.proxies import proxies_figure
from nasbench_lab.landscape.proxies import PUBLISHED, SETS, study_proxies
from nasbench_lab.registry import open_table
from nasbench_lab.spaces import Decision
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.proxies import PROXIES, proxy_columns
from nasbench_lab.tables.table import Table

SHARED = Path(__file__).parents[4] / "shared" / "data" / "nb201_columns" / "zero_cost_cifar10.csv"
ROWS = 120


@pytest.fixture(scope="module")
def values():
    """Accuracies in which 12 rows are the top, a proxy that ranks as they do, and noise."""
    rng = np.random.default_rng(0)
    valid = rng.permutation(ROWS) / 2
    return {
        "valid": valid,
        "test": valid + rng.normal(size=ROWS),
        "params": valid + rng.normal(scale=8, size=ROWS),
        "ntk": 1 / (1 + valid),
        "snip": rng.normal(size=ROWS),
        "linear_regions": np.round(valid / 20),
    }


@pytest.fixture(scope="module")
def table(values, tmp_path_factory):
    columns = {
        Column(f"{split}_accuracy", "accuracy", "%", True, split): values[split]
        for split in ("valid", "test")
    }
    for name in set(values) & set(PROXIES):
        scores, seconds = proxy_columns(name, "toy", 0, "four images")
        columns |= {scores: values[name], seconds: np.full(ROWS, 0.002)}
    decisions = (Decision("a", range(12)), Decision("b", range(10)))
    info = TableInfo(
        "scored", "own", "", "", "", "valid_accuracy", "test_accuracy", decisions=decisions
    )
    return Table.create(tmp_path_factory.mktemp("scored") / "t", info, columns)


def test_correlations_and_their_signs(table, values):
    study = study_proxies(table)
    assert (study.table, study.rows, study.of) == ("scored", ROWS, ROWS)
    frame = study.frame.set_index("proxy")
    assert frame.index[0] == "ntk"
    assert set(frame.index) == {"ntk", "params", "snip", "linear_regions"}
    for name in frame.index:
        sign = 1 if PROXIES[name].maximize else -1
        for split in ("valid", "test"):
            target, score = values[split], sign * values[name]
            best = np.argsort(-target)[:12]
            for top, rows in (("", slice(None)), ("top_", best)):
                if np.ptp(score[rows]) == 0:
                    assert np.isnan(frame.loc[name, f"{top}spearman_{split}_accuracy"])
                    continue
                for kind, correlate in (("spearman", spearmanr), ("kendall", kendalltau)):
                    assert frame.loc[name, f"{top}{kind}_{split}_accuracy"] == pytest.approx(
                        correlate(score[rows], target[rows]).statistic
                    )
    # The authors of the kernel's condition number take less for better.
    assert frame.loc["ntk", "better"] == "less"
    assert frame.loc["ntk", "spearman_valid_accuracy"] == pytest.approx(1)
    assert frame["beats_params"].to_dict() == {
        "ntk": True, "linear_regions": True, "params": False, "snip": False,
    }  # fmt: skip
    assert frame.loc["linear_regions", "values"] == len(set(values["linear_regions"]))
    assert (frame["seconds"] == np.float64(0.002)).all()
    assert frame.loc["params", "published_cells"] == 0.741
    assert np.isnan(frame.loc["ntk", "published_cells"])


def test_scores_of_some_rows(table, values):
    """Rows without scores count nowhere, not in the top either."""
    some = np.where(np.arange(ROWS) % 3 == 0, values["params"], np.nan)
    study = study_proxies(table, scores={"params": some})
    (line,) = study.frame.to_dict(orient="records")
    assert study.rows == 40
    held = ~np.isnan(some)
    assert line["spearman_valid_accuracy"] == pytest.approx(
        spearmanr(some[held], values["valid"][held]).statistic
    )
    best = np.argsort(-np.where(held, values["valid"], -1))[:4]
    assert line["top_spearman_valid_accuracy"] == pytest.approx(
        spearmanr(some[best], values["valid"][best]).statistic
    )
    assert not line["beats_params"]


def test_a_table_without_scores(timed):
    with pytest.raises(QueryError, match="no scores by zero-cost proxies"):
        study_proxies(timed)


def test_the_figure(table):
    study = study_proxies(table)
    figure = proxies_figure(study)
    all_rows, top = figure.axes
    assert [label.get_text() for label in all_rows.get_yticklabels()] == list(study.frame["proxy"])
    drawn = {line.get_label(): line.get_xdata() for line in all_rows.get_lines()}
    np.testing.assert_array_equal(drawn["valid accuracy"], study.frame["spearman_valid_accuracy"])
    np.testing.assert_array_equal(drawn["published, CIFAR-10"], study.frame["published_cells"])
    assert top.get_title(loc="left") == "the top 10 % by each column"
    assert proxies_figure(study, title=False).axes[0].get_title(loc="left") == ""


def test_published_correlations():
    assert set(PUBLISHED) <= set(PROXIES)
    assert all(set(by_set) <= set(SETS) for by_set in PUBLISHED.values())


@pytest.mark.long
def test_published_correlations_are_those_of_the_published_scores():
    if not SHARED.exists():
        pytest.skip("the published scores are not beside this checkout")
    published, final = pd.read_csv(SHARED), open_table("nas-bench-201-final")
    cells = np.array([final.space.from_string(text) for text in published["architecture"]])
    accuracies = pd.Series(final.query(cells, final.info.objective))
    for name, by_set in PUBLISHED.items():
        scores = published[{"naswot": "nwot"}.get(name, name)]
        rho = scores.corr(accuracies, method="spearman")
        # Three decimals; the trials behind the means differ a little between publications.
        assert rho == pytest.approx(by_set["cells"], abs=0.003), name
