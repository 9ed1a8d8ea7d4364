"""The command analyze: what it prints, the files it leaves, and its figures."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from damage import write_sealed
from matplotlib.image import imread

from nasbench_lab.figures import save_figure
from nasbench_lab.figures.landscape import analysis_figures
from nasbench_lab.landscape.analysis import analyse
from nasbench_lab.registry import load_benchmark, open_table, table_folder
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, Task
from nasbench_lab.tables.table import Table

pytestmark = pytest.mark.long

NAN = math.nan
PROTEINS = "nas-bench-graph/proteins"
ALWAYS = {
    "distribution.csv", "marginal_effects.csv", "importance.csv", "local_optima.csv",
    "fitness_distance.csv", "autocorrelation.csv", "summary.json", "distribution.png",
    "distribution.svg", "marginal_effects.png", "marginal_effects.svg", "landscape.png",
    "landscape.svg",
}  # fmt: skip
OF_MOVES = {
    "local_optima.csv", "fitness_distance.csv", "autocorrelation.csv", "landscape.png",
    "landscape.svg",
}  # fmt: skip
OF_TRIALS = {"noise.csv", "noise_levels.csv", "noise.png", "noise.svg"}
OF_EPOCHS = {"fidelity.csv", "fidelity.png", "fidelity.svg"}


@pytest.fixture
def kept(tmp_path, monkeypatch, timed):
    """The toy table among the tables that are known by name, with a task of its own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    folder = table_folder("toy/timed")
    shutil.copytree(timed.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["info"]["tasks"] = {"own": {"objective": "valid_accuracy", "report": "train_time"}}
    write_sealed(folder / "manifest.json", manifest)
    assert Table.open(folder).info.tasks == {"own": Task("valid_accuracy", "train_time")}
    return Table.open(folder)


def names(folder):
    return {file.name for file in Path(folder).iterdir()}


def test_analyze_leaves_tables_figures_and_a_summary(lab):
    done = lab("analyze", PROTEINS, "--walks", 50)
    assert done.code == 0, done.err
    folder = Path("results/analysis-nas-bench-graph-proteins")
    assert names(folder) == ALWAYS
    analysis = analyse(load_benchmark(PROTEINS).table, walks=50)
    expected = analysis.summary()
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(expected))
    for name, frame in analysis.frames().items():
        pd.testing.assert_frame_equal(pd.read_csv(folder / f"{name}.csv"), frame, check_dtype=False)
    for file in folder.glob("*.png"):
        assert imread(file).std() > 0.05
    assert f"In {folder}: distribution.csv, " in done.words
    assert "the 5,616 of 5,625 architectures that the table holds, in 2,021 rows" in done.words
    optima = expected["local_optima"]
    assert f"{optima['count']}, {optima['share']:.2%} of all rows" in done.words
    assert f"{optima['to_best']:.1%} end at the best" in done.words
    assert f"{expected['agreement']['spearman']:.3f}, of the top 10 % " in done.words
    assert f"correlation {expected['fitness_distance']['correlation']:.3f} " in done.words
    assert "wiring (" in done.words
    assert "noise of a trial" not in done.words


def test_analyze_a_table_with_trials_and_epochs(lab, kept):
    done = lab("analyze", "toy/timed", "-o", "here", "--walks", 20)
    assert done.code == 0, done.err
    assert names("here") == ALWAYS | OF_TRIALS | OF_EPOCHS
    assert "noise of a trial" in done.words
    assert "after 2 epochs rank correlation" in done.words
    summary = json.loads(Path("here/summary.json").read_text())
    noise = analyse(kept, walks=1).noise.summary()
    assert summary["noise"] == {k: None if math.isnan(v) else v for k, v in noise.items()}


def test_an_earlier_study_leaves_nothing_behind(lab, kept, undrawn):
    assert lab("analyze", "toy/timed", "-o", "here", "--walks", 5).code == 0
    Path("here/notes.txt").write_text("mine")
    assert lab("analyze", "toy/timed", "--by", "train_time", "-o", "here", "--walks", 5).code == 0
    assert names("here") == ALWAYS | OF_EPOCHS | {"notes.txt"}


def test_of_a_sparse_table_moves_are_not_studied(lab, kept, undrawn):
    column = Column("value", "accuracy", "%", True)
    info = replace(kept.info, name="few", objective="value", report="value", tasks={})
    row_of_index = np.array([0, *[-1] * 10, 1])
    Table.create(table_folder("few"), info, {column: np.array([5.0, 6.0])}, row_of_index)
    # A study of the whole table was there before.
    assert lab("analyze", "toy/timed", "--walks", 5, "-o", "here").code == 0
    done = lab("analyze", "few", "--walks", 5, "-o", "here")
    assert "random walks say nothing of the space and are left out" in done.words
    assert "The table holds only 0 % of the neighbours" in done.words
    assert "It holds 2 of the 12 architectures of its space (16.6 %): means" in done.words
    facts = done.words.split("The table holds only")[0]
    for moves in ("local optima", "steepest ascents", "random walks", "fitness"):
        assert moves not in facts
    assert "variance explained by decisions" in facts
    assert names("here") == ALWAYS - OF_MOVES
    summary = json.loads(Path("here/summary.json").read_text())
    assert "say nothing of the space and are left out" in summary["caveat"]
    assert summary["coverage"] == {"share": 2 / 12, "size": 12, "held": 2}
    assert [summary[part] for part in ("local_optima", "fitness_distance", "walks")] == [None] * 3
    assert summary["distribution"][0]["mean"] == 5.5
    assert set(analysis_figures(analyse(open_table("few")))) == {"distribution", "marginal_effects"}


