"""Ranks, run times, final values and the critical-difference diagram: what is drawn is what is so."""

import re
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    holds_all_of,
    names_do_not_overlap,
    nothing_is_cut_off,
    nothing_overlaps,
    texts_are_readable,
    visible,
)
from matplotlib.text import Text
from scipy.stats import friedmanchisquare, rankdata

from nasbench_lab import stats
from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import BudgetError, ExperimentError, QueryError, UnknownNameError
from nasbench_lab.figures import save_figure
from nasbench_lab.figures.comparison import (
    critical_difference_data,
    critical_difference_figure,
    ecdf_data,
    ecdf_figure,
    final_data,
    final_figure,
    rank_data,
    rank_figure,
)
from nasbench_lab.figures.layout import PAPER
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

pytestmark = pytest.mark.long

CORA, PROTEINS = "nas-bench-graph/cora", "nas-bench-graph/proteins"
CITESEER = "nas-bench-graph/citeseer"
ALGORITHMS = ["random_search", "regularized_evolution", "local_search"]
EVERY = [
    (rank_data, rank_figure),
    (ecdf_data, ecdf_figure),
    (final_data, final_figure),
    (critical_difference_data, critical_difference_figure),
]
NAMES = [
    "random_search",
    "regularized_evolution(population_size=50, sample_size=10)",
    "reinforce(learning_rate=0.1)",
    "gp_bo(kernel='matern')",
    "genetic_algorithm(crossover='single_point', elitism=2)",
    '$dollars$ <b>& "quotes"</b>',
    "_hidden",
    "ünï cödé, in many words that say what it does",
    "random_scalarization(weights='tchebycheff', population_size=20)",
    "a_name_without_any_spaces_that_goes_on_and_on_for_as_long_as_it_wants_to",
    "asha(eta=2)",
    "hyperband",
    "learning_curve_stopping",
]


class AsksNothing(SearchAlgorithm):
    def ask(self):
        return None


@pytest.fixture(scope="module")
def result():
    return compare(ALGORITHMS, [PROTEINS, CORA], budget=60, seeds=7, n_jobs=1)


@pytest.fixture(scope="module")
def three_tables():
    """As many as a critical difference needs."""
    tables = [PROTEINS, CORA, CITESEER]
    return compare(ALGORITHMS, tables, budget=60, seeds=7, n_jobs=1)


@pytest.fixture(scope="module")
def many(make_table):
    """13 algorithms of all kinds of names on 3 tables."""
    benchmarks = [TableBenchmark(make_table(name=f"toy/{i}")) for i in range(3)]
    algorithms = {
        name: f"regularized_evolution(population_size={i + 1})" for i, name in enumerate(NAMES)
    }
    return compare(algorithms, benchmarks, budget=20, seeds=3, n_jobs=1)


def last_values(result, name, metric):
    """``(algorithms, seeds)`` values at the end."""
    benchmark = result.benchmark(name)
    return np.array(
        [
            [
                stats.anytime(trace, benchmark, metric)[-1]
                for trace in result.traces(name, algorithm)
            ]
            for algorithm in result.algorithms
        ]
    )


def curves_of(panel, algorithms):
    """The curves of a panel by algorithm, as pairs of x and y."""
    lines = {line.get_label(): line for line in panel.get_lines()}
    assert set(lines) == set(algorithms)
    assert all(line.get_drawstyle() == "steps-post" for line in lines.values())
    return {name: (line.get_xdata(), line.get_ydata()) for name, line in lines.items()}


@pytest.mark.parametrize(
    ("data_of", "figure_of", "column"), [(*EVERY[0], "rank"), (*EVERY[1], "share")]
)
def test_curves_are_the_lines_of_the_data(result, data_of, figure_of, column):
    data = data_of(result, "valid_regret")
    assert set(data["metric"]) == {"valid_regret"}
    assert set(data["axis"]) == {"evaluations"}
    panels = visible(figure_of(result, "valid_regret"))
    assert [panel.get_title(loc="left").split(",")[0] for panel in panels] == [
        PROTEINS,
        CORA,
        "mean over tables",
    ]
    for panel, name in zip(panels, [PROTEINS, CORA, "all"], strict=True):
        for algorithm, (x, y) in curves_of(panel, result.algorithms).items():
            lines = data[(data["benchmark"] == name) & (data["algorithm"] == algorithm)]
            np.testing.assert_array_equal(x, lines["point"])
            np.testing.assert_array_equal(y, lines[column])
    assert [panel.get_xlabel() for panel in panels] == [
        *("evaluations", "evaluations"),
        "share of the budget",
    ]
    assert panels[2].get_xlim()[1] == 1


