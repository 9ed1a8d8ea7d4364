"""The anytime figure: what it shows, in which units, and what must not break it."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from figure_checks import (
    holds_all_of,
    names_do_not_overlap,
    nothing_is_cut_off,
    nothing_overlaps,
    texts_are_readable,
    visible,
)
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.text import Text

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import BudgetError, DataFolderError, UnknownNameError
from nasbench_lab.figures import WIDTHS, anytime_data, anytime_figure, save_figure
from nasbench_lab.figures.layout import PALETTE, PAPER, wrapped
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.stats import METRICS, bootstrap_interval, curves, grid, quantile_interval

pytestmark = pytest.mark.long

ONE_COLUMN = [metric for metric in METRICS if metric != "hypervolume"]

PROTEINS = "nas-bench-graph/proteins"
CORA = "nas-bench-graph/cora"


class Best(SearchAlgorithm):
    """Asks for row 9 of the toy table and nothing else."""

    row = 9

    def ask(self):
        return self.trial(self.space.at(self.row))


class Fails(Best):
    row = 5


class AsksNothing(SearchAlgorithm):
    def ask(self):
        return None


@pytest.fixture(scope="module")
def result():
    return compare(
        ["random_search", "regularized_evolution"], [PROTEINS, CORA], budget=60, seeds=9, n_jobs=1
    )


@pytest.fixture(scope="module")
def ranked(make_table):
    """The toy table with row 9 the best of all and no two rows alike; row 5 fails."""
    order = np.array([1, 2, 3, 4, 5, np.nan, 6, 7, 8, 99, 9])[:, None, None] * np.ones((1, 2, 3))
    return TableBenchmark(make_table(name="toy/ranked", valid=order, test=order))


@pytest.fixture(scope="module")
def timed_result(timed):
    benchmark = TableBenchmark(timed)
    algorithms = ["random_search", "reinforce"]
    return compare(algorithms, benchmark, budget="300s", seeds=8, n_jobs=1)


def labels_of(panel):
    """The names written beside the curves."""
    return [text.get_text() for text in panel.texts]


def name_in(panel):
    """The benchmark's name in a title: it follows the line that says what is shown."""
    return panel.get_title(loc="left").split("\n")[1].split(",")[0]


def draw(figure, tmp_path):
    """Writes both formats, so that everything is laid out; returns the image and the text."""
    png, svg = save_figure(figure, tmp_path / "figure")
    return imread(png), svg.read_text()


def test_one_panel_per_benchmark_and_one_curve_per_algorithm(result, tmp_path):
    figure = anytime_figure(result)
    assert [name_in(panel) for panel in visible(figure)] == [
        PROTEINS,
        CORA,
    ]
    for panel in visible(figure):
        assert [line.get_label() for line in panel.get_lines()] == result.algorithms
        assert len(panel.collections) == 2
        assert sorted(labels_of(panel)) == sorted(result.algorithms)
        assert "9 runs" in panel.get_title(loc="left")
    image, text = draw(figure, tmp_path)
    assert image.shape[1] > image.shape[0] > 400
    assert image.std() > 0.05
    for words in (PROTEINS, CORA, *result.algorithms, "evaluations"):
        assert re.search(f"<text [^>]*>[^<]*{words}", text)


