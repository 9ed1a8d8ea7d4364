"""The schedule of the workers and the Pareto fronts: what is drawn is what happened."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from figure_checks import (
    holds_all_of,
    nothing_is_cut_off,
    nothing_overlaps,
    texts_are_readable,
    visible,
)
from matplotlib.cbook import pts_to_poststep
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.path import Path

from nasbench_lab import stats
from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import BudgetError, ExperimentError, QueryError, UnknownNameError
from nasbench_lab.figures import save_figure
from nasbench_lab.figures.layout import PAPER
from nasbench_lab.figures.pareto import pareto_data, pareto_figure
from nasbench_lab.figures.schedule import schedule_data, schedule_figure
from nasbench_lab.registry import load_benchmark
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare
from nasbench_lab.trace import STATUSES
from nasbench_lab.workers import Workers

pytestmark = pytest.mark.long

DIGITS = "nb201-digits"
CORA = "nas-bench-graph/cora"
KINDS = {
    "done": "done",
    "stopped": "stopped early",
    "failed": "failed",
    "cut off": "cut off",
    "continued": "continued trial",
}
UNRELIABLE = Workers(3, fail=0.2, straggle=0.2)


class Halving(SearchAlgorithm):
    """Trains to the first epoch, and of every two trials the better one on to the next."""

    def __init__(self, space, **kwargs):
        super().__init__(space, **kwargs)
        self.told = {epoch: [] for epoch in self.fidelities or (None,)}

    def ask(self):
        for epoch, later in pairwise(self.told):
            if len(self.told[epoch]) > 1:
                (_, trial), *_ = sorted(self.told[epoch][:2], reverse=True)
                del self.told[epoch][:2]
                return trial._replace(epoch=later)
        return self.trial(self.space.sample(self.rng), next(iter(self.told)))

    def tell(self, trial, evaluation):
        self.told[trial.epoch].append((self.score(evaluation), trial))


class Stopping(SearchAlgorithm):
    """Stops every third trial after its first epoch."""

    def ask(self):
        return self.trial(self.space.sample(self.rng))

    def should_stop(self, trial, evaluation):
        return trial.number % 3 == 0


class FirstEpoch(SearchAlgorithm):
    """Trains nothing to the end."""

    def ask(self):
        return self.trial(self.space.sample(self.rng), 1)


class AsksNothing(SearchAlgorithm):
    def ask(self):
        return None


ALL = {"halving": Halving, "stopping": Stopping, "random": "random_search"}


@pytest.fixture(scope="module")
def timed_result(timed):
    benchmark = TableBenchmark(timed)
    return compare(ALL, benchmark, budget="400s", workers=UNRELIABLE, seeds=[3, 4], n_jobs=1)


def colour_bars(figure):
    return [panel for panel in figure.axes if panel.get_label() == "<colorbar>"]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def draw(figure, tmp_path):
    """Writes the figure, so that everything is laid out; returns the SVG's text."""
    (svg,) = save_figure(figure, tmp_path / "figure", ("svg",))
    return svg.read_text()


def bars_of(panel):
    """What is drawn of each kind: ``(n, 4)`` start, end, top and bottom."""
    result = {}
    for drawn in panel.collections:
        assert isinstance(drawn, PolyCollection)
        extents = [path.get_extents() for path in drawn.get_paths()]
        result[drawn.get_label()] = np.array([(e.x0, e.x1, e.y0, e.y1) for e in extents])
    return result


def expected_bars(trace):
    """By kind, ``(n, 3)`` start, end and worker, and the epochs."""
    result = {}
    for part in (trace, trace.cut_off):
        columns = np.stack([part.start, part.end, part.worker], axis=1)
        kinds = {s: part.status == i for i, s in enumerate(STATUSES)}
        for kind, chosen in {**kinds, "continued": part.since > 0}.items():
            if chosen.any():
                before, epochs = result.get(kind, (np.empty((0, 3)), np.empty(0, int)))
                result[kind] = (
                    np.concatenate([before, columns[chosen]]),
                    np.concatenate([epochs, part.epoch[chosen]]),
                )
    return result


# The schedule