def test_ranks_at_the_end_are_those_of_the_values_there(result):
    panels = visible(rank_figure(result, "test_regret"))
    every = []
    for panel, name in zip(panels, result.benchmarks, strict=False):
        placed = rankdata(last_values(result, name, "test_regret").round(9), axis=0)
        every.append(placed.mean(axis=1))
        # The best is at the top.
        assert panel.yaxis_inverted()
        curves = curves_of(panel, result.algorithms)
        drawn = [curves[algorithm][1][-1] for algorithm in result.algorithms]
        np.testing.assert_allclose(drawn, every[-1], rtol=1e-12)
        assert all(low.get_paths()[0].vertices.size for low in panel.collections)
    curves = curves_of(panels[2], result.algorithms)
    drawn = [curves[algorithm][1][-1] for algorithm in result.algorithms]
    np.testing.assert_allclose(drawn, np.mean(every, axis=0), rtol=1e-12)


def test_shares_at_the_end_are_counted(result):
    for panel, name in zip(visible(ecdf_figure(result)), result.benchmarks, strict=False):
        targets = np.array(stats.default_targets(result, name, "valid_regret"))
        last = last_values(result, name, "valid_regret")
        curves = curves_of(panel, result.algorithms)
        for values, algorithm in zip(last, result.algorithms, strict=True):
            # Incumbents only get better on what is searched for. A target may be what a run
            # reached, so that rounding must not decide.
            share = np.mean(values[:, None] <= targets * (1 + 1e-9) + 1e-12)
            assert curves[algorithm][1][-1] == pytest.approx(share)
            assert np.all(np.diff(curves[algorithm][1]) >= 0)


@pytest.mark.parametrize("metric", ["test_regret", "valid"])
def test_every_run_is_a_dot_on_its_line(result, metric):
    figure = final_figure(result, metric)
    data = final_data(result, metric)
    for panel, name in zip(visible(figure), result.benchmarks, strict=True):
        labels = [text.get_text() for text in panel.get_yticklabels()]
        assert labels == (result.algorithms if panel is visible(figure)[0] else [])
        label = stats.metric_label(result.benchmark(name), metric)
        label += ", log scale" if panel.get_xscale() != "linear" else ""
        assert " ".join(panel.get_xlabel().split()) == label
        last = last_values(result, name, metric)
        for i, (algorithm, values) in enumerate(zip(result.algorithms, last, strict=True)):
            lines = [line for line in panel.get_lines() if abs(line.get_ydata()[0] - i) < 0.4]
            dots, quartiles, median = (
                next(line for line in lines if line.get_label() == label)
                for label in ("runs", "quartiles", "median")
            )
            np.testing.assert_array_equal(dots.get_xdata(), np.sort(values))
            assert np.all(np.abs(dots.get_ydata() - i) < 0.4)
            np.testing.assert_allclose(quartiles.get_xdata(), np.percentile(values, [25, 75]))
            assert median.get_xdata() == pytest.approx([np.median(values)])
            some = data[(data["benchmark"] == name) & (data["algorithm"] == algorithm)]
            np.testing.assert_array_equal(some["value"], values)
            assert some["seed"].tolist() == list(range(7))


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.0, 2.0, 3.0], "linear"),
        ([0.1, 2.0, 3.0], "log"),
        ([0.0, 0.1, 3.0], "symlog"),
        ([0.0, 0.0, 0.0], "linear"),
    ],
)
def test_regrets_that_differ_much_are_logarithmic_and_zero_has_a_place(
    make_table, values, scale, tmp_path
):
    benchmark = TableBenchmark(make_table())
    result = compare(["random_search"], benchmark, budget=3, seeds=3, n_jobs=1)
    data = final_data(result)
    data["value"] = values
    figure = final_figure(result, data=data)
    save_figure(figure, tmp_path / "f")
    (panel,) = visible(figure)
    assert panel.get_xscale() == scale
    assert panel.get_xlabel().endswith(", log scale") == (scale != "linear")
    low, high = panel.get_xlim()
    # A dot of 2.5 points is in the picture with all its width.
    to_axes = panel.transData + panel.transAxes.inverted()
    places = [to_axes.transform((value, 0))[0] for value in values]
    assert all(0.01 < place < 0.99 for place in places)
    assert low < high


# The critical-difference diagram