@pytest.mark.parametrize("statistic", ["mean", "median", "median_interval"])
@pytest.mark.parametrize("metric", ONE_COLUMN)
def test_the_curves_are_the_statistics(result, metric, statistic):
    figure = anytime_figure(result, metric, statistic=statistic)
    for panel, name in zip(visible(figure), result.benchmarks, strict=True):
        for line, band, algorithm in zip(
            panel.get_lines(), panel.collections, result.algorithms, strict=True
        ):
            traces = result.traces(name, algorithm)
            points = grid(traces)
            samples = curves(traces, result.benchmark(name), points, metric)
            if statistic == "mean":
                centre, (low, high) = np.mean(samples, axis=0), bootstrap_interval(samples)
            elif statistic == "median":
                low, centre, high = np.percentile(samples, [25, 50, 75], axis=0)
            else:
                centre, (low, high) = np.median(samples, axis=0), quantile_interval(samples)
            np.testing.assert_allclose(line.get_xdata(), points)
            np.testing.assert_allclose(line.get_ydata(), centre, rtol=1e-12, atol=1e-12)
            assert line.get_drawstyle() == "steps-post"
            corners = band.get_paths()[0].vertices
            np.testing.assert_allclose(corners[:, 1].min(), low.min(), atol=1e-12)
            np.testing.assert_allclose(corners[:, 1].max(), high.max(), atol=1e-12)


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("test_regret", "test ROC AUC regret (percentage points)"),
        ("valid_regret", "valid ROC AUC regret (percentage points)"),
        ("test", "test ROC AUC (%)"),
        ("valid", "valid ROC AUC (%)"),
    ],
)
def test_the_axes_have_units(result, metric, label):
    panel = visible(result.plot(metric))[0]
    assert panel.get_ylabel() == label
    assert panel.get_xlabel() == "evaluations"
    assert panel.get_xlim() == (1, 60)
    assert panel.get_xscale() == "log"
    if not metric.endswith("regret"):
        assert panel.get_yscale() == "linear"


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_curves_against_simulated_seconds(timed_result, statistic):
    figure = anytime_figure(timed_result, "valid", "seconds", statistic=statistic)
    (panel,) = visible(figure)
    assert panel.get_xlabel() == "simulated seconds"
    assert panel.get_xlim()[1] == 300
    for line, algorithm in zip(panel.get_lines(), timed_result.algorithms, strict=True):
        traces = timed_result.traces("toy/timed", algorithm)
        points = grid(traces, "seconds")
        samples = curves(
            traces, timed_result.benchmark("toy/timed"), points, "valid", axis="seconds"
        )
        if statistic == "median":
            # Without an incumbent yet, a run is worse than all others; half of them draw nothing.
            with np.errstate(invalid="ignore"):
                centre = np.median(np.where(np.isnan(samples), -np.inf, samples), axis=0)
            centre[~np.isfinite(centre)] = np.nan
        else:
            centre = samples.mean(axis=0)
        np.testing.assert_allclose(line.get_xdata(), points)
        np.testing.assert_allclose(line.get_ydata(), centre, rtol=1e-12)
        assert np.isnan(centre[0])
        assert np.isfinite(centre[-1])
    figure.draw_without_rendering()