@pytest.mark.parametrize("seed", [None, 4])
def test_every_evaluation_is_a_bar_where_it_happened(timed_result, seed):
    figure = schedule_figure(timed_result, seed)
    figure.draw_without_rendering()
    shown = seed or 3
    runs = [run for run in timed_result.runs if run.seed == shown]
    occurring = set()
    assert len(visible(figure)) == 3
    setting = ", clock official, 3 workers, fail 0.2, straggle 0.2"
    for panel, run in zip(visible(figure), runs, strict=True):
        of_all = setting if panel is visible(figure)[0] else ""
        assert panel.get_title(loc="left") == f"{run.algorithm} on toy/timed, seed {shown}{of_all}"
        drawn, expected = bars_of(panel), expected_bars(run.trace)
        assert set(drawn) == {KINDS[kind] for kind in expected}
        occurring |= set(drawn)
        for kind, (columns, _) in expected.items():
            start, end, top, bottom = drawn[KINDS[kind]].T
            np.testing.assert_array_equal(start, columns[:, 0])
            np.testing.assert_array_equal(end, columns[:, 1])
            # The line of the worker, and on no other.
            assert np.all(top > columns[:, 2] - 0.5)
            assert np.all(bottom < columns[:, 2] + 0.5)
    assert legend_of(figure) == [
        label for label in [*KINDS.values(), "end of the budget"] if label in occurring
    ] + ["end of the budget"]
    # The example has them all.
    assert occurring == set(KINDS.values())


def test_kinds_of_bars_are_told_apart_by_shape(timed_result):
    """In print without colours, and where bars are narrow."""
    shapes = {}
    for panel in visible(schedule_figure(timed_result)):
        for drawn in panel.collections:
            corners = drawn.get_paths()[0].vertices
            corners = (corners - corners.min(axis=0)) / np.ptp(corners, axis=0).clip(1e-9)
            height = drawn.get_paths()[0].get_extents().height
            dashed = drawn.get_linestyle()[0][1] is not None
            shapes[drawn.get_label()] = corners.round(6).tobytes(), round(height, 6), dashed
    assert len(shapes) == len(KINDS) == len(set(shapes.values()))
    assert shapes["stopped early"][1] == pytest.approx(shapes["done"][1] / 2)


def test_bars_do_not_hide_each_other(timed_result):
    """A worker does one thing at a time, and bars of neighbouring workers do not touch."""
    for panel in visible(schedule_figure(timed_result)):
        drawn = bars_of(panel)
        marks = drawn.pop("continued trial", np.empty((0, 4)))
        bars = np.concatenate(list(drawn.values()))
        order = np.lexsort((bars[:, 0], bars[:, 2].round()))
        for (_, end, _, _), (start, _, _, _) in pairwise(bars[order]):
            assert end <= start or start == bars[:, 0].min()
        full = drawn["done"]
        assert np.all(np.ceil(full[:, 2]) == np.floor(full[:, 3]))
        # What marks a continued trial is below all bars.
        assert np.all(marks[:, 2] % 1 >= full[0, 3] % 1 - 1e-9)


def test_colours_say_the_epoch(timed_result):
    figure = schedule_figure(timed_result)
    (scale,) = colour_bars(figure)
    assert scale.get_xlabel() == "trained to epoch"
    assert [text.get_text() for text in scale.get_xticklabels()] == ["1", "2", "4"]
    runs = [run for run in timed_result.runs if run.seed == 3]
    by_epoch = {}
    for panel, run in zip(visible(figure), runs, strict=True):
        expected = expected_bars(run.trace)
        for drawn in panel.collections:
            kind = next(k for k, label in KINDS.items() if label == drawn.get_label())
            if kind in ("done", "stopped"):
                colours = list(map(to_hex, drawn.get_facecolor()))
                for epoch, colour in zip(expected[kind][1].tolist(), colours, strict=True):
                    by_epoch.setdefault(epoch, set()).add(colour)
    assert sorted(by_epoch) == [1, 2, 4]
    assert all(len(colours) == 1 for colours in by_epoch.values())
    # From light to dark.
    greys = [
        int(colour[1:3], 16) * 0.3 + int(colour[3:5], 16) * 0.59 + int(colour[5:], 16) * 0.11
        for (colour,) in (by_epoch[epoch] for epoch in (1, 2, 4))
    ]
    assert greys[0] - 30 > greys[1] > greys[2] + 30
    assert greys[0] < 225


@pytest.mark.parametrize("name", [CORA, DIGITS])
def test_one_colour_where_epochs_do_not_differ(name):
    result = compare(["random_search"], name, budget=30, workers=2, seeds=1, n_jobs=1)
    figure = schedule_figure(result)
    (panel,) = visible(figure)
    (bars,) = panel.collections
    assert len(bars.get_paths()) == 30
    assert len(set(map(to_hex, bars.get_facecolor()))) == 1
    assert colour_bars(figure) == []
    assert legend_of(figure) == ["done"]
    assert panel.get_xlabel() == (
        "simulated time (evaluations)" if name == CORA else "simulated seconds"
    )


