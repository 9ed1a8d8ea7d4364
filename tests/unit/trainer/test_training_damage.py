"""Damage to checkpoints and to what is kept of trainings: noticed, and never believed."""

import json
import logging
import os
import random

import numpy as np
import pytest
from damage import damage, write_sealed

from nasbench_lab.errors import DataFolderError, TableFileError
from nasbench_lab.spaces import get_space

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from small_data import short, small_digits

from nasbench_lab.trainer.benchmark import TrainingBenchmark, _read
from nasbench_lab.trainer.table_recipe import TableRecipe
from nasbench_lab.trainer.training import _Run, train
from nasbench_lab.trainer.unfinished import Unfinished

pytestmark = pytest.mark.long

SPACE = get_space("nb201")
CELL, OTHER = SPACE.canonical((1, 3, 0, 1, 0, 2)), SPACE.canonical((3, 3, 3, 3, 3, 3))
DATA = small_digits()


def state(checkpoint):
    """All that a training goes on with."""
    run = _Run(SPACE, CELL, short(), DATA, (0, 1), torch.device("cpu"))
    run._load(checkpoint)
    tensors = [tensor.numpy().tobytes() for tensor in run.network.state_dict().values()]
    momentum = [
        value.numpy().tobytes()
        for entry in run.optimizer.state_dict()["state"].values()
        for value in entry.values()
        if value is not None
    ]
    sums = {split: np.stack(sums).tobytes() for split, sums in run.sums.items()}
    return tensors, momentum, sums, run.seconds


def test_damage_to_a_checkpoint_is_noticed(tmp_path):
    files = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for file, cell in zip(files, (CELL, OTHER), strict=True):
        settings = {"seeds": (0, 1), "device": "cpu", "epochs": 1, "checkpoint": file}
        train(SPACE, cell, short(), DATA, **settings)
    held = [file.read_bytes() for file in files]
    whole, rng, noticed = state(files[0]), random.Random(5), 0
    for _ in range(40):
        for file, content in zip(files, held, strict=True):
            file.write_bytes(content)
        damage(rng, files[0], files[1:])
        try:
            assert state(files[0]) == whole
        except TableFileError:
            noticed += 1
    assert noticed > 30


def change(file, change, *, seal):
    """Edits an entry, as somebody who does or does not know of the checksum."""
    entry = json.loads(file.read_text())
    change(entry)
    if seal:
        write_sealed(file, entry)
    else:
        file.write_text(json.dumps(entry))


def best(entry):
    entry["curves"]["valid_accuracy"][0][-1] = 99.0


IMPOSSIBLE = {
    "999 %": lambda e: e["curves"]["valid_accuracy"][0].__setitem__(-1, 999.0),
    "no number": lambda e: e["curves"]["valid_accuracy"][0].__setitem__(-1, float("nan")),
    "a negative loss": lambda e: e["curves"]["valid_loss"][0].__setitem__(0, -0.1),
    "a negative time": lambda e: e["seconds"]["train"].__setitem__(0, -1.0),
    "endless time": lambda e: e["seconds"]["train"].__setitem__(0, float("inf")),
    "negative size": lambda e: e.update(parameters=-1.0),
    "other seeds": lambda e: e.update(seeds=[1]),
    "another cell": lambda e: e.update(architecture=SPACE.to_string(OTHER)),
    "a missing curve": lambda e: e["curves"].pop("valid_accuracy"),
    "a shorter curve": lambda e: e["curves"]["valid_accuracy"][0].pop(),
    "something else": lambda e: e.update(of="another training"),
}


@pytest.fixture
def kept(tmp_path):
    """A benchmark that reads what was kept, its file, and what it says."""

    def make():
        settings = {"data": DATA, "device": "cpu", "folder": tmp_path / "kept"}
        return TrainingBenchmark("nb201", short(), **settings)

    value = make().evaluate(CELL)
    (file,) = (tmp_path / "kept").iterdir()
    return make, file, value


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_a_kept_training_cannot_say_is_told_and_trained_again(kept, what, caplog):
    make, file, value = kept
    change(file, IMPOSSIBLE[what], seal=True)
    with caplog.at_level(logging.WARNING):
        assert make().evaluate(CELL) == value
    assert str(file) in caplog.text
    assert "is trained again" in caplog.text
    caplog.clear()
    assert make().evaluate(CELL) == value
    assert caplog.text == ""