def test_seconds_are_refused_where_the_table_has_no_times(result):
    with pytest.raises(BudgetError, match="holds no training times"):
        anytime_figure(result, axis="seconds")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metric": "regret"}, "Unknown metric 'regret'. Did you mean"),
        ({"axis": "second"}, "Unknown axis 'second'. Did you mean 'seconds'"),
        ({"statistic": "meen"}, "Unknown statistic 'meen'. Did you mean 'mean'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(result, arguments, words):
    with pytest.raises(UnknownNameError, match=words):
        anytime_figure(result, **arguments)


# Files


def test_the_same_result_gives_the_same_svg_to_the_byte(result, tmp_path):
    result.save(tmp_path / "result")
    drawn = []
    for i, one in enumerate((result, Result.open(tmp_path / "result"))):
        files = save_figure(anytime_figure(one), tmp_path / f"figure{i}")
        assert [file.name for file in files] == [f"figure{i}.png", f"figure{i}.svg"]
        drawn.append([file.read_bytes() for file in files])
    assert drawn[0] == drawn[1]
    png, svg = drawn[0]
    assert png.startswith(b"\x89PNG")
    assert svg.startswith(b"<?xml")
    assert sorted(p.name for p in tmp_path.glob("*figure*")) == sorted(
        f"figure{i}.{ending}" for i in range(2) for ending in ("png", "svg")
    )


def test_other_formats_can_be_had(result, tmp_path):
    (file,) = save_figure(anytime_figure(result), tmp_path / "new" / "figure", ("pdf",))
    assert file.read_bytes().startswith(b"%PDF")


def test_a_file_that_cannot_be_written_is_said_so(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderError, match="Cannot write to"):
        save_figure(anytime_figure(result), tmp_path / "file" / "figure")


# In a paper


@pytest.fixture(scope="module")
def crowded(make_table):
    """13 algorithms with long names."""
    benchmark = TableBenchmark(make_table(name="toy/crowded"))
    algorithms = {
        f"regularized_evolution(population_size={i}, sample_size={j})": (
            f"regularized_evolution(population_size={i}, sample_size={j})"
        )
        for i, j in [(i, j) for i in range(1, 6) for j in range(1, 4) if j <= i][:12]
    }
    algorithms['a $name$ of "words" & <b>signs</b>, and of_one_that_is_longer_than_any_line'] = (
        "random_search"
    )
    assert len(algorithms) == 13
    return compare(algorithms, benchmark, budget=20, seeds=3, n_jobs=1)


@pytest.mark.parametrize("width", [pytest.param(None, marks=pytest.mark.slow), 3.35, 7.0])
def test_13_long_names_find_room_above(crowded, width, tmp_path):
    figure = anytime_figure(crowded, ["valid_regret", "test_regret"], width=width)
    png, svg = save_figure(figure, tmp_path / "figure")
    assert width is None or figure.get_figwidth() == width
    panels = visible(figure)
    assert len({round(p.get_position().x0, 3) for p in panels}) == (1 if (width or 9) < 6 else 2)
    nothing_is_cut_off(png)
    nothing_overlaps(figure, [*panels, *figure.legends])
    texts_are_readable(figure)
    assert all(text.get_fontsize() <= 8 for text in figure.findobj(Text))
    assert ["".join(text.get_text().split()) for text in figure.legends[0].get_texts()] == [
        "".join(name.split()) for name in crowded.algorithms
    ]
    assert not any(panel.texts for panel in panels)
    # The legend does not take its room from the panels.
    assert all(panel.get_window_extent().height > 100 for panel in panels)
    if width is not None:
        inches = imread(png).shape[1] / 200
        assert inches == pytest.approx(width, abs=0.005)
        assert f'width="{72 * width:g}pt"' in svg.read_text()


def test_a_page_has_two_panels_side_by_side_with_names_at_the_curves(result, tmp_path):
    figure = anytime_figure(result, width=WIDTHS["page"])
    png, _ = save_figure(figure, tmp_path / "figure")
    nothing_is_cut_off(png)
    left, right = panels = visible(figure)
    assert left.get_position().y0 == right.get_position().y0
    nothing_overlaps(figure, panels)
    for panel in panels:
        assert sorted(labels_of(panel)) == sorted(result.algorithms)
        names_do_not_overlap(panel)


@pytest.mark.parametrize(
    "statistic", ["mean", pytest.param("median_interval", marks=pytest.mark.slow)]
)
def test_the_data_beside_a_figure_are_what_is_drawn(result, statistic, tmp_path):
    metrics = ["valid_regret", "test"]
    data = anytime_data(result, metrics, statistic=statistic)
    figure = anytime_figure(result, metrics, statistic=statistic, width=3.35, data=data)
    files = save_figure(figure, tmp_path / "figure", PAPER, data)
    assert [file.suffix for file in files] == [".png", ".svg", ".pdf", ".csv"]
    holds_all_of(files[-1], data)
    assert data.columns.tolist() == [
        *("metric", "axis", "benchmark", "algorithm", "statistic"),
        *("point", "centre", "low", "high", "runs", "without"),
    ]
    assert set(data["statistic"]) == {statistic}
    assert set(data["runs"]) == {9}
    wanted = [(name, metric) for name in result.benchmarks for metric in metrics]
    drawn = 0
    for panel, (name, metric) in zip(visible(figure), wanted, strict=True):
        for line in panel.get_lines():
            some = data[(data["benchmark"] == name) & (data["metric"] == metric)]
            some = some[some["algorithm"] == line.get_label()]
            np.testing.assert_array_equal(line.get_xdata(), some["point"])
            np.testing.assert_array_equal(line.get_ydata(), some["centre"])
            drawn += len(some)
    assert drawn == len(data)


def test_a_pdf_has_its_text_and_no_date(result, tmp_path):
    files = [
        save_figure(anytime_figure(result, width=3.35), tmp_path / f"{i}", ("pdf",))[0]
        for i in range(2)
    ]
    written = [file.read_bytes() for file in files]
    assert written[0] == written[1]
    assert b"CreationDate" not in written[0]
    # Text in outlines that LaTeX and journals accept: TrueType, not Type 3.
    assert b"/Type3" not in written[0]
    assert b"/FontFile2" in written[0]
    assert re.search(rb"/MediaBox \[ 0 0 241\.2 ", written[0])


def test_an_interval_without_an_end_goes_on_to_the_border(timed):
    """Of fewer than 6 runs, no order statistic bounds the median with 95 % confidence."""
    result = compare(["random_search"], TableBenchmark(timed), budget=30, seeds=4, n_jobs=1)
    data = anytime_data(result, statistic="median_interval")
    # Until all have an incumbent, there is no median.
    assert np.isinf(data[["low", "high"]].dropna()).all(axis=None)
    figure = anytime_figure(result, statistic="median_interval", data=data)
    figure.draw_without_rendering()
    (panel,) = visible(figure)
    (band,) = panel.collections
    corners = band.get_paths()[0].vertices[:, 1]
    shown = data["centre"]
    assert (corners.min(), corners.max()) == (shown.min(), shown.max())


# What must not break it


def test_seven_algorithms_are_told_apart_and_labelled(timed, tmp_path):
    algorithms = {
        f"evolution of {n}": f"regularized_evolution(population_size={n})" for n in range(1, 8)
    }
    result = compare(algorithms, TableBenchmark(timed), budget=20, seeds=5, n_jobs=1)
    figure = anytime_figure(result)
    _, text = draw(figure, tmp_path)
    (panel,) = visible(figure)
    lines = panel.get_lines()
    # In print without colours, line styles help.
    assert len(set(re.findall(r"stroke-dasharray: ([\d.,]+);", text))) >= 4
    assert len({(to_hex(line.get_color()), str(line.get_linestyle())) for line in lines}) == 7
    assert {to_hex(line.get_color()) for line in lines} == {c.lower() for c in PALETTE}
    assert sorted(labels_of(panel)) == sorted(algorithms)
    boxes = sorted((Text.get_window_extent(text) for text in panel.texts), key=lambda box: box.y0)
    assert all(above.y0 >= below.y1 for below, above in pairwise(boxes))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    assert boxes[0].y0 >= 0
    assert boxes[-1].y1 <= figure.bbox.y1


@pytest.mark.parametrize("n", [1, 3, 4])
def test_any_number_of_benchmarks_finds_room(make_table, n):
    benchmarks = [TableBenchmark(make_table(name=f"toy/{i}")) for i in range(n)]
    result = compare(["random_search", "reinforce"], benchmarks, budget=20, seeds=3, n_jobs=1)
    figure = anytime_figure(result)
    figure.draw_without_rendering()
    panels = visible(figure)
    assert [name_in(panel) for panel in panels] == result.benchmarks
    boxes = [panel.get_tightbbox() for panel in panels]
    for i, one in enumerate(boxes):
        assert one.x0 >= 0
        assert one.x1 <= figure.bbox.x1
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize("metric", ONE_COLUMN)
@pytest.mark.parametrize("statistic", ["mean", pytest.param("median", marks=pytest.mark.slow)])
def test_regrets_of_exactly_zero_do_not_break_the_log_axis(ranked, metric, statistic):
    algorithms = {"best": Best, "evolution": "regularized_evolution", "random": "random_search"}
    result = compare(algorithms, ranked, budget=20, seeds=6, n_jobs=1)
    figure = anytime_figure(result, metric, statistic=statistic)
    figure.draw_without_rendering()
    (panel,) = visible(figure)
    if metric.endswith("regret"):
        assert np.all(panel.get_lines()[0].get_ydata() == 0)
        assert panel.get_yscale() == "log"
        assert panel.get_ylim()[0] > 0
    assert sorted(labels_of(panel)) == ["best", "evolution", "random"]


def test_regrets_that_are_all_zero_are_shown(ranked):
    figure = anytime_figure(compare([Best], ranked, budget=60, seeds=3, n_jobs=1))
    figure.draw_without_rendering()
    (panel,) = visible(figure)
    assert panel.get_yscale() == "linear"
    assert labels_of(panel) == ["Best"]


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("metric", ["test_regret", "valid"])
def test_an_algorithm_that_always_fails_has_no_curve(ranked, metric, statistic):
    algorithms = {"fails": Fails, "random": "random_search"}
    result = compare(algorithms, ranked, budget=20, seeds=4, n_jobs=1)
    figure = anytime_figure(result, metric, statistic=statistic)
    figure.draw_without_rendering()
    (panel,) = visible(figure)
    (line,) = panel.get_lines()
    assert line.get_label() == "random"
    assert np.isfinite(line.get_ydata()[-1])
    assert labels_of(panel) == ["random"]
    title = " ".join(panel.get_title(loc="left").split())
    assert "4 runs, 0 to 4 of which found nothing, median and quartiles" in title


@pytest.mark.parametrize("axis", ["evaluations", "seconds"])
def test_runs_that_all_fail_leave_an_empty_panel(ranked, axis):
    result = compare([Fails], ranked, budget=20, seeds=4, n_jobs=1)
    figure = anytime_figure(result, axis=axis)
    figure.draw_without_rendering()
    assert labels_of(visible(figure)[0]) == [
        "Nothing to draw: half of the runs, or more, found nothing."
    ]


@pytest.mark.parametrize("axis", ["evaluations", "seconds"])
def test_one_run_without_success_among_others(timed_result, axis):
    first, *others = timed_result.runs
    values = np.full_like(first.trace.values, np.nan)
    failed = replace(first, trace=replace(first.trace, values=values))
    result = Result(timed_result.experiment, [failed, *others])
    figure = anytime_figure(result, axis=axis)
    figure.draw_without_rendering()
    (panel,) = visible(figure)
    assert sorted(labels_of(panel)) == ["random_search", "reinforce"]
    title = " ".join(panel.get_title(loc="left").split())
    assert "8 runs, 0 to 1 of which found nothing, median and quartiles" in title
    traces = timed_result.traces("toy/timed", "random_search")[1:]
    line = panel.get_lines()[0]
    samples = curves(traces, result.benchmark("toy/timed"), line.get_xdata(), axis=axis)
    # The median of all eight, of which the one that found nothing is the worst.
    samples = np.sort(np.vstack([samples, np.full(samples.shape[1], np.inf)]), axis=0)
    centre = (samples[3] + samples[4]) / 2
    known = np.isfinite(centre)
    np.testing.assert_allclose(line.get_ydata()[known], centre[known], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axis", ["evaluations", "seconds"])
def test_an_algorithm_that_asked_nothing(timed, axis):
    benchmark = TableBenchmark(timed)
    result = compare([AsksNothing, "random_search"], benchmark, budget=20, seeds=2, n_jobs=1)
    figure = anytime_figure(result, axis=axis)
    figure.draw_without_rendering()
    assert labels_of(visible(figure)[0]) == ["random_search"]
    nothing = compare([AsksNothing], benchmark, budget=20, seeds=2, n_jobs=1)
    with pytest.raises(ValueError, match="no finished runs to plot"):
        anytime_figure(nothing, axis=axis)


@pytest.mark.parametrize("budget", [1, 2])
def test_a_budget_of_next_to_nothing(budget, tmp_path):
    result = compare(["random_search", "gp_bo"], PROTEINS, budget=budget, seeds=1, n_jobs=1)
    image, _ = draw(anytime_figure(result), tmp_path)
    assert image.std() > 0.05


def test_runs_of_different_lengths(timed):
    algorithms = ["random_search(replacement=False)", "random_search"]
    result = compare(algorithms, TableBenchmark(timed), budget=40, seeds=3, n_jobs=1)
    figure = anytime_figure(result)
    figure.draw_without_rendering()
    short, long = visible(figure)[0].get_lines()
    assert len(result.traces("toy/timed", algorithms[0])[0]) == 12
    assert short.get_xdata()[-1] == long.get_xdata()[-1] == 40
    assert np.all(short.get_ydata()[12:] == short.get_ydata()[12])


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("gp_bo(kernel=matern)", ["gp_bo(kernel=matern)"]),
        (
            "genetic_algorithm(crossover=single_point, elitism=2)",
            ["genetic_algorithm", "(crossover=single_point,", "elitism=2)"],
        ),
        ("my own label of many words", ["my own label of many", "words"]),
    ],
)
def test_long_labels_are_broken_between_hyperparameters(label, lines):
    assert wrapped(label, 1.32).split("\n") == lines


