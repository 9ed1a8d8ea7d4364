"""Validation: what is chosen, how agreement is tested, and what the command leaves."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from damage import write_sealed

import nasbench_lab.trainer
from nasbench_lab.errors import ExperimentError, MissingPackageError, TrainingError
from nasbench_lab.files import sha256
from nasbench_lab.registry import table_folder
from nasbench_lab.running.comparison import compare
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.table import Table
from nasbench_lab.trainer.progress import read_plan, read_standing
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.validation import (
    Validated,
    Validation,
    _other_images,
    new_seeds,
    recipe_of,
    table_trials,
    top_architectures,
)

pytestmark = pytest.mark.long

# What is chosen


def _table(folder, name="mine/nb201", details=None, **changes):
    """A table of all cells whose values are known, of three seeds and two epochs."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    quality = rng.uniform(20, 90, (space.size, 1, 1))
    shared = {"dataset": "digits", "trials": (0, 1, 3), "epochs": (1, 2), **changes}
    columns = {
        Column(f"{split}_accuracy", "accuracy", "%", True, split, **shared): quality
        + rng.normal(0, 1, (space.size, 3, 2))
        for split in ("valid", "test")
    }
    info = TableInfo(
        name, "nb201", "Made up.", "@misc{x}", "MIT", "valid_accuracy", "test_accuracy",
        source={"version": "1"}, details=details or {},
    )  # fmt: skip
    return Table.create(folder, info, columns)


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    recipe = {"data": "digits", "skeleton": "tiny", "epochs": 2, "batch_size": 200, "shift": 1}
    details = {"recipe": {"seeds": [0, 1, 3], "training": recipe}}
    return _table(table_folder("mine/nb201"), details=details)


@pytest.fixture
def result(table, tmp_path):
    algorithms = ["random_search", "regularized_evolution"]
    return compare(
        algorithms, "mine/nb201", budget=15, seeds=3, n_jobs=1, folder=tmp_path / "result"
    )


def test_the_best_that_runs_ended_with(result, table):
    found = top_architectures(result, "mine/nb201", 4)
    ends = {}
    for run in result.runs:
        best = table.space.to_string(table.space.from_string(run.trace.best()))
        ends.setdefault(best, []).append(run.algorithm)
    by_value = {a: table.query(table.space.from_string(a), "valid_accuracy") for a in ends}
    expected = sorted(by_value, key=by_value.get, reverse=True)[:4]
    assert [table.space.to_string(a) for a, _ in found] == expected
    for text, (_, finders) in zip(expected, found, strict=True):
        assert finders == {name: ends[text].count(name) for name in ends[text]}


def test_seeds_are_others_than_the_tables(table):
    assert new_seeds(table, 3) == (2, 4, 5)


def test_the_tables_own_trials(table):
    architecture = table.space.at(77)
    recipe = recipe_of(table, table.column("test_accuracy"))
    found = table_trials(table, recipe, architecture)
    np.testing.assert_array_equal(found["test"], table.trials("test_accuracy")[77])
    assert set(found) == {"test", "valid"}
    # Two epochs of twelve are not a training of two epochs.
    assert table_trials(table, recipe.replace(epochs=12), architecture) == {}


def test_recipes_of_published_tables(tmp_path):
    table = _table(tmp_path / "a", dataset="cifar10", schedule="12", trained_on="train+valid")
    recipe = recipe_of(table, table.column("test_accuracy"))
    assert (recipe.data, recipe.epochs, recipe.trained_on) == ("cifar10", 12, "train+valid")
    assert (recipe.skeleton, recipe.batch_size) == ("paper", 256)
    assert recipe_of(table, table.column("test_accuracy"), 3).epochs == 3
    unknown = _table(tmp_path / "b", dataset="mnist")
    with pytest.raises(TrainingError, match="cannot be trained here"):
        recipe_of(unknown, unknown.column("test_accuracy"))


def test_a_result_without_success(table):
    result = compare(["random_search"], "mine/nb201", budget=1, seeds=1, n_jobs=1)
    for run in result.runs:
        run.trace.row[:] = -1
    with pytest.raises(ExperimentError, match="No run"):
        top_architectures(result, "mine/nb201", 3)