@pytest.fixture
def demsar(monkeypatch):
    """The four classifiers of Demšar (2006), Table 6, tested at 0.1 as in his figure 1."""
    c45 = [763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957]
    m = [768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978]
    # His ranks follow only if "voting", 975 for the last two, is no tie: one has a little more here.
    cf = [771, 590, 968, 654, 886, 916, 609, 563, 866, 1000, 965, 614, 976, 946]
    m_cf = [798, 569, 967, 657, 898, 931, 685, 625, 875, 1000, 962, 669, 975, 970]
    scores = pd.DataFrame({"C4.5": c45, "C4.5+m": m, "C4.5+cf": cf, "C4.5+m+cf": m_cf})
    test = stats.friedman(scores, maximize=True, alpha=0.1)
    monkeypatch.setattr(stats, "friedman_of", lambda result, metric: test)
    return SimpleNamespace(benchmarks=test.tables)


def places_of(figure):
    """Ranks as drawn: of the algorithms by name, of the bars, and the length of the CD."""
    (panel,) = figure.axes
    lines = {}
    for line in panel.get_lines():
        lines.setdefault(line.get_label(), []).append(line)
    (axis,) = lines["axis"]
    k = len(lines["tick"])
    left, right = axis.get_xdata()

    def rank(x):
        return 1 + (np.asarray(x) - left) / (right - left) * (k - 1)

    ranks = {}
    for line in lines["algorithm"]:
        x, y = line.get_xdata(), line.get_ydata()
        assert y[-1] == axis.get_ydata()[0]
        near = [t for t in panel.texts if abs(t.get_position()[1] - y[0]) < 1e-9]
        (name,) = [t for t in near if abs(t.get_position()[0] - x[0]) < 0.05]
        ranks[" ".join(name.get_text().split())] = float(rank(x[-1]))
    # Bars go a little further than the lines that they join.
    bars = [rank(line.get_xdata() + np.array([0.03, -0.03])) for line in lines.get("group", [])]
    cd = [np.ptp(rank(line.get_xdata())) for line in lines.get("CD", [])]
    return ranks, bars, cd


@pytest.mark.parametrize("width", [None, 3.35])
def test_the_published_example_is_drawn_as_published(demsar, width):
    figure = critical_difference_figure(demsar, width=width)
    ranks, bars, (cd,) = places_of(figure)
    # Average ranks and the critical difference of his section 3.2.2, to the digits given there.
    expected = {
        "C4.5 3.14": 3.143, "C4.5+m 2.00": 2.000, "C4.5+cf 2.89": 2.893, "C4.5+m+cf 1.96": 1.964
    }  # fmt: skip
    assert ranks == pytest.approx(expected, abs=5e-4)
    assert cd == pytest.approx(1.12, abs=5e-3)
    np.testing.assert_allclose(bars, [[1.964, 2.893], [2.893, 3.143]], atol=5e-4)
    data = critical_difference_data(demsar)
    assert data["algorithm"].tolist() == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert data["groups"].tolist() == ["1", "1", "1 2", "2"]
    assert set(data["tables"]) == {14}
    title = " ".join(figure.axes[0].texts[0].get_text().split())
    assert "over 14 tables. Friedman test: p = 0.017" in title
    assert "at 0.1, critical difference (CD) 1.12" in title
    assert "no difference" not in title
    (bar,) = [text for text in figure.axes[0].texts if text.get_text() == "CD"]
    assert bar.get_window_extent().x0 > 0


@pytest.mark.parametrize("width", [None, 3.35, 7.0])
def test_the_axis_of_ranks_has_the_width_of_the_figure(many, three_tables, width):
    for one in (many, three_tables):
        figure = critical_difference_figure(one, width=width)
        (panel,) = figure.axes
        (axis,) = [line for line in panel.get_lines() if line.get_label() == "axis"]
        assert np.ptp(axis.get_xdata()) >= 0.85 * figure.get_figwidth()
        # Lines to different names meet at most on the axis and where they leave it.
        lines = [line.get_xydata() for line in panel.get_lines() if line.get_label() == "algorithm"]
        assert len({round(float(line[1, 0]), 4) for line in lines}) == len(one.algorithms)