def test_the_axis_of_time_ends_a_little_after_the_budget(timed_result):
    figure = schedule_figure(timed_result)
    panels = visible(figure)
    for panel in panels:
        assert panel.get_xlim() == (0, pytest.approx(408))
        assert panel.get_ylim() == (2.6, -0.6)
        assert panel.get_ylabel() == "worker"
        assert panel.get_yticks().tolist() == [0, 1, 2]
        (line,) = panel.get_lines()
        assert set(line.get_xdata()) == {400}
    assert [panel.get_xlabel() for panel in panels] == ["", "", "simulated seconds"]


@pytest.mark.parametrize("budget", [40, "60epochs", "40,1e9s"])
def test_the_axis_of_time_ends_with_the_run_if_seconds_do_not(timed, budget):
    result = compare(ALL, TableBenchmark(timed), budget=budget, workers=2, seeds=1, n_jobs=1)
    figure = schedule_figure(result)
    last = max(t.end[-1] for a in ALL for t in result.traces("toy/timed", a))
    for panel in visible(figure):
        assert panel.get_lines()[:] == []
        assert panel.get_xlim() == (0, pytest.approx(1.02 * last))
    assert "end of the budget" not in legend_of(figure)
    cut_off = any(len(run.trace.cut_off) for run in result.runs)
    assert ("cut off" in legend_of(figure)) == cut_off == (budget == "60epochs")


def test_idle_workers_and_runs_that_end_early_are_white(timed):
    algorithms = ["random_search(replacement=False)", AsksNothing]
    result = compare(
        algorithms, TableBenchmark(timed), budget="2000s", workers=4, seeds=1, n_jobs=1
    )
    short, empty = visible(schedule_figure(result))
    assert sum(map(len, bars_of(short).values())) == 12
    assert bars_of(empty) == {}
    assert short.get_xlim() == empty.get_xlim() == (0, pytest.approx(2040))
    assert not any(line.get_visible() for line in short.get_xgridlines() + short.get_ygridlines())


def test_columns_are_benchmarks_and_rows_algorithms(timed):
    benchmarks = [TableBenchmark(timed), load_benchmark(CORA), load_benchmark(DIGITS)]
    result = compare(["random_search", Halving], benchmarks, budget=40, seeds=2, n_jobs=1)
    figure = schedule_figure(result)
    figure.draw_without_rendering()
    panels = visible(figure)
    assert [panel.get_title(loc="left").split(",")[0] for panel in panels] == [
        f"{algorithm} on {name}" for algorithm in result.algorithms for name in result.benchmarks
    ]
    for above, below in zip(panels[:3], panels[3:], strict=True):
        assert above.get_xlim() == below.get_xlim()
        assert above.get_xlabel() == ""
        assert below.get_xlabel().startswith("simulated")
    # That of the first and the third: the second knows no epochs.
    assert len(colour_bars(figure)) == 2
    nothing_overlaps(figure, [*panels, *colour_bars(figure), figure.legends[0]])
    texts_are_readable(figure)


def test_runs_that_are_not_finished_are_left_out(timed):
    benchmarks = [TableBenchmark(timed), load_benchmark(CORA)]
    whole = compare(["random_search", Halving], benchmarks, budget=20, seeds=[5, 7], n_jobs=1)
    runs = [
        r for r in whole.runs if r.seed == 7 and (r.benchmark, r.algorithm) != (CORA, "Halving")
    ]
    figure = schedule_figure(Result(whole.experiment, runs))
    figure.draw_without_rendering()
    titles = [panel.get_title(loc="left") for panel in visible(figure)]
    assert titles == [
        "random_search on toy/timed, seed 7, clock official",
        f"random_search on {CORA}, seed 7, clock evaluations",
        "Halving on toy/timed, seed 7",
    ]
    _, last, _ = visible(figure)
    assert last.get_xlabel() == "simulated time (evaluations)"
    assert any(label.get_visible() for label in last.get_xticklabels())
    figure = schedule_figure(Result(whole.experiment, runs[:1]))
    assert len(figure.axes) == 1


def test_unknown_seeds_are_refused_with_those_there_are(timed_result):
    with pytest.raises(ExperimentError, match=r"no runs of seed 0 to plot\. Seeds: 3, 4\."):
        schedule_figure(timed_result, 0)


