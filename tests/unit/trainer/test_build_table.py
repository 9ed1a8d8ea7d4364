"""Building tables: whatever the number of processes, and after a kill, the same table."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waiting import wait_for

import nasbench_lab as lab
from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import DataFolderError, NasbenchLabError, RecipeError, TrainingError
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Query

torch = pytest.importorskip("torch", reason="building needs PyTorch")
from energy_counter import Counter

from nasbench_lab.trainer import build, unfinished
from nasbench_lab.trainer.build import build_table, networks_of, read_recipe
from nasbench_lab.trainer.datasets import load_data
from nasbench_lab.trainer.training import train

pytestmark = pytest.mark.long

RECIPE = """
name = "mine/few"
version = "3"
space = "nb201"
seeds = [4, 7]
architectures = 3
description = "A few."
citation = "@misc{few}"
licence = "MIT"
[training]
data = "digits"
skeleton = "tiny"
epochs = 2
batch_size = 200
shift = 1
flip = 0.0
"""
TIMES = {"train_time_per_epoch", "valid_time"}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def told():
    """What is told while ``whole`` is built."""
    return []


@pytest.fixture(scope="module")
def whole(tmp_path_factory, told):
    """What comes of the recipe in one go."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "few.toml").write_text(RECIPE)

    def tell(*what):
        told.append(what)

    return build_table(folder / "few.toml", folder / "t", n_jobs=1, progress=tell)


def values(table):
    return {name: table.trials(name) for name in table.columns if name not in TIMES}


def same(a, b):
    return all(np.array_equal(x, values(b)[name]) for name, x in values(a).items())


def test_a_table_holds_what_training_gives(whole, told, recipe):
    table = whole
    assert len(table) == 3
    assert table.info.name == "mine/few"
    assert table.info.source["version"] == "mine/few 3"
    assert (0, 3, "training") in told
    assert (3, 3, "training") in told
    space, data = get_space("nb201"), load_data("digits")
    settings = read_recipe(recipe).training
    for architecture in map(tuple, table.architectures.tolist()):
        training = train(space, architecture, settings, data, seeds=(4, 7), device="cpu")
        for name, curve in training.curves.items():
            column = table.columns[name]
            assert column.trials == (4, 7)
            assert column.epochs == (1, 2)
            for epoch in (1, 2):
                for trial, value in zip((4, 7), curve[:, epoch - 1], strict=True):
                    held = table.query(architecture, Query(name, epoch=epoch, trial=trial))
                    assert held == (np.float32(value) if name.endswith("loss") else value)
        assert table.query(architecture, "parameters") == training.parameters
        assert table.query(architecture, "flops") == training.flops
        assert table.query(architecture, "train_time_per_epoch") > 0
    benchmark = TableBenchmark(table)
    assert benchmark.clock == "official"
    assert benchmark.evaluate(architecture).cost == pytest.approx(
        2 * table.query(architecture, "train_time_per_epoch")
        + table.query(architecture, "valid_time")
    )
    summary = table.info.details["build"]
    assert summary["networks"] == 3
    assert summary["training_wall_s"] > 0
    assert not table.folder.with_name("t.build").exists()


