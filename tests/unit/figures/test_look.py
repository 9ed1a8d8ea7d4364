"""How figures look: lines that are told apart, names in any script, wide figures that fold."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from nasbench_lab.errors import FigureError, UnknownNameError
from nasbench_lab.figures import WIDTHS, anytime_figure, save_figure
from nasbench_lab.figures.comparison import (
    critical_difference_figure,
    ecdf_figure,
    final_figure,
    rank_figure,
)
from nasbench_lab.figures.landscape import analysis_figures
from nasbench_lab.figures.layout import Look, drawable
from nasbench_lab.figures.pareto import _MARKERS, pareto_figure
from nasbench_lab.figures.schedule import schedule_figure
from nasbench_lab.landscape.analysis import analyse
from nasbench_lab.running.comparison import compare
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table

pytestmark = pytest.mark.long

CORA = "nas-bench-graph/cora"
OTHERS = ["nas-bench-graph/citeseer", "nas-bench-graph/pubmed"]
NAMES = [f"a{i}" for i in range(13)]


@pytest.mark.parametrize(
    "look",
    [
        Look(),
        *(
            Look(colours=tuple(c for c in ("red", "blue", "k", "c", "m", "y")[:n]))
            for n in (3, 4, 5, 6)
        ),
        *(Look(colours=name) for name in ("viridis", "tab10", "Set1")),
        Look(highlight=["a3"]),
        Look(highlight=["a3", "a10"]),
    ],
)
def test_13_algorithms_are_told_apart(look):
    lines = look.lines(NAMES)
    for one, other in itertools.combinations(lines, 2):
        alike = to_rgb(one["color"]) == to_rgb(other["color"])
        assert not alike or one["linestyle"] != other["linestyle"]
    assert len(set(_MARKERS[:13])) == 13


def test_all_looks_of_some_colours_are_used_before_one_comes_again():
    lines = Look(colours=("red", "blue", "k", "c", "m")).lines([str(i) for i in range(25)])
    assert len({(line["color"], line["linestyle"]) for line in lines}) == 25
    with pytest.raises(FigureError, match=r"26 algorithms .* 5 colours. Give 6 or more"):
        Look(colours=("red", "blue", "k", "c", "m")).lines([str(i) for i in range(26)])


def test_what_is_highlighted_is_in_its_colour_and_before_grey():
    usual, lines = Look().lines(NAMES), Look(highlight=["a3"]).lines(NAMES)
    assert lines[3]["color"] == usual[3]["color"]
    for i, line in enumerate(lines):
        if i != 3:
            assert len(set(to_rgb(line["color"]))) == 1
            assert line["zorder"] < lines[3]["zorder"]
    with pytest.raises(UnknownNameError, match="Did you mean 'a12'"):
        Look(highlight=["a12x"]).lines(NAMES)


@pytest.mark.parametrize("limits", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)])
def test_limits_that_are_none_are_refused(limits):
    with pytest.raises(FigureError, match="Expected limits"):
        Look(limits=limits)


@pytest.fixture(scope="module")
def result():
    """Algorithms whose names the font of figures lacks, in part."""
    algorithms = {"随机搜索": "random_search", "🚀 fast": "local_search", "Ünïcode": "gp_bo"}
    return compare(algorithms, [CORA, *OTHERS], budget=12, seeds=3, workers=2, n_jobs=1)


def texts(figure):
    from matplotlib.text import Text

    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("width", [None, pytest.param(3.35, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "draw",
    [
        anytime_figure,
        rank_figure,
        ecdf_figure,
        final_figure,
        schedule_figure,
        critical_difference_figure,
    ],
)
def test_signs_that_the_font_lacks_are_replaced(draw, width, result, tmp_path):
    figure = draw(result, width=width)
    # A warning would be an error.
    save_figure(
        figure, tmp_path / "f", ("png", "svg", "pdf") if draw is anytime_figure else ("png",)
    )
    shown = texts(figure).replace("\n", "")
    assert "Ünïcode" in shown
    assert r"\u968f\u673a\u641c\u7d22" in shown
    assert "随" not in shown


def test_replaced_signs_stay_apart():
    assert drawable("gp_bo ∞ ±\n") == "gp_bo ∞ ±\n"
    assert drawable("你") != drawable("好")


@pytest.mark.parametrize(
    "draw", [anytime_figure, rank_figure, ecdf_figure, final_figure, critical_difference_figure]
)
def test_no_title(draw, result):
    plain = draw(result, look=Look(title=False))
    titles = [panel.get_title(loc="left") for panel in plain.axes]
    assert set(titles) <= {CORA, *OTHERS, "mean over tables", ""}
    assert "Friedman" not in texts(plain)


def test_one_panel_without_title_has_none(result):
    one = compare(["random_search"], CORA, budget=5, seeds=2, n_jobs=1)
    for draw in (anytime_figure, final_figure, ecdf_figure):
        assert draw(one, look=Look(title=False)).axes[0].get_title(loc="left") == ""


def test_a_result_is_plotted_with_a_look(result):
    assert result.plot(look=Look(limits=(0.5, 30))).axes[0].get_ylim() == (0.5, 30)


def test_rank_1_is_at_the_top(result):
    for look in (Look(), Look(limits=(1, 3))):
        low, high = rank_figure(result, look=look).axes[0].get_ylim()
        assert low > high


def test_a_front_is_drawn_in_the_colours_that_were_asked_for():
    from nasbench_lab.registry import load_benchmark

    benchmark = load_benchmark(CORA, objective=["valid_accuracy", "parameters"])
    two = compare(["random_search", "nsga2"], benchmark, budget=10, seeds=2, n_jobs=1)
    figure = pareto_figure(two, look=Look(colours=("red", "lime")))
    for panel in figure.axes[:2]:
        lines = {line.get_label(): line.get_color() for line in panel.get_lines()}
        assert (lines["random_search"], lines["nsga2"]) == ("red", "lime")


def wide_table(folder, options, decisions):
    """A table over decisions of many options each."""
    names = [f"option_{j}" for j in range(options)]
    made = [Decision(f"decision {i}", names) for i in range(decisions)]
    return table_of(folder, SearchSpace(f"wide-{options}-{decisions}", made))


def table_of(folder, space):
    """A table with random values of all architectures of a space."""
    name = space.name
    SPACES[name] = lambda: space
    get_space(name)
    del SPACES[name]
    info = TableInfo(name, name, "", "", "", "value", "value", {"version": "1"})
    values = np.random.default_rng(0).random((space.size, 1, 1))
    column = Column("value", "accuracy", "%", True, "valid")
    return Table.create(folder / name, info, {column: values}, np.arange(space.size))


@pytest.mark.parametrize(("options", "decisions"), [(3, 4), (40, 2)])
def test_effects_of_many_options_fold(options, decisions, tmp_path):
    study = analyse(wide_table(tmp_path, options, decisions), walks=5)
    figure = analysis_figures(study)["marginal_effects"]
    save_figure(figure, tmp_path / "f", ("png",))
    assert figure.get_figwidth() <= WIDTHS["page"] + 0.1
    panels = [panel for panel in figure.axes if panel.collections]
    assert (len(panels) > 2) == (options == 40)
    shown = [label.get_text() for panel in panels for label in panel.get_xticklabels()]
    assert shown == [f"option_{j}" for j in range(options)]
    cells = np.hstack(
        [np.asarray(panel.collections[0].get_array()).reshape(decisions, -1) for panel in panels]
    )
    effects = study.marginal_effects["effect"].to_numpy().reshape(decisions, options)
    np.testing.assert_array_equal(cells, effects)
    bars = [panel for panel in figure.axes if panel.patches]
    assert sum(len(panel.patches) for panel in bars) == decisions


@pytest.mark.parametrize("options", [2, 7, 60])
def test_effects_of_an_ordered_decision_are_a_line_through_its_options_in_order(options, tmp_path):
    widths = tuple(range(16, 16 * options + 1, 16))
    space = SearchSpace(
        f"ordered-{options}",
        [
            Decision("operation", ("b", "a", "c")),
            Decision("width", widths, ordered=True),
            Decision("other width", widths, ordered=True),
            Decision("same options", widths),
        ][: 4 if options < 60 else 3],
    )
    study = analyse(table_of(tmp_path, space), walks=5)
    figure = analysis_figures(study)["marginal_effects"]
    save_figure(figure, tmp_path / "f", ("png",))
    assert figure.get_figwidth() <= WIDTHS["page"] + 0.1
    effects = study.marginal_effects.set_index("decision")["effect"]
    panels = {panel.get_ylabel(): panel for panel in figure.axes if panel.get_ylabel()}
    assert list(panels) == ["width", "other width"]
    assert len({panel.get_ylim() for panel in panels.values()}) == 1
    for name, panel in panels.items():
        line = panel.lines[-1]
        assert line.get_xdata().tolist() == list(range(options))
        np.testing.assert_array_equal(line.get_ydata(), effects[name])
        shown = {tick: label.get_text() for tick, label in
                 zip(panel.get_xticks(), panel.get_xticklabels(), strict=True)}  # fmt: skip
        assert all(text == str(widths[int(tick)]) for tick, text in shown.items())
        assert (len(shown) == options) == (options < 60)
        boxes = [label.get_window_extent() for label in panel.get_xticklabels()]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_a_study_without_titles(tmp_path):
    study = analyse(wide_table(tmp_path, 4, 3), walks=5)
    for figure in analysis_figures(study, title=False).values():
        assert figure.get_suptitle() == ""
        assert all(panel.get_title(loc="left") == "" for panel in figure.axes)