@pytest.mark.parametrize("plot", [schedule_figure, pareto_figure])
def test_without_runs_there_is_nothing_to_plot(timed, timed_result, plot):
    nothing = compare([AsksNothing], TableBenchmark(timed), budget=20, seeds=2, n_jobs=1)
    for result in (nothing, Result(timed_result.experiment, [])):
        with pytest.raises(ExperimentError, match="no finished runs to plot"):
            plot(result)


def test_a_budget_that_suffices_for_nothing_shows_what_was_cut_off(timed):
    result = compare(["random_search"], TableBenchmark(timed), budget="1s", seeds=1, n_jobs=1)
    figure = schedule_figure(result)
    figure.draw_without_rendering()
    assert legend_of(figure) == ["cut off", "end of the budget"]


def test_evaluations_that_take_no_time(timed):
    result = compare(["random_search"], TableBenchmark(timed), budget=3, seeds=1, n_jobs=1)
    (run,) = result.runs
    none = np.zeros(3)
    trace = replace(run.trace, start=none, end=none, cost=none)
    figure = schedule_figure(Result(result.experiment, [replace(run, trace=trace)]))
    figure.draw_without_rendering()
    (panel,) = visible(figure)
    assert panel.get_xlim() == (0, 1)
    assert sum(map(len, bars_of(panel).values())) == 3


@pytest.mark.parametrize("budget", ["100s", "250s"])
def test_numbers_are_in_their_bars(timed, budget):
    workers = Workers(4, fail=0.2)
    result = compare(ALL, TableBenchmark(timed), budget=budget, workers=workers, seeds=1, n_jobs=1)
    figure = schedule_figure(result)
    figure.draw_without_rendering()
    for panel, run in zip(visible(figure), result.runs, strict=True):
        bars = np.concatenate([v for k, v in bars_of(panel).items() if k != "continued trial"])
        parts = [run.trace, run.trace.cut_off]
        starts = np.concatenate([part.start for part in parts])
        trials = np.concatenate([part.trial for part in parts])
        lines = np.concatenate([part.worker for part in parts])
        assert len(panel.texts) > 5
        for text in panel.texts:
            x, y = text.get_position()
            (bar,) = bars[(bars[:, 0] < x) & (x < bars[:, 1]) & (bars[:, 2] < y) & (y < bars[:, 3])]
            began = trials[(starts == bar[0]) & (lines == round(bar[3] - 0.35))]
            # Those of architectures that the table lacks take no time.
            assert text.get_text() == str(began.max())
            (left, bottom), (right, top) = panel.transData.transform(bar.reshape(2, 2).T)
            box = text.get_window_extent()
            assert left <= box.x0
            assert box.x1 <= min(right, panel.bbox.x1)
            # The box of a text has room for letters that reach below the line.
            assert box.height < 1.6 * abs(top - bottom)
    texts_are_readable(figure)


def test_ten_thousand_evaluations_are_few_artists(tmp_path):
    result = compare(
        {"halving": Halving}, DIGITS, budget=10_000, workers=UNRELIABLE, seeds=1, n_jobs=1
    )
    figure = schedule_figure(result)
    (panel,) = visible(figure)
    assert len(panel.get_children()) < 30
    assert panel.texts[:] == []
    drawn = bars_of(panel)
    marks = drawn.pop("continued trial")
    assert sum(map(len, drawn.values())) == 10_000
    assert len(marks) == np.sum(result.runs[0].trace.since > 0)
    for bars in panel.collections:
        assert bars.get_rasterized()
        # No outline hides the bars: it has their colour, or is much narrower than they are.
        if bars.get_label() == "done":
            np.testing.assert_array_equal(bars.get_edgecolor(), bars.get_facecolor())
        if bars.get_label() == "failed":
            assert bars.get_linewidth()[0] <= 0.1
    assert len(draw(figure, tmp_path)) < 500_000


def test_outlines_are_thin_where_bars_are_narrow(timed):
    widths = []
    for budget in (50, 190, 600):
        benchmark = TableBenchmark(timed)
        result = compare(["random_search"], benchmark, budget=budget, seeds=1, n_jobs=1)
        (panel,) = visible(schedule_figure(result))
        failed = next(bars for bars in panel.collections if bars.get_label() == "failed")
        widths.append(failed.get_linewidth()[0])
        assert widths[-1] <= 0.1 * 72 * 7 / budget
    assert 0.4 >= widths[0] > widths[1] > widths[2] > 0