def test_tables_that_are_left_out_are_told(three_tables):
    result = three_tables
    fourth = "nas-bench-graph/arxiv"
    other = compare(ALGORITHMS[:2], fourth, budget=5, seeds=2, n_jobs=1)
    benchmarks = result.experiment.benchmarks + other.experiment.benchmarks
    part = Result(replace(result.experiment, benchmarks=benchmarks), [*result.runs, *other.runs])
    assert set(critical_difference_data(result)["of_tables"]) == {""}
    assert set(critical_difference_data(part)["of_tables"]) == {f"{PROTEINS}, {CORA}, {CITESEER}"}
    title = critical_difference_figure(part).axes[0].texts[0].get_text()
    assert f"over 3 tables ({PROTEINS}, {CORA}, {CITESEER}; not all algorithms" in " ".join(
        title.split()
    )


def test_the_diagram_is_of_the_result(three_tables):
    result = three_tables
    means = [last_values(result, name, "test_regret").mean(axis=1) for name in result.benchmarks]
    placed = [rankdata(some) for some in means]
    data = critical_difference_data(result)
    ranks, bars, cd = places_of(critical_difference_figure(result, data=data))
    assert set(data["tables"]) == {3}
    assert data["friedman_p"][0] == pytest.approx(friedmanchisquare(*np.transpose(means)).pvalue)
    # 2.343 * sqrt(3 * 4 / (6 * 3)) by Demšar's table 5.
    assert data["critical_difference"][0] == pytest.approx(1.913, abs=2e-3)
    # The numbers stand behind the names.
    found = {name.rpartition(" ")[0]: rank for name, rank in ranks.items()}
    mean = np.mean(placed, axis=0)
    assert found == pytest.approx(dict(zip(ALGORITHMS, mean, strict=True)))
    assert cd == pytest.approx([1.913], abs=2e-3)
    groups = stats.cliques(pd.Series(mean, ALGORITHMS), data["critical_difference"][0])
    ends = [[min(found[a] for a in g), max(found[a] for a in g)] for g in groups]
    np.testing.assert_allclose(bars, ends)


def test_a_diagram_needs_tables_and_algorithms(result):
    one = compare(ALGORITHMS, CORA, budget=5, seeds=2, n_jobs=1)
    for one_or_two in (one, result):
        with pytest.raises(
            QueryError, match=r"3 algorithms needs at least 3 benchmarks .* there are"
        ):
            critical_difference_figure(one_or_two)


# Room for everything


@pytest.mark.parametrize(
    ("figure_of", "width", "across"),
    [
        pytest.param(rank_figure, None, 3, marks=pytest.mark.slow),
        (rank_figure, 3.35, 1),
        (ecdf_figure, 7.0, 2),
        (final_figure, 3.35, 1),
        pytest.param(final_figure, 7.0, 2, marks=pytest.mark.slow),
    ],
)
def test_long_names_find_room(many, figure_of, width, across, tmp_path):
    figure = figure_of(many, width=width)
    files = save_figure(figure, tmp_path / "figure")
    if width is not None:
        assert figure.get_figwidth() == width
    panels = visible(figure)
    assert len({round(panel.get_position().x0, 3) for panel in panels}) == across
    nothing_is_cut_off(files[0])
    nothing_overlaps(figure, [*panels, *figure.legends])
    texts_are_readable(figure)
    for panel in panels:
        names_do_not_overlap(panel)
    shown = figure.legends[0].get_texts() if figure.legends else panels[0].get_yticklabels()
    # Broken into lines, but whole.
    assert ["".join(text.get_text().split()) for text in shown] == [
        "".join(name.split()) for name in NAMES
    ]
    text = files[1].read_text()
    # Not taken for mathematics, which would be set in another way.
    assert re.search(r"<text [^>]*>\$dollars\$ ", text)
    if figure.legends:
        # Colour and dashes of the curves, whose width nothing else has.
        curves = re.findall(r'style="(fill: none;[^"]*stroke-width: 1.6[^"]*)"', text)
        assert len(set(curves)) == 13


@pytest.mark.parametrize("width", [None, 3.35, 7.0])
def test_the_diagram_has_room_for_long_names(many, width):
    figure = critical_difference_figure(many, width=width)
    (panel,) = figure.axes
    boxes = [Text.get_window_extent(text) for text in panel.texts]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    # No line goes through a name.
    for line in panel.get_lines():
        corners = panel.transData.transform(line.get_xydata())
        for (x0, y0), (x1, y1) in pairwise(corners):
            for box in boxes:
                assert (
                    max(x0, x1) <= box.x0
                    or min(x0, x1) >= box.x1
                    or max(y0, y1) <= box.y0
                    or min(y0, y1) >= box.y1
                )
    texts_are_readable(figure)