@pytest.mark.parametrize("budget", [7, 20])
def test_evaluations_are_counted_in_whole_numbers(budget):
    result = compare(["random_search"], CORA, budget=budget, seeds=2, n_jobs=1)
    for width in (None, 3.35):
        (panel,) = visible(anytime_figure(result, width=width))
        low, high = panel.get_xlim()
        ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
        assert len(ticks) >= 2
        assert all(tick == int(tick) for tick in ticks)


def test_curves_of_many_algorithms_have_no_bands(make_table):
    benchmark = TableBenchmark(make_table())
    for n in (7, 8):
        algorithms = {f"a{i}": "random_search" for i in range(n)}
        figure = anytime_figure(compare(algorithms, benchmark, budget=5, seeds=3, n_jobs=1))
        (panel,) = visible(figure)
        assert len(panel.get_lines()) == n
        assert len(panel.collections) == (7 if n == 7 else 0)
        title = " ".join(panel.get_title(loc="left").split())
        said = "mean and 95 % bootstrap interval" if n == 7 else "mean (no bands for 8 algorithms)"
        assert f", {said}, " in title


def test_a_metric_without_values_leaves_the_others_as_they_are(make_table):
    test = np.full((11, 2, 3), 50.0)
    test[9] = np.nan
    lacks = make_table("toy/lacks-test", test=test)
    result = compare([Best], TableBenchmark(lacks), budget=5, seeds=2, n_jobs=1)
    both = ["valid_regret", "test_regret"]
    data = anytime_data(result, both)
    assert set(data["metric"]) == {"valid_regret"}
    assert data["point"].dtype == data["centre"].dtype == np.float64
    assert len(anytime_figure(result, both).axes) == 2