@pytest.mark.parametrize("workers", [1, 40])
def test_any_number_of_workers_finds_room(timed, workers):
    result = compare(ALL, TableBenchmark(timed), budget="100s", workers=workers, seeds=1, n_jobs=1)
    figure = schedule_figure(result)
    figure.draw_without_rendering()
    for panel in visible(figure):
        ticks = panel.get_yticks()
        assert len(ticks) <= 12
        assert np.all(ticks == ticks.astype(int))
        assert panel.get_ylim() == (workers - 0.4, -0.6)
        boxes = [label.get_window_extent() for label in panel.get_yticklabels()]
        assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))
        assert bool(panel.texts) == (workers == 1)
    nothing_overlaps(figure, [*visible(figure), *colour_bars(figure), figure.legends[0]])
    texts_are_readable(figure)


# Pareto fronts


def benchmark_of(*objectives, name=DIGITS, **kwargs):
    return load_benchmark(name, objective=list(objectives), **kwargs)


@pytest.fixture(scope="module")
def two():
    """Accuracy, which is maximised, and parameters, which are minimised."""
    benchmark = benchmark_of("valid_accuracy", "parameters")
    algorithms = ["random_search", "regularized_evolution"]
    return compare(algorithms, benchmark, budget=150, seeds=6, n_jobs=1)


def brute_front(values, maximize):
    """The distinct rows that no other dominates, by the definition."""
    costs = np.where(maximize, -values, values)
    costs = np.unique(costs[~np.isnan(costs).any(axis=1)], axis=0)
    worse = (costs[:, None] >= costs).all(axis=2) & (costs[:, None] > costs).any(axis=2)
    return np.unique(np.where(maximize, -1, 1) * costs[~worse.any(axis=1)], axis=0)


def final_values(trace, benchmark):
    """What was trained to the end, by the table."""
    rows = trace.row[(trace.epoch == benchmark.epochs) & ~np.isnan(trace.values).any(axis=1)]
    return stats.objective_values(benchmark)[rows]


def line_of(panel, label):
    (line,) = (line for line in panel.get_lines() if line.get_label() == label)
    return line


def front_of(line):
    """``(k, 2)`` first and second objective of a front's markers, in ascending order."""
    return np.unique(line.get_xydata()[1:-1, ::-1], axis=0)


DIRECTIONS = [
    ("valid_accuracy", "parameters"),
    ("parameters", "valid_accuracy"),
    pytest.param(("valid_loss", "flops"), marks=pytest.mark.slow),
    ("train_accuracy", "valid_accuracy"),
    ("valid_accuracy", "train_loss", "parameters"),
]


@pytest.mark.parametrize("objectives", DIRECTIONS, ids=" ".join)
def test_fronts_are_those_of_the_definition_and_steps_bound_what_they_dominate(objectives):
    benchmark = benchmark_of(*objectives)
    result = compare(["random_search"], benchmark, budget=60, seeds=4, n_jobs=1)
    panel, right = pareto_figure(result).axes
    more = np.array(stats.maximized(benchmark)[:2])
    every = stats.objective_values(benchmark)[:, :2]
    traces = result.traces(DIGITS, "random_search")
    shares = [stats.hypervolume(trace, benchmark)[-1] for trace in traces]
    # Of four, the lower of the two in the middle.
    median = traces[np.argsort(shares, kind="stable")[1]]
    rng = np.random.default_rng(0)
    (x0, x1), (y0, y1) = panel.get_xlim(), panel.get_ylim()
    for label, values in (
        ("Pareto front of the table", every),
        ("random_search", final_values(median, benchmark)[:, :2]),
    ):
        line, front = line_of(panel, label), brute_front(values, more)
        np.testing.assert_array_equal(front_of(line), front)
        # The area between the steps and the worst corner is what the front dominates.
        assert line.get_drawstyle() == "steps-post"
        corner = [(x1, x0)[int(more[1])], (y1, y0)[int(more[0])]]
        steps = np.stack(pts_to_poststep(*line.get_xydata().T), axis=1)
        area = Path([*steps, corner])
        points = rng.uniform((x0, y0), (x1, y1), (2000, 2))
        sign = np.where(more, 1, -1)
        dominated = ((sign * front)[:, None] >= sign * points[:, ::-1]).all(axis=2).any(axis=0)
        np.testing.assert_array_equal(area.contains_points(points), dominated)
        assert 50 < dominated.sum() < 2000
    title = panel.get_title(loc="left")
    assert title.startswith(f"{DIGITS}, runs of median hypervolume")
    assert ("first two of 3 objectives" in " ".join(title.split())) == (len(objectives) == 3)
    assert right.get_ylabel().startswith("missing hypervolume")