def test_an_edited_training_is_not_believed(kept, caplog):
    make, file, value = kept
    change(file, best, seal=False)
    assert make().evaluate(CELL) == value
    assert "has changed since it was written" in caplog.text


def test_damage_to_a_kept_training_is_noticed(kept, tmp_path):
    make, file, _ = kept
    make().evaluate(OTHER)
    (other,) = set((tmp_path / "kept").iterdir()) - {file}
    held = {path: path.read_bytes() for path in (file, other)}
    what = make()._key(CELL), (0,), SPACE.to_string(CELL)
    whole, rng, noticed = vars(_read(file, *what)), random.Random(7), 0
    for _ in range(150):
        for path, content in held.items():
            path.write_bytes(content)
        damage(rng, file, [other])
        try:
            read = vars(_read(file, *what))
        except TableFileError:
            noticed += 1
        else:
            np.testing.assert_equal(read, whole)
    assert noticed > 100


def test_trainings_of_the_version_before_are_read(kept):
    make, file, value = kept
    entry = json.loads(file.read_text())
    del entry["checksum"], entry["of"]
    file.write_text(json.dumps(entry))
    before = file.read_bytes()
    assert make().evaluate(CELL) == value
    assert file.read_bytes() == before
    entry["curves"]["valid_accuracy"][0][-1] = 999.0
    file.write_text(json.dumps(entry))
    assert make().evaluate(CELL) == value


def test_a_training_that_may_not_be_read_is_not_called_damaged(kept, monkeypatch):
    make, file, _ = kept

    def refuse(*_, **__):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(type(file), "read_text", refuse)
    with pytest.raises(DataFolderError, match=r"Cannot read .*: Permission denied"):
        make().evaluate(CELL)


# Unfinished builds

RECIPE = TableRecipe(name="few", space="nb201", seeds=(0,), architectures=2, training=short())
ENTRIES = {
    ("trained", 5): {"parameters": 0.1, "flops": 0.2, "wall_s": 1.5, "curves": {"a_loss": [[1.0]]}},
    ("trained", 6): {"parameters": 0.1, "flops": 0.3, "wall_s": 1.5, "curves": {"a_loss": [[2.0]]}},
    ("timed", 5): {"train": 0.25, "valid": 0.5},
}


def test_damage_to_an_unfinished_build_is_noticed(tmp_path):
    work, rng, noticed = Unfinished(tmp_path / "t.build", RECIPE, DATA), random.Random(11), 0
    for (part, index), entry in ENTRIES.items():
        work.write(part, index, entry)
    work.count_time("training", 3.0)
    files = sorted(path for path in work.folder.rglob("*") if path.is_file())
    held = {path: path.read_bytes() for path in files}
    for number in range(150):
        for path, content in held.items():
            path.write_bytes(content)
        path = files[number % len(files)]
        damage(rng, path, [other for other in files if other != path])
        try:
            again = Unfinished(work.folder, RECIPE, DATA)
        except DataFolderError:  # says that of build.json
            assert (work.folder / "build.json").read_bytes() != held[work.folder / "build.json"]
            noticed += 1
            continue
        for (part, index), entry in ENTRIES.items():
            read = again.read(part, index)
            noticed += read is None
            assert read in (None, entry)
        noticed += again.times() == {}
        assert again.times() in ({}, {"training": 3.0})
    assert noticed > 100


def test_networks_of_another_build_are_not_taken(tmp_path, caplog):
    work = Unfinished(tmp_path / "t.build", RECIPE, DATA)
    work.write("trained", 5, ENTRIES["trained", 5])
    (work.folder / "build.json").unlink()
    assert Unfinished(work.folder, RECIPE, DATA).read("trained", 5) == ENTRIES["trained", 5]
    (work.folder / "build.json").unlink()
    other = RECIPE.model_copy(update={"seeds": (1,)})
    assert Unfinished(work.folder, other, DATA).read("trained", 5) is None
    assert "is of another training" in caplog.text


def test_impossible_values_of_a_build_are_not_taken(tmp_path, caplog):
    work = Unfinished(tmp_path / "t.build", RECIPE, DATA)
    work.write("trained", 5, {**ENTRIES["trained", 5], "curves": {"a_accuracy": [[999.0]]}})
    work.write("timed", 5, {"train": -1.0})
    assert work.missing("trained", [5]) == work.missing("timed", [5]) == [5]
    assert "a_accuracy = 999.0, which cannot be" in caplog.text
