"""The figures of supernets: the lines are the numbers, and nothing hides anything."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import nothing_is_cut_off, nothing_overlaps, texts_are_readable, visible
from matplotlib.text import Text

from nasbench_lab.figures import save_figure
from nasbench_lab.figures.supernet import ranking_figure, supernet_figure

pytestmark = pytest.mark.long


def course(algorithms=("darts", "spos"), seeds=2, epochs=5):
    """The course of runs that never were; the second algorithm's second run ends early."""
    rng = np.random.default_rng(0)
    lines = [
        {
            "algorithm": algorithm,
            "seed": seed,
            "epoch": epoch,
            "kendall_test": rng.uniform(-0.2, 0.6),
            "spearman_test": rng.uniform(-0.2, 0.8),
            "skip_connect": rng.integers(7) / 6,
            "test_regret": 30 / epoch,
        }
        for algorithm in algorithms
        for seed in range(seeds)
        for epoch in range(1, epochs + 1 - (algorithm == "spos" and seed == 1))
    ]
    return pd.DataFrame(lines)


def curves(panel):
    """The visible lines of a panel by colour, style and width."""
    return [
        line
        for line in panel.get_lines()
        if np.size(line.get_xdata()) > 1 and line.get_color() != "0.6"
    ]


def test_lines_are_means_over_the_seeds(tmp_path):
    frame = course()
    figure = supernet_figure(frame, title="nb201-digits")
    first, skips, regret = visible(figure)
    thick = [line for line in curves(first) if line.get_linewidth() > 1]
    assert len(thick) == 4  # Kendall and Spearman of two algorithms
    both = frame[(frame["algorithm"] == "darts") & (frame["epoch"] == 3)]
    assert thick[0].get_ydata()[2] == pytest.approx(both["kendall_test"].mean())
    assert thick[1].get_ydata()[2] == pytest.approx(both["spearman_test"].mean())
    # The run that ended early counts with its last value.
    late = frame[(frame["algorithm"] == "spos") & (frame["seed"] == 1)].iloc[-1]
    full = frame[(frame["algorithm"] == "spos") & (frame["seed"] == 0)].iloc[-1]
    assert thick[2].get_ydata()[-1] == pytest.approx(
        (late["kendall_test"] + full["kendall_test"]) / 2
    )
    assert len(curves(first)) == 4 + 4  # and Kendall of each of two seeds
    thick = [line for line in curves(skips) if line.get_linewidth() > 1]
    assert thick[0].get_ydata()[2] == pytest.approx(100 * both["skip_connect"].mean())
    assert [line.get_linewidth() > 1 for line in curves(regret)].count(True) == 2
    (file, *_) = save_figure(figure, tmp_path / "supernet", ("png",))
    nothing_is_cut_off(file)
    nothing_overlaps(figure, visible(figure))
    texts_are_readable(figure)
    words = {text.get_text() for text in figure.findobj(Text)}
    assert {"darts", "spos", "Kendall's τ", "Spearman's ρ"} <= words
    assert "nb201-digits, mean of 2 seeds, thin lines single ones" in words


@pytest.mark.parametrize("epochs", [1, 3])
def test_one_run_has_no_thin_lines_and_may_lack_values(tmp_path, epochs):
    frame = course(("darts",), seeds=1, epochs=epochs)
    frame.loc[0, ["kendall_test", "spearman_test"]] = np.nan  # all accuracies were equal
    figure = supernet_figure(frame)
    _, _, regret = visible(figure)
    (line,) = [line for line in regret.get_lines() if np.size(line.get_xdata())]
    assert line.get_ydata().tolist() == frame["test_regret"].tolist()
    (file,) = save_figure(figure, tmp_path / "supernet", ("png",))
    nothing_is_cut_off(file)
    nothing_overlaps(figure, visible(figure))


def test_the_ranking_shows_every_architecture_and_the_derived_one(tmp_path):
    rng = np.random.default_rng(1)
    test = np.append(rng.normal(96, 1, 300), 10.0)
    frame = pd.DataFrame(
        {
            "algorithm": ["enas"] * 301,
            "one_shot": np.append(test[:-1] / 2 + rng.normal(0, 1, 300), 9.0),
            "test": test,
            "derived": np.arange(301) == 7,
        }
    )
    figure = ranking_figure(frame, title="nb201-digits")
    (panel,) = visible(figure)
    counts = panel.collections[0].get_array()
    assert int(np.sum(counts)) == 301
    (derived,) = [line for line in panel.get_lines() if np.size(line.get_xdata())]
    assert (derived.get_xdata()[0], derived.get_ydata()[0]) == tuple(
        frame.loc[7, ["one_shot", "test"]]
    )
    assert panel.get_ylim()[0] > 90  # the cell without a way through does not squeeze the rest
    (file,) = save_figure(figure, tmp_path / "ranking", ("png",))
    nothing_is_cut_off(file)
    texts_are_readable(figure)