def test_the_curves_are_those_of_the_hypervolume(two, tmp_path):
    figure = pareto_figure(two)
    svg = draw(figure, tmp_path)
    left, right = figure.axes
    assert right.get_title(loc="left") == f"{DIGITS}, 6 runs, mean and 95 % bootstrap interval"
    assert right.get_ylabel() == "missing hypervolume (share of the table's)"
    assert right.get_xlabel() == "evaluations"
    assert right.get_xlim() == (1, 150)
    for algorithm, band in zip(two.algorithms, right.collections, strict=True):
        traces = two.traces(DIGITS, algorithm)
        points = stats.grid(traces)
        samples = 1 - stats.curves(traces, two.benchmark(DIGITS), points, "hypervolume")
        low, high = stats.bootstrap_interval(samples)
        line = line_of(right, algorithm)
        np.testing.assert_array_equal(line.get_xdata(), points)
        np.testing.assert_allclose(line.get_ydata(), samples.mean(axis=0), rtol=1e-12)
        corners = band.get_paths()[0].vertices
        np.testing.assert_allclose(corners[:, 1].min(), low.min(), rtol=1e-12)
        np.testing.assert_allclose(corners[:, 1].max(), high.max(), rtol=1e-12)
        # The same line means the same algorithm on both sides.
        same = line_of(left, algorithm)
        assert same.get_color() == line.get_color()
        assert same.get_linestyle() == line.get_linestyle()
    assert left.get_xlabel() == "parameters (M)"
    assert left.get_ylabel() == "valid accuracy (%)"
    for words in (*two.algorithms, "parameters", "simulated"):
        assert bool(re.search(f"<text [^>]*>[^<]*{words}", svg)) == (words != "simulated")
    assert legend_of(figure) == [
        "entries of the table",
        "Pareto front of the table",
        *two.algorithms,
    ]
    nothing_overlaps(figure, [left, right, figure.legends[0]])
    texts_are_readable(figure)


def test_the_picture_is_of_the_fronts(two):
    left, _ = pareto_figure(two).axes
    limits = np.array([left.get_xlim(), left.get_ylim()])
    assert left.get_xscale() == "log"
    assert left.get_yscale() == "linear"
    labels = ["Pareto front of the table", *two.algorithms]
    points = np.concatenate([line_of(left, label).get_xydata()[1:-1] for label in labels])
    inside = ((points > limits[:, 0]) & (points < limits[:, 1])).all(axis=1)
    # Networks that learn nothing are far from all others.
    assert np.all(points[~inside, 1] < 60)
    assert 0.7 < inside.mean() < 1
    limits[0], points[:, 0] = np.log(limits[0]), np.log(points[:, 0])
    assert np.all(np.ptp(points[inside], axis=0) > 0.85 * (limits[:, 1] - limits[:, 0]))
    # Of the table there is what lies within, and no more.
    dots = line_of(left, "entries of the table")
    every = stats.objective_values(two.benchmark(DIGITS))[:, ::-1]
    (x0, x1), (y0, y1) = left.get_xlim(), left.get_ylim()
    shown = every[(every[:, 0] >= x0) & (every[:, 0] <= x1)]
    shown = shown[(shown[:, 1] >= y0) & (shown[:, 1] <= y1)]
    np.testing.assert_array_equal(dots.get_xydata(), shown)
    assert dots.get_rasterized()


def test_algorithms_are_told_apart_without_colours():
    benchmark = benchmark_of("valid_accuracy", "parameters")
    algorithms = {
        f"regularized evolution with a population of {n} and samples": (
            f"regularized_evolution(population_size={n})"
        )
        for n in range(2, 9)
    }
    result = compare(algorithms, benchmark, budget=20, seeds=2, n_jobs=1)
    figure = pareto_figure(result)
    figure.draw_without_rendering()
    left, right = figure.axes
    lines = [line_of(left, algorithm) for algorithm in algorithms]
    assert (
        len({line.get_marker() for line in lines})
        == len({to_hex(i.get_color()) for i in lines})
        == 7
    )
    assert [" ".join(label.split()) for label in legend_of(figure)[2:]] == list(algorithms)
    nothing_overlaps(figure, [left, right, figure.legends[0]])


@pytest.mark.parametrize(
    ("budget", "axis", "label", "last"),
    [
        (30, None, "evaluations", 30),
        ("5s", None, "simulated seconds", 5),
        ("360epochs", None, "epochs", 360),
        ("30,1e6s", None, "simulated time", 1e6),
        ("5s", "epochs", "epochs", None),
        (30, "seconds", "simulated seconds", None),
    ],
)
def test_the_axis_is_that_of_the_budget_unless_given(budget, axis, label, last):
    benchmark = benchmark_of("valid_accuracy", "parameters")
    result = compare(["random_search"], benchmark, budget=budget, seeds=2, n_jobs=1)
    _, right = pareto_figure(result, axis).axes
    assert right.get_xlabel() == label
    assert last is None or right.get_xlim()[1] == last