def test_a_recipe_may_ask_for_more_metrics(tmp_path, monkeypatch):
    """Also of networks that were trained before it did; those are trained again, to the same values."""
    trained, train_one = [], build._train_one

    def counting(recipe, folder, index):
        trained.append(recipe.metrics)
        return train_one(recipe, folder, index)

    monkeypatch.setattr(build, "_train_one", counting)
    monkeypatch.setattr(build, "measure_network", lambda *_: {"latency": 2.0, "peak_memory": 5.0})
    recipe, more = tmp_path / "few.toml", "metrics = ['train_energy', 'macro_f1', 'latency']\n"
    text = RECIPE.replace("architectures = 3", "architectures = 1").strip() + "\n"
    recipe.write_text(text)

    def stop(*_):
        raise NasbenchLabError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(build, "_time_one", stop)
        with pytest.raises(NasbenchLabError, match="stopped"):
            build_table(recipe, tmp_path / "t", n_jobs=1)
    recipe.write_text(more + text)
    Counter(1.0, 3.0, 5.0).install(monkeypatch)  # first it is asked whether it counts
    table = build_table(recipe, tmp_path / "t", n_jobs=1)
    assert trained == [(), ("macro_f1", "latency", "train_energy")]
    (architecture,) = map(tuple, table.architectures.tolist())
    settings = read_recipe(recipe).training
    space, data = get_space("nb201"), load_data("digits")
    training = train(space, architecture, settings, data, seeds=(4, 7), device="cpu")
    for split in ("valid", "test"):
        for epoch in (1, 2):
            held = table.trials(Query(f"{split}_macro_f1", epoch=epoch))[0]
            np.testing.assert_array_equal(held, training.metrics[f"{split}_macro_f1"][:, epoch - 1])
    assert {"valid_macro_recall", "peak_memory"}.isdisjoint(table.columns)
    assert table.query(architecture, "latency") == 2.0
    assert "one thread of" in table.columns["latency"].description
    # Epochs of all 800 images in 8 batches of 200; the looks before each training cost nothing.
    energy = [table.query(architecture, Query("train_energy", epoch=e)) for e in (1, 2)]
    assert energy == [5.0, 10.0]
    seen = TableBenchmark(table, objective=["valid_macro_f1", "latency"], missing="fail")
    assert seen.evaluate(architecture).values[1] == 2.0


def test_metrics_of_a_recipe_are_known_ones_and_can_be_measured(recipe, tmp_path, monkeypatch):
    recipe.write_text("metrics = ['macro_f2']\n" + RECIPE)
    with pytest.raises(RecipeError, match="Did you mean 'macro_f1'"):
        read_recipe(recipe)
    recipe.write_text("metrics = ['train_energy']\n" + RECIPE)
    Counter(there=False).install(monkeypatch)
    with pytest.raises(TrainingError, match="not measured"):
        build_table(recipe, tmp_path / "t")
    assert not (tmp_path / "t.build").exists()


def test_isomorphic_cells_share_an_entry(whole):
    table, space = whole, whole.space
    cells = space.at(np.arange(space.size))
    rows = table.row(cells)
    np.testing.assert_array_equal(table.row(space.canonical(cells)), rows)
    assert set(rows.tolist()) == {-1, 0, 1, 2}
    held = rows >= 0
    np.testing.assert_array_equal(table.architectures[rows[held]], space.canonical(cells[held]))


@pytest.mark.slow  # the killed build has two processes
def test_processes_do_not_matter(whole, recipe, tmp_path):
    assert same(whole, build_table(recipe, tmp_path / "two", n_jobs=2))