def test_analyze_a_task(lab, kept, undrawn):
    data = lab("analyze", "toy/timed/own", "--walks", 5, "--json").data
    assert (data["column"], data["report"]) == ("valid_accuracy", "train_time")
    assert Path("results/analysis-toy-timed-own/summary.json").is_file()
    data = lab("analyze", "toy/timed/own", "--by", "test_accuracy", "--walks", 5, "--json").data
    assert (data["column"], data["report"]) == ("test_accuracy", "train_time")


def test_analyze_as_json(lab, undrawn):
    data = lab(
        *("analyze", PROTEINS, "--by", "latency", "--report", "valid_roc_auc"),
        *("--seed", 3, "--walks", 20, "--output", "r", "--json"),
    ).data
    assert (data["column"], data["report"], data["seed"]) == ("latency", "valid_roc_auc", 3)
    assert {Path(file).name for file in data["files"]} == names("r")
    written = json.loads(Path("r/summary.json").read_text())
    assert {key: value for key, value in data.items() if key != "files"} == written


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nas-bench-graph/coraa"], 1, "Did you mean 'nas-bench-graph/cora'?"),
        ([f"{PROTEINS}/none"], 1, f"Unknown task of '{PROTEINS}' 'none'"),
        ([PROTEINS, "--by", "accuracy"], 1, "has no column for accuracy. It holds valid_roc_auc"),
        ([PROTEINS, "--output", "file/in"], 1, "for results, name another folder"),
        ([PROTEINS, "--walks", "0"], 2, "walks"),
    ],
)
def test_what_cannot_be_done_is_said(lab, arguments, code, words):
    Path("file").write_text("")
    done = lab("analyze", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert not Path("results").exists()


def test_a_table_that_names_no_objective_needs_a_column(lab, kept, undrawn):
    path = kept.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["info"] |= {"objective": "", "report": "", "tasks": {}}
    write_sealed(path, manifest)
    done = lab("analyze", "toy/timed")
    assert done.code == 1
    assert "names no objective. Name the column to study, one of valid_accuracy" in done.err
    # Test data is searched on by nobody here.
    data = lab("analyze", "toy/timed", "--by", "test_accuracy", "--walks", 5, "--json").data
    assert data["column"] == data["report"] == "test_accuracy"


# Figures


def titles(figure):
    return [panel.get_title(loc="left") for panel in figure.axes]


def draw(figure, tmp_path):
    """Writes the figure, so that everything is laid out; returns the words of the picture."""
    (svg,) = save_figure(figure, tmp_path / "figure", ("svg",))
    return " ".join(re.findall(r"<text [^>]*>([^<]*)<", svg.read_text()))


@pytest.fixture(scope="module")
def study():
    return analyse(load_benchmark(PROTEINS).table, walks=50)


def test_the_distribution_has_units_and_costs(study, tmp_path):
    figure = analysis_figures(study)["distribution"]
    line = study.distribution.iloc[0]
    assert titles(figure)[:2] == [
        f"Half have {line['q25']:.2f} to {line['q75']:.2f}, the best {line['best']:.2f} %",
        f"{100 * line['near_share']:.3g} % are within 1 point of the best",
    ]
    words = draw(figure, tmp_path)
    for label in ("latency (s)", "parameters (M)", "distance from the best (percentage points)"):
        assert label in words
    assert "nas-bench-graph/proteins, valid roc auc" in words
    # Each histogram is of all architectures, in per cent, but for those that the text speaks of.
    heights = [patch.get_height() for patch in figure.axes[0].patches[:50]]
    below = [float(t.get_text().split()[1]) for t in figure.axes[0].texts]
    assert sum(heights) + sum(below) == pytest.approx(100, abs=0.1)


def test_the_best_for_their_cost_are_better_than_all_that_cost_less(study):
    panel = analysis_figures(study)["distribution"].axes[2]
    x, y = panel.get_lines()[0].get_data()
    table = study.landscape.table
    latency, auc = table.values("latency"), table.values("valid_roc_auc")
    expected = sorted(
        (cost, value)
        for cost, value in zip(latency.tolist(), auc.tolist(), strict=True)
        if not ((latency <= cost) & (auc >= value) & ((latency < cost) | (auc > value))).any()
    )
    assert list(zip(x, y, strict=True)) == list(dict.fromkeys(expected))


def test_the_heat_map_has_a_cell_for_each_option(study, tmp_path):
    figure = analysis_figures(study)["marginal_effects"]
    effects = study.marginal_effects["effect"].tolist()
    cells = [float(t.get_text().replace("−", "-")) for p in figure.axes for t in p.texts]
    assert len(cells) == 9 + 4 * 5
    np.testing.assert_allclose(cells, effects, atol=0.0501)
    words = draw(figure, tmp_path)
    for word in ("wiring", "node 4", "arma", "0,1,2,3", "variance explained (%)"):
        assert word in words
    bars = [bar.get_width() for panel in figure.axes for bar in panel.patches]
    assert bars == pytest.approx((100 * study.importance["share"]).tolist())


def test_the_landscape_says_what_was_found(study):
    figure = analysis_figures(study)["landscape"]
    optima = study.local_optima
    r = study.fitness_distance.correlation
    assert titles(figure) == [
        f"Fitness–distance correlation {r:.2f}".replace("-", "−"),
        f"Correlation length {study.autocorrelation.length:.2g} moves",
        f"{100 * optima.share_within(optima.values[0], 0):.3g} % of ascents find the best of "
        f"{len(optima.rows)} optima",
    ]
    points = np.concatenate(
        [c.get_offsets() for c in figure.axes[2].collections if c.get_offsets().size]
    )
    assert sorted(points[:, 0]) == sorted(optima.values)
    assert points[:, 1].sum() == pytest.approx(100)


def test_noise_and_fidelity_are_drawn_where_they_are(timed, tmp_path):
    drawn = analysis_figures(analyse(timed, walks=5))
    assert set(drawn) == {"distribution", "noise", "fidelity", "marginal_effects", "landscape"}
    words = draw(drawn["noise"], tmp_path)
    assert "trial 777 (%)" in words
    assert "σ of trials (percentage points)" in words
    words = draw(drawn["fidelity"], tmp_path)
    assert "After 2 epochs, ρ is" in words
    assert "top 10 % in common" in words


def test_long_names_are_told_by_what_they_measure(tmp_path, timed):
    shared = {"dataset": "cifar10", "schedule": "200"}
    columns = {
        Column("cifar10.200.x-valid.accuracy", "accuracy", "%", True, "valid", **shared): range(12),
        Column("cifar10.200.x-test.accuracy", "accuracy", "%", True, "test", **shared): range(12),
        Column("cifar10.200.train.time", "train_time", "s", False, "train", **shared): range(12),
    }
    first, second, _ = columns
    info = replace(timed.info, objective=first.name, report=second.name)
    values = {column: np.array(some, float) for column, some in columns.items()}
    table = Table.create(tmp_path / "long", info, values)
    words = draw(analysis_figures(analyse(table, walks=5))["distribution"], tmp_path)
    for label in ("valid accuracy", "test accuracy", "train time (s)", "accuracy (%)"):
        assert label in words
    # Where that does not tell them apart, the whole names do.
    table = Table.create(
        tmp_path / "alike", info, {replace(c, split="valid"): v for c, v in values.items()}
    )
    words = draw(analysis_figures(analyse(table, walks=5))["distribution"], tmp_path)
    assert "cifar10.200.x-valid.accuracy cifar10.200.x-test.accuracy" in words


@pytest.mark.parametrize("maximize", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "values",
    [[5.0] * 12, [NAN] * 11 + [5.0], [NAN] * 10 + [5.0, 6.0], [0.0] * 12, list(range(12)),
     [*[1e-7] * 11, 1e9]],
)  # fmt: skip
def test_odd_tables_are_drawn(tmp_path, timed, values, maximize):
    column = Column("value", "loss", "1", maximize)
    cost = Column("cost", "flops", "M", False)
    info = replace(timed.info, objective="value", report="value")
    some = {column: np.array(values), cost: np.array(values[::-1])}
    table = Table.create(tmp_path / "odd", info, some)
    for figure in analysis_figures(analyse(table, walks=5)).values():
        figure.draw_without_rendering()


def test_a_space_too_large_to_go_through(tmp_path, timed):
    space, rng = get_space("nb101"), np.random.default_rng(0)
    keys = np.unique(space.index(space.canonical(space.sample(rng, 60))))
    info = replace(timed.info, space="nb101", objective="value", report="value")
    values = {Column("value", "accuracy", "%", True): rng.normal(90, 1, size=len(keys))}
    table = Table.create(tmp_path / "cells", info, values, keys=keys)
    analysis = analyse(table, walks=2)
    assert "fitness_distance" not in analysis.frames()
    assert analysis.summary()["fitness_distance"] is None
    assert "architectures drawn at random" in analysis.summary()["studied"]
    figure = analysis_figures(analysis)["landscape"]
    assert titles(figure)[1].endswith("optima seen")
    assert "operation of node 5" in draw(analysis_figures(analysis)["marginal_effects"], tmp_path)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_trials_that_agree_and_trials_that_do_not_are_drawn(make_table, tmp_path, spread):
    rng = np.random.default_rng(0)
    values = np.broadcast_to(np.arange(11.0)[:, None, None], (11, 2, 3)).copy()
    values += spread * rng.normal(size=values.shape) * np.arange(11)[:, None, None] ** 3
    drawn = analysis_figures(analyse(make_table(valid=values), walks=5))
    assert (
        "0 % of the variance of a trial is noise" in draw(drawn["noise"], tmp_path)
    ) is not spread