def test_one_row_per_benchmark():
    benchmarks = [
        benchmark_of("valid_accuracy", "latency", name=CORA),
        benchmark_of("valid_accuracy", "flops", constraints="parameters<=0.01"),
    ]
    result = compare(["random_search", "reinforce"], benchmarks, budget=30, seeds=3, n_jobs=1)
    figure = pareto_figure(result)
    figure.draw_without_rendering()
    assert [panel.get_title(loc="left").split(",")[0] for panel in figure.axes] == [
        *(CORA, CORA),
        *(DIGITS, DIGITS),
    ]
    assert [panel.get_xlabel() for panel in figure.axes[::2]] == ["latency (s)", "flops (M)"]
    nothing_overlaps(figure, [*figure.axes, figure.legends[0]])
    # What a constraint forbids is on no front.
    constrained = benchmarks[1]
    values = stats.objective_values(constrained)
    shown = front_of(line_of(figure.axes[2], "Pareto front of the table (of those allowed)"))
    np.testing.assert_array_equal(shown, brute_front(values, [True, False]))
    assert len(shown) < len(
        brute_front(stats.objective_values(benchmark_of(*DIRECTIONS[0])), [1, 0])
    )


def test_nothing_trained_to_the_end_is_no_front():
    benchmark = benchmark_of("valid_accuracy", "parameters")
    result = compare(
        [FirstEpoch, "random_search", AsksNothing], benchmark, budget=20, seeds=2, n_jobs=1
    )
    figure = pareto_figure(result)
    figure.draw_without_rendering()
    left, right = figure.axes
    assert len(line_of(left, "FirstEpoch").get_xdata()) == 0
    assert np.all(line_of(right, "FirstEpoch").get_ydata() == 1)
    assert legend_of(figure)[2:] == ["FirstEpoch", "random_search"]
    assert right.get_title(loc="left").startswith(f"{DIGITS}, 2 runs, 0 to 2 of which")


def test_a_front_of_one_point(make_table):
    """Where all are equal, there is no range to show."""
    same = np.full((11, 2, 3), 50.0)
    queries = ["valid_accuracy", "train_time"]
    benchmark = TableBenchmark(make_table(name="toy/same", valid=same), objective=queries)
    result = compare(["random_search"], benchmark, budget=20, seeds=2, n_jobs=1)
    figure = pareto_figure(result)
    figure.draw_without_rendering()
    line = line_of(figure.axes[0], "Pareto front of the table")
    assert line.get_xydata()[1:-1].tolist() == [[40.0, 50.0]]
    (x0, x1), (y0, y1) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert x0 < 40 < x1
    assert y0 < 50 < y1


def test_entries_of_which_an_objective_is_unknown_are_on_no_front(make_table):
    accuracies = np.arange(11.0)[:, None, None] * np.ones((1, 2, 3))
    accuracies[0] = np.nan
    queries = ["train_time", "valid_time", "valid_accuracy"]
    benchmark = TableBenchmark(make_table(name="toy/gap", valid=accuracies), objective=queries)
    result = compare(["random_search"], benchmark, budget=20, seeds=2, n_jobs=1)
    left, _ = pareto_figure(result).axes
    times = np.stack([4.0 * (10 + np.arange(11)), 1.0 + np.arange(11) % 3], axis=1)
    shown = front_of(line_of(left, "Pareto front of the table"))
    np.testing.assert_array_equal(shown, brute_front(times[1:], [False, False]))
    assert times[0].tolist() not in shown.tolist()


def test_one_objective_has_no_front(timed_result):
    with pytest.raises(QueryError, match="searched for one objective, valid_accuracy"):
        pareto_figure(timed_result)


def test_axes_that_a_benchmark_does_not_have_are_refused(two):
    benchmark = benchmark_of("valid_accuracy", "latency", name=CORA)
    result = compare(["random_search"], benchmark, budget=5, seeds=1, n_jobs=1)
    for axis in ("seconds", "epochs"):
        with pytest.raises(BudgetError, match="Use the axis 'evaluations'"):
            pareto_figure(result, axis)
    with pytest.raises(UnknownNameError, match="Did you mean 'seconds'"):
        pareto_figure(two, "second")


# Both