def test_what_is_finished_is_not_done_again(whole, recipe, tmp_path, monkeypatch):
    done, real = [], build._train_one

    def until_the_third(recipe, folder, index):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(index)
        return real(recipe, folder, index)

    monkeypatch.setattr(build, "_train_one", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        build_table(recipe, tmp_path / "t", n_jobs=1)
    first = list(done)
    assert len(list((tmp_path / "t.build" / "trained").glob("*.json"))) == 2
    # One of the files was cut off by a crash of the machine.
    cut = tmp_path / "t.build" / "trained" / f"{first[1]:08d}.json"
    cut.write_text(cut.read_text()[:100])
    done.clear()
    monkeypatch.setattr(
        build, "_train_one", lambda r, f, index: (done.append(index), real(r, f, index))[1]
    )
    table = build_table(recipe, tmp_path / "t", n_jobs=1)
    assert sorted(set(first) - {first[1]} | set(done)) == networks_of(read_recipe(recipe))
    assert not (set(first) - {first[1]}) & set(done)
    assert same(whole, table)


@pytest.mark.parametrize(("n", "finished"), [(3, 1), pytest.param(40, 3, marks=pytest.mark.slow)])
def test_a_killed_build_goes_on(whole, recipe, tmp_path, n, finished):
    recipe.write_text(RECIPE.replace("architectures = 3", f"architectures = {n}"))
    out = tmp_path / "t"
    command = [sys.executable, "-m", "nasbench_lab.cli", "build-table", recipe, "-o", out]
    with subprocess.Popen(
        [*map(str, command), "--jobs", "2"], start_new_session=True, stderr=subprocess.DEVNULL
    ) as process:
        trained = Path(f"{out}.build") / "trained"
        wait_for(lambda: len(list(trained.glob("0*.json"))) >= finished, process)
        os.killpg(process.pid, signal.SIGKILL)
    kept = {file.name: file.read_text() for file in trained.glob("0*.json")}
    assert finished <= len(kept) < n
    resumed = build_table(recipe, out, n_jobs=1)
    assert same(resumed, whole if n == 3 else build_table(recipe, tmp_path / "whole", n_jobs=1))
    for name, text in kept.items():
        row = networks_of(read_recipe(recipe)).index(int(name[:8]))
        held = resumed.trials("valid_accuracy")[row]
        np.testing.assert_array_equal(
            held, np.array(json.loads(text)["curves"]["valid_accuracy"])[:, -1]
        )


def test_a_build_of_another_recipe_is_not_continued(recipe, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "_train_one", stop)
    with pytest.raises(KeyboardInterrupt):
        build_table(recipe, tmp_path / "t", n_jobs=1)
    recipe.write_text(RECIPE.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(DataFolderError, match="differs in its recipe"):
        build_table(recipe, tmp_path / "t", n_jobs=1)
    # What does not change the values may change.
    recipe.write_text(RECIPE.replace("A few.", "Some."))
    with pytest.raises(KeyboardInterrupt):
        build_table(recipe, tmp_path / "t", n_jobs=1)


def test_a_damaged_build_is_not_continued(recipe, tmp_path):
    (tmp_path / "t.build").mkdir()
    (tmp_path / "t.build" / "build.json").write_text('{"recipe": ')
    with pytest.raises(DataFolderError, match=r"build\.json is damaged"):
        build_table(recipe, tmp_path / "t", n_jobs=1)


def test_nothing_else_is_replaced(whole, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for output in (Path("thesis"), Path("."), Path("few.toml")):
        with pytest.raises(DataFolderError, match="exists and is no table 'mine/few'"):
            build_table(recipe, output, n_jobs=1)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    shutil.copytree(whole.folder, "t")
    recipe.write_text(RECIPE.replace("architectures = 3", "architectures = 1"))
    again = build_table(recipe, Path("t"), n_jobs=1)
    assert len(again) == 1 < len(whole)
    recipe.write_text(RECIPE.replace("mine/few", "mine/other"))
    with pytest.raises(DataFolderError, match="no table 'mine/other'"):
        build_table(recipe, Path("t"), n_jobs=1)


def test_networks_that_went_away_are_missed(recipe, tmp_path, monkeypatch):
    recipe.write_text(RECIPE.replace("architectures = 3", "architectures = 1"))
    real = build._time_one

    def and_lose(recipe, data, index):
        for file in (tmp_path / "t.build" / "trained").glob("*.json"):
            file.unlink()
        return real(recipe, data, index)

    monkeypatch.setattr(build, "_time_one", and_lose)
    with pytest.raises(DataFolderError, match="another build runs there"):
        build_table(recipe, tmp_path / "t", n_jobs=1)


def test_no_processes(recipe, tmp_path):
    with pytest.raises(TrainingError, match="at least one process"):
        build_table(recipe, tmp_path / "t", n_jobs=0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs = 2", "epochs = 0", r"training.epochs.*greater than or equal to 1.*got 0"),
        ("epochs = 2", "epoch = 2", r"training.epoch: Extra inputs"),
        ('space = "nb201"', 'space = "nb202"', r"'nb201', .* or 'darts' \(got 'nb202'\)"),
        ("seeds = [4, 7]", "seeds = []", "seeds"),
        ('name = "mine/few"', 'name = "../few"', "name"),
        ("[training]", "[training", "cannot be read as a recipe"),
        ('data = "digits"', 'data = "digit"', "Did you mean 'digits'"),
    ],
)
def test_recipes_with_mistakes(recipe, tmp_path, old, new, words):
    recipe.write_text(RECIPE.replace(old, new))
    with pytest.raises(NasbenchLabError, match=words):
        build_table(recipe, tmp_path / "t", n_jobs=1)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(RecipeError, match=r"no\.toml cannot be read"):
        read_recipe(tmp_path / "no.toml")


def test_other_spaces_and_all_architectures(tmp_path, recipe):
    recipe.write_text(
        RECIPE.replace('"nb201"', '"nats-sss"')
        .replace("architectures = 3", "architectures = 1")
        .replace("epochs = 2", "epochs = 1")
    )
    table = build_table(recipe, tmp_path / "t", n_jobs=1)
    assert len(table) == 1
    assert table.space.name == "nats-sss"
    every = read_recipe(recipe).model_copy(update={"architectures": None, "space": "nb201"})
    assert len(networks_of(every)) == 5_260


def test_a_sample_of_chains(tmp_path, recipe, monkeypatch):
    """Too many to number all: the table holds a sample, and searches move in that."""
    text = RECIPE.replace('"nb201"', '"chain"').replace("epochs = 2", "epochs = 1")
    recipe.write_text(text.replace("architectures = 3", "architectures = 12"))
    few = load_data("digits").first(64)
    monkeypatch.setattr(build, "load_data", lambda *_, **__: few)
    monkeypatch.setattr(unfinished, "load_data", lambda *_, **__: few)
    build._data.cache_clear()
    table = build_table(recipe, tmp_path / "t", n_jobs=1)
    build._data.cache_clear()
    space = get_space("chain")
    architectures = table.architectures
    assert (space.canonical(architectures) == architectures).all()
    assert len(np.unique(architectures, axis=0)) == len(table) == 12
    some = tuple(architectures[5].tolist())
    training = train(space, some, read_recipe(recipe).training, few, seeds=(4, 7), device="cpu")
    for trial, value in zip((4, 7), training.curves["valid_accuracy"][:, 0], strict=True):
        assert table.query(some, Query("valid_accuracy", epoch=1, trial=trial)) == value
    assert table.query(some, "parameters") == training.parameters
    assert table.row(space.from_string("max relu dropout=0 sgd lr=0.1 batch=32 decay=0")) == -1
    benchmark = TableBenchmark(table)
    assert benchmark.missing == "pool"
    trace = lab.run("regularized_evolution(population_size=3)", benchmark, budget=8, seed=0)
    assert (trace.row >= 0).all()
    assert str(table.coverage).startswith("an estimated less than 0.1 %")
    # More of them are the same and others.
    recipe.write_text(recipe.read_text().replace("architectures = 12", "architectures = 40"))
    more = networks_of(read_recipe(recipe))
    assert set(space.index(architectures).tolist()) < set(more)
    assert more == sorted(set(more))
    assert len(more) == 40


@pytest.mark.parametrize(
    ("space", "change", "words"),
    [
        ("chain", ("architectures = 3", ""), "262,020,096 architectures; say how many"),
        ("chain", ("licence", 'proxies = ["snip"]\nlicence'), "no zero-cost proxies of chain"),
        ("darts", ("architectures = 3", ""), "darts has 1,0.* architectures; say how many"),
        ("darts", ("licence", 'proxies = ["snip"]\nlicence'), "no zero-cost proxies of darts"),
    ],
)
def test_recipes_of_large_spaces_with_mistakes(recipe, space, change, words):
    recipe.write_text(RECIPE.replace('"nb201"', f'"{space}"').replace(*change))
    with pytest.raises(RecipeError, match=words):
        read_recipe(recipe)
