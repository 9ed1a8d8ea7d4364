"""What is trained is noted in a result, and found again from there: ``validate`` on live results."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch")

from nasbench_lab.cli.training import NOTE, TrainingOptions

pytestmark = pytest.mark.long

OWN = """
from torch import nn

from nasbench_lab import Decision, SearchSpace

space = SearchSpace("mine", [Decision("width", (2, 4, 8), ordered=True)])


def build(architecture, shape, classes):
    width = space.options(architecture)["width"]
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1], width), nn.ReLU(), nn.Linear(width, classes))
"""
SEARCH = ("--budget", 3, "--epochs", 2, "--trials", 2, "--device", "cpu", "-o", "r")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The options that name one's own space, networks and data."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    signals = rng.normal(size=(90, 12)) + labels[:, None]
    np.savez(tmp_path / "my.npz", x_train=signals, y_train=labels, x_test=signals, y_test=labels)
    (tmp_path / "my.py").write_text(OWN)
    return ("--build", "my.py:build", "--data", "my.npz")


@pytest.fixture
def compared(lab, mine):
    options = ("-a", "random_search(replacement=False)", "--seeds", 2, "--jobs", 1)
    told = lab("compare", "--train", "my.py:space", *mine, *SEARCH, *options)
    assert told.code == 0, told.err


def kept(seeds):
    """The final accuracies of each kept training with these seeds, by architecture."""
    entries = [json.loads(file.read_text()) for file in Path("data", "trainings").glob("*.json")]
    return {
        entry["architecture"]: {
            split: [curve[-1] for curve in entry["curves"][f"{split}_accuracy"]]
            for split in ("valid", "test")
        }
        for entry in entries
        if entry["seeds"] == seeds and len(entry["seconds"]["train"]) == 2
    }


def test_validate_trains_anew_what_searches_found(lab, compared, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # the note has whole paths
    told = lab("validate", tmp_path / "r", "--top", 1, "--seeds", 3, "--jobs", 1, "--json")
    assert told.code == 0, told.err
    monkeypatch.chdir(tmp_path)
    saw, anew = kept([0, 1]), kept([2, 3, 4])
    best = max(saw, key=lambda text: np.mean(saw[text]["valid"]))
    (name,) = anew
    assert np.mean(saw[name]["valid"]) == np.mean(saw[best]["valid"])
    assert [row["split"] for row in told.data] == ["test", "valid"]
    for row in told.data:
        split = row["split"]
        assert row["architecture"] == name
        assert row["table"] == pytest.approx(np.mean(saw[name][split]))
        assert row["table_n"] == 2
        assert row["trained"] == pytest.approx(np.mean(anew[name][split]))
        assert row["trained_n"] == 3
        assert "random_search" in row["found_by"]
    stem = Path("r", "validation-training-mine-on-my")
    assert json.loads(stem.with_suffix(".json").read_text())["seeds"] == [2, 3, 4]
    assert stem.with_suffix(".png").exists()
    # And with the search's own seeds, its trainings repeat.
    shown = lab("validate", "r", "--top", 2, "--table-seeds", "--jobs", 1)
    assert "accuracy (%) search trained difference" in shown.words
    assert "table" not in shown.words
    assert "With the search's own seeds: the same accuracies and losses after every" in shown.words


def test_what_is_not_known_any_more_is_said(lab, compared):
    said = lab("validate", "r", "--epochs", 3)
    assert said.code == 1
    assert "leave --epochs out" in said.err
    note, code = Path("r", NOTE), Path("my.py")
    was = note.read_text()
    for file, text, words in (
        (note, "{", "training.json is damaged"),
        (note, "[]", "training.json is damaged"),
        (note, '{"training mine on my": {"spice": 1}}', "training.json is damaged"),
        (note, "{}", "does not say how 'training mine on my' trains"),
        (code, OWN.replace("nn.ReLU", "nn.Tanh"), "trains something else now than in r"),
    ):
        note.write_text(was)
        file.write_text(text)
        told = lab("validate", "r", "--jobs", 1)
        assert told.code == 1
        assert words in " ".join(told.err.split())
        assert "Traceback" not in told.err


def test_names_stay_names(tmp_path):
    TrainingOptions("nb201", "digits", data_folder=Path("files")).note(tmp_path, "one")
    TrainingOptions("my.py:space", "my.npz", "nets/my.py:build").note(tmp_path, "two")
    notes = json.loads((tmp_path / NOTE).read_text())
    assert list(notes) == ["one", "two"]
    here = Path.cwd()
    assert notes["two"] == {
        **{"space": f"{here}/my.py:space", "build": f"{here}/nets/my.py:build"},
        **{"data": f"{here}/my.npz", "epochs": None, "trials": 1, "data_folder": None},
    }
    assert (notes["one"]["space"], notes["one"]["data"]) == ("nb201", "digits")
    assert re.fullmatch(r"/.*/files", notes["one"]["data_folder"])