@pytest.mark.parametrize("width", [3.35, pytest.param(7.0, marks=pytest.mark.slow)])
def test_schedules_in_a_paper(timed, width, tmp_path):
    benchmarks = [
        TableBenchmark(timed, objective="valid_accuracy"),
        load_benchmark(DIGITS, clock="resume"),
    ]
    result = compare(ALL, benchmarks, budget="60s", workers=UNRELIABLE, seeds=1, n_jobs=1)
    data = schedule_data(result)
    figure = schedule_figure(result, width=width, data=data)
    *_, csv = files = save_figure(figure, tmp_path / "figure", PAPER, data)
    holds_all_of(csv, data)
    nothing_is_cut_off(files[0])
    assert figure.get_figwidth() == width
    panels = visible(figure)
    assert len({round(p.get_position().x0, 3) for p in panels}) == (1 if width < 6 else 2)
    nothing_overlaps(figure, [*panels, *colour_bars(figure), *figure.legends])
    texts_are_readable(figure)
    for panel in panels:
        words = " ".join(panel.get_title(loc="left").split())
        algorithm, name = re.match(r"(\w+) on ([\w/-]+), seed 0", words).groups()
        some = data[(data["benchmark"] == name) & (data["algorithm"] == algorithm)]
        (run,) = (r for r in result.runs if (r.benchmark, r.algorithm) == (name, algorithm))
        assert len(some) == len(run.trace) + len(run.trace.cut_off)
        for kind, bars in bars_of(panel).items():
            status = {label: status for status, label in KINDS.items()}[kind]
            chosen = some["since"] > 0 if status == "continued" else some["status"] == status
            np.testing.assert_array_equal(bars[:, 0], some["start"][chosen])
            np.testing.assert_array_equal(bars[:, 1], some["end"][chosen])


@pytest.mark.parametrize("width", [3.35, pytest.param(7.0, marks=pytest.mark.slow)])
def test_fronts_in_a_paper(two, width, tmp_path):
    data = pareto_data(two)
    figure = pareto_figure(two, width=width, data=data)
    *_, csv = files = save_figure(figure, tmp_path / "figure", PAPER, data)
    holds_all_of(csv, data)
    nothing_is_cut_off(files[0])
    assert figure.get_figwidth() == width
    left, right = panels = visible(figure)
    assert (left.get_position().x0 < right.get_position().x0) == (width > 6)
    nothing_overlaps(figure, [*panels, *figure.legends])
    texts_are_readable(figure)
    assert set(data["x_label"]) == {"parameters (M)", "evaluations"}
    for algorithm in two.algorithms:
        some = data[data["algorithm"] == algorithm]
        front = some[some["curve"] == "front"]
        points = np.unique(front[["y", "x"]], axis=0)
        np.testing.assert_array_equal(front_of(line_of(left, algorithm)), points)
        (seed,) = set(front["seed"])
        found = final_values(two.traces(DIGITS, algorithm)[seed], two.benchmark(DIGITS))
        np.testing.assert_array_equal(points, brute_front(found, [True, False]))
        curve = some[some["curve"] == "missing hypervolume"]
        np.testing.assert_array_equal(line_of(right, algorithm).get_ydata(), curve["y"])
        assert (curve["low"] <= curve["y"]).all()
        assert (curve["y"] <= curve["high"]).all()


@pytest.mark.parametrize("plot", [schedule_figure, pareto_figure])
def test_the_same_result_gives_the_same_files_to_the_byte(two, plot, tmp_path):
    two.save(tmp_path / "result")
    drawn = []
    for i, one in enumerate((two, Result.open(tmp_path / "result"))):
        # The benchmark is opened by name, with its objectives.
        files = save_figure(plot(one), tmp_path / f"figure{i}")
        drawn.append([file.read_bytes() for file in files])
    assert drawn[0] == drawn[1]


def test_seconds_that_did_not_end_a_run_are_not_drawn_as_its_end():
    run = compare(["random_search"], "nb201-digits", budget=20, seeds=1, n_jobs=1).runs[0].trace
    # The fifth exceeds the epochs, and would have ended after the seconds; it never ran.
    seconds = float((run.end[3] + run.end[4]) / 2)
    for epochs, drawn in ((5 * run.epoch[0] - 1, False), (20 * run.epoch[0], True)):
        budget = f"{seconds!r}s,{epochs}epochs"
        result = compare(["random_search"], "nb201-digits", budget=budget, seeds=1, n_jobs=1)
        assert len(result.runs[0].trace) == 4
        figure = schedule_figure(result)
        labels = [line.get_label() for panel in figure.axes for line in panel.lines]
        assert ("end of the budget" in labels) is drawn, labels