def test_few_short_names_stand_at_the_curves(result, tmp_path):
    figure = rank_figure(result, width=7.0)
    save_figure(figure, tmp_path / "f")
    assert not figure.legends
    for panel in visible(figure):
        assert sorted(text.get_text() for text in panel.texts) == sorted(ALGORITHMS)
        names_do_not_overlap(panel)
        # On an axis that is upside down, too, a name is about where its curve ends.
        ends = {line.get_label(): line.get_ydata()[-1] for line in panel.get_lines()}
        heights = {text.get_text(): text.get_window_extent().y0 for text in panel.texts}
        distinct = len(set(ends.values())) == len(ends)
        assert not distinct or sorted(ends, key=ends.get) == sorted(
            heights, key=heights.get, reverse=True
        )


def test_many_algorithms_have_no_bands_and_the_title_says_so(many, result, tmp_path):
    for panel in visible(rank_figure(many, width=3.35)):
        assert not panel.collections
        assert "mean (no bands for 13 algorithms)" in " ".join(panel.get_title(loc="left").split())
    for panel in visible(rank_figure(result)):
        assert len(panel.collections) == 3
        title = " ".join(panel.get_title(loc="left").split())
        assert "mean and 95 % bootstrap interval" in title
        assert "bands" not in title


# What must not break it


def test_unfinished_results_are_drawn_as_far_as_they_go(result):
    kept = [
        run
        for run in result.runs
        if not (run.benchmark == CORA and run.algorithm == "local_search")
        and not (run.algorithm == "random_search" and run.seed > 3)
    ]
    part = Result(result.experiment, kept)
    panels = visible(rank_figure(part))
    assert [len(panel.get_lines()) for panel in panels] == [3, 2]
    titles = [" ".join(panel.get_title(loc="left").split()) for panel in panels]
    # All of what has runs on a table have finished these seeds there.
    for name, title in zip(part.benchmarks, titles, strict=True):
        assert title.startswith(f"{name}, 4 of 7 seeds, rank")
    assert "seeds" not in visible(rank_figure(result))[0].get_title(loc="left")
    panels = visible(final_figure(part))
    assert "4 to 7 runs" in panels[0].get_title(loc="left")
    # Each algorithm has dots, quartiles and a median.
    assert [len(panel.get_lines()) for panel in panels] == [9, 6]
    assert [len(panel.get_lines()) for panel in visible(ecdf_figure(part))] == [3, 2]
    with pytest.raises(QueryError, match="there are 1: on fewer"):
        critical_difference_figure(part)
    no_common_seed = [r for r in kept if (r.algorithm == "random_search") == (r.seed == 0)]
    apart = Result(result.experiment, no_common_seed)
    with pytest.raises(ExperimentError, match="no seed that all algorithms have finished"):
        rank_figure(apart)


@pytest.mark.parametrize(("data_of", "figure_of"), EVERY)
def test_without_any_evaluation_there_is_nothing_to_draw(timed, data_of, figure_of):
    benchmark = TableBenchmark(timed)
    nothing = compare([AsksNothing], benchmark, budget=20, seeds=2, n_jobs=1)
    with pytest.raises((ExperimentError, QueryError), match=r"no finished runs|at least 3"):
        figure_of(nothing)


@pytest.mark.parametrize("figure_of", [rank_figure, ecdf_figure])
def test_unknown_names_are_refused(result, figure_of):
    with pytest.raises(UnknownNameError, match="Did you mean 'test_regret'"):
        figure_of(result, "test_regrets")
    with pytest.raises(UnknownNameError, match="Did you mean 'seconds'"):
        figure_of(result, axis="second")
    with pytest.raises(BudgetError, match="holds no training times"):
        figure_of(result, axis="seconds")


@pytest.mark.parametrize(("data_of", "figure_of"), EVERY[2:])
def test_the_same_result_gives_the_same_files_to_the_byte(
    three_tables, data_of, figure_of, tmp_path
):
    result = three_tables
    result.save(tmp_path / "result")
    drawn = []
    for i, one in enumerate((result, Result.open(tmp_path / "result"))):
        data = data_of(one)
        figure = figure_of(one, width=3.35, data=data)
        files = save_figure(figure, tmp_path / f"figure{i}", PAPER, data)
        assert [file.suffix for file in files] == [".png", ".svg", ".pdf", ".csv"]
        drawn.append([file.read_bytes() for file in files])
    assert drawn[0] == drawn[1]
    holds_all_of(tmp_path / "figure0.csv", data)