# What it leaves


def _validation():
    a, b = np.array([90.0, 91.0, 92.0]), np.array([90.5, 91.5, 92.5])
    return Validation(
        "mine/table",
        (2, 4, 5),
        12,
        "cpu",
        [
            Validated("first", {"gp_bo": 3}, {"test": a, "valid": a}, {"test": b, "valid": b}),
            Validated("second", {}, {"test": a}, {"test": b - 20, "valid": b}),
        ],
    )


def test_the_frame():
    frame = _validation().to_frame()
    assert list(frame.split) == ["test", "test", "valid", "valid"]
    assert list(frame.agree) == [True, False, True, None]
    first = frame.iloc[0]
    assert (first.table, first.table_sd, first.table_n) == (91.0, 1.0, 3)
    assert first.difference == pytest.approx(0.5)
    assert first.found_by == "gp_bo (3)"
    assert frame.iloc[3].table_n == 0


def test_files(tmp_path):
    files = _validation().save(tmp_path)
    assert {file.name for file in files} == {
        f"validation-mine-table.{ending}" for ending in ("csv", "json", "png", "svg")
    }
    assert len(pd.read_csv(tmp_path / "validation-mine-table.csv")) == 4
    data = json.loads((tmp_path / "validation-mine-table.json").read_text())
    assert data["architectures"][1]["trained_trials"] == [70.5, 71.5, 72.5]
    assert data["seeds"] == [2, 4, 5]


def test_the_legend_names_both_sides_though_the_first_has_no_trials():
    first, second = _validation().entries
    found = dataclasses.replace(
        _validation(), entries=[dataclasses.replace(first, table={}), second]
    )
    (legend,) = found.plot().legends
    assert [text.get_text() for text in legend.get_texts()] == ["trained", "table"]


def test_other_images_say_nothing():
    frame = dataclasses.replace(_validation(), other_images=("valid",)).to_frame()
    assert list(frame.agree) == [True, False, None, None]
    assert frame.iloc[2].difference == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("data", "halves", "expected"),
    [
        ("digits", "", ()),
        ("cifar10", "official", ()),
        ("cifar10", "rule", ("valid",)),
        ("cifar100", "rule", ("test", "valid")),
    ],
)
def test_whose_images_are_others(data, halves, expected):
    assert _other_images(RECIPES[data], halves) == expected


# The command


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="training needs PyTorch")


def test_validate_a_result(torch, lab, result, tmp_path):
    place, few = tmp_path / "result", ("--top", 1, "--seeds", 2, "--jobs", 1)
    out = lab("validate", place, *few, "--device", "cpu")
    assert out.code == 0, out.err
    assert "seeds 2, 4, on cpu" in out.words
    assert "test, 1" in out.words
    assert "differ" in out.words  # the made-up values have nothing to do with training
    data = json.loads((tmp_path / "result" / "validation-mine-nb201.json").read_text())
    assert len(data["architectures"]) == 2
    assert (tmp_path / "result" / "validation-mine-nb201.png").stat().st_size > 5_000
    # Its trainings said how far they were, up to what came out, epoch by epoch.
    begun = read_plan(place / "progress" / "plan.json")
    told = read_standing(place / "progress" / "0000.json", begun.session)
    assert (begun.ended, begun.plan.at_once, told.done, told.ended) == (True, 1, 2, True)
    assert dict(begun.plan.facts)["Seeds"] == "2, 4"
    assert {line["split"]: line["trained"] for line in data["architectures"]} == pytest.approx(
        {split: told.curves[f"{split}_accuracy"][-1] for split in ("test", "valid")}
    )
    # What was trained is kept, so this takes no training; and the result can still be opened.
    again = lab("validate", place, *few, "--json").data
    trained = [line["trained"] for line in data["architectures"]]
    assert [line["trained"] for line in again] == trained
    assert lab("plot", tmp_path / "result").code == 0


def test_validate_with_the_tables_seeds(torch, lab, table):
    text = table.space.to_string(table.space.at(500))
    out = lab("validate", "mine/nb201", "--table-seeds", "--architecture", text, "--jobs", 1)
    assert out.code == 0, out.err
    assert "seeds 0, 1, 3" in out.words
    assert "not all accuracies and losses came out again" in out.words


def test_another_number_of_epochs_is_not_compared(torch, lab, table):
    out = lab("validate", "mine/nb201", "--top", 1, "--seeds", 1, "--epochs", 1, "--jobs", 1)
    assert "nothing to compare with" in out.words
    assert "cannot say" in out.words


def test_what_validate_refuses(torch, lab, table, result, tmp_path):
    for arguments, words in (
        (("nowhere",), "Unknown table 'nowhere'"),
        ((tmp_path / "result", "--benchmark", "other"), "Unknown benchmark of this result"),
        ((tmp_path,), "cannot be read as a result"),
        (("nas-bench-graph/proteins",), "cannot be trained here"),
        (("analognas-bench/cifar10",), "nothing to compare with"),
        (("analognas-bench/cifar10", "--epochs", 1), "is read from files. Name the folder"),
        (("mine/nb201", "--table-seeds", "--epochs", 1), "leave --epochs out"),
        (("mine/nb201", "--jobs", 0), "at least one process"),
        (("mine/nb201", "--device", "abacus"), "Expected auto, cpu, cuda"),
        (("mine/nb201", "--architecture", "|x|"), "Expected 6 options"),
    ):
        out = lab("validate", *arguments)
        assert out.code == 1
        assert words in " ".join(out.err.split()), out.err


def test_a_table_that_was_built_here_comes_out_again(torch, lab, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    (tmp_path / "r.toml").write_text(
        'name = "tiny"\nspace = "nb201"\nseeds = [3, 1]\narchitectures = 1\n[training]\n'
        'data = "digits"\nskeleton = "tiny"\nepochs = 2\nbatch_size = 200\nflip = 0.5\n'
    )
    assert lab("build-table", "r.toml", "--jobs", 1).code == 0
    out = lab("validate", "tiny", "--table-seeds", "--top", 1, "--jobs", 1)
    assert "the same accuracies and losses after every epoch, to the bit" in out.words
    assert "seeds 3, 1, on cpu" in out.words
    # Of training, not of what is kept.
    for file in (tmp_path / "data" / "trainings").glob("*.json"):
        file.unlink()
    file = table_folder("tiny") / "valid_loss.npy"
    values = np.load(file)
    np.save(file, values * 1.001)
    manifest = json.loads((table_folder("tiny") / "manifest.json").read_text())
    manifest["sha256"]["valid_loss"] = sha256(file)
    write_sealed(table_folder("tiny") / "manifest.json", manifest)
    out = lab("validate", "tiny", "--table-seeds", "--top", 1, "--jobs", 1)
    assert "not all accuracies and losses came out again" in out.words


def test_build_table_command(torch, lab, tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    (tmp_path / "r.toml").write_text(
        'name = "tiny"\nspace = "nb201"\nseeds = [0]\narchitectures = 1\n[training]\n'
        'data = "digits"\nskeleton = "tiny"\nepochs = 1\nbatch_size = 200\n'
    )
    out = lab("build-table", "r.toml", "--jobs", 1)
    assert out.code == 0, out.err
    assert "1 network trained" in out.words
    assert "tiny" in lab("list", "tables").words
    assert lab("describe", "tiny").code == 0
    out = lab("build-table", "nothing.toml")
    assert out.code == 1
    assert "cannot be read as a recipe" in out.err


def test_without_torch(lab, table, monkeypatch):
    monkeypatch.setattr("nasbench_lab.trainer.find_spec", lambda name: None)
    for command in (("validate", "mine/nb201"), ("build-table", "r.toml")):
        out = lab(*command)
        assert out.code == 1
        assert "pip install 'nasbench-lab[train]'" in " ".join(out.err.split())
    with pytest.raises(MissingPackageError, match="PyTorch"):
        _ = nasbench_lab.trainer.TrainingBenchmark
    assert nasbench_lab.trainer.load_data("digits").classes == 10
