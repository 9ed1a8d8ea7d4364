"""One-shot methods on images that are read from files, which the tests write."""

import numpy as np
import pandas as pd
import pytest
from image_files import content, expected, publish, python_2, write

from nasbench_lab.errors import MissingSourceError, TableFileError, UnsuitedError
from nasbench_lab.experiment.building import build
from nasbench_lab.registry import algorithm_class
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column
from nasbench_lab.tables.table import Table

torch = pytest.importorskip("torch", reason="one-shot methods need PyTorch")
from one_shot import run

from nasbench_lab.running.supernet import study_supernets
from nasbench_lab.trainer import TrainingBenchmark, load_data
from nasbench_lab.trainer.datasets import searched
from nasbench_lab.trainer.supernet import HalvedImages

pytestmark = pytest.mark.long

DARTS, NB201 = get_space("darts"), get_space("nb201")
TINY = {"data": "cifar10", "epochs": 1, "images": 16, "batch_size": 8}
SKELETON = {"channels": 4, "cells": 2}
SMALL_SPOS = {"generations": 1, "population_size": 4, "candidates": 2}


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder with the files of CIFAR-10; the data folder is one of its own."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))
    write("cifar10", tmp_path / "cifar-10-batches-py")
    publish(monkeypatch, "cifar10", tmp_path / "cifar-10-batches-py")
    return tmp_path


def make(name, space, files, **settings):
    return algorithm_class(name)(space, seed=0, files=files, **{**TINY, **settings})


def test_the_halves_are_those_of_the_whole_training_set(folder):
    data = load_data("cifar10", folder)
    images = HalvedImages(data)
    merged, _ = searched(data)
    assert list(merged.images) == ["train"]
    for half, split in (("weights", "train"), ("alphas", "valid")):
        numbers = images.halves[half]
        np.testing.assert_array_equal(merged.images["train"][numbers], data.images[split])
        np.testing.assert_array_equal(merged.labels["train"][numbers], data.labels[split])
        x, y = next(images.plain(half))
        assert x.shape == (50, 3, 32, 32)
        np.testing.assert_array_equal(y, data.labels[split])
    whole = expected("cifar10")["train"][0]
    assert {image.tobytes() for image in merged.images["train"]} == {i.tobytes() for i in whole}
    # An epoch of one architecture trains on a half, so each half is a pass.
    assert images.count == 50


@pytest.mark.parametrize(
    ("name", "space", "settings"),
    [("darts", DARTS, {**SKELETON, "images": 8, "batch_size": 4}), ("spos", NB201, SMALL_SPOS)],
)
def test_a_search_trains_on_the_images(folder, name, space, settings):
    algorithm = make(name, space, str(folder), **settings)
    works, trial = run(algorithm)
    supernet = algorithm.training.supernet
    assert (supernet.image_channels, supernet.classes) == (3, 10)
    assert trial.architecture == space.validate(works[-1].architecture)
    assert all(np.isfinite(epoch.probabilities).all() for epoch in algorithm.history)
    # Two passes of so many of the 50 images of a half; the shares of the passes say so.
    assert works[0].shared >= 2 * algorithm.settings["images"] / 2 / 50


def test_a_search_never_sees_the_images_for_testing(monkeypatch, folder):
    files = folder / "cifar-10-batches-py"
    algorithm = make("gdas", NB201, folder)
    run(algorithm)
    seen = [epoch._replace(seconds=0.0) for epoch in algorithm.history]

    def again(file):
        """Whether a search is the same with other images in a file."""
        held = content("cifar10", file)
        kept = (files / file).read_bytes()
        (files / file).write_bytes(python_2({**held, "data": 255 - held["data"]}))
        publish(monkeypatch, "cifar10", files)
        other = make("gdas", NB201, folder)
        run(other)
        (files / file).write_bytes(kept)
        return all(
            np.array_equal(a, b, equal_nan=True)
            for e, f in zip(seen, other.history, strict=True)
            for a, b in zip(e, f._replace(seconds=0.0), strict=True)
        )

    assert again("test_batch")
    assert not again("data_batch_1")


def test_a_folder_is_asked_for_and_looked_into_before_the_search(folder):
    with pytest.raises(UnsuitedError, match="Expected the folder with their files"):
        make("darts", DARTS, None)
    with pytest.raises(MissingSourceError, match=r"cifar10 is not complete in .*nowhere"):
        make("darts", DARTS, folder / "nowhere")
    (folder / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"other")
    with pytest.raises(TableFileError, match="data_batch_2: expected the published file"):
        make("darts", DARTS, folder, **SKELETON).ask()


def test_real_training_says_where_its_images_are(folder):
    benchmark = TrainingBenchmark("darts", data="cifar10", files=folder, device="cpu")
    stream = np.random.SeedSequence(0)
    given = build(algorithm_class("darts"), benchmark, stream, SKELETON)
    assert (given.data, given.files) == ("cifar10", folder)
    own = {**SKELETON, "files": str(folder / "cifar-10-batches-py")}
    assert build(algorithm_class("darts"), benchmark, stream, own).files.name in own["files"]


def table(n=5):
    """A table of some architectures on CIFAR-10, with made-up accuracies."""
    texts = DARTS.to_string(DARTS.sample(np.random.default_rng(0), n))
    quantities = {"valid_accuracy": "%", "test_accuracy": "%", "train_time": "s"}
    columns = [
        Column(
            name,
            name.split("_", 1)[1] if unit == "%" else name,
            unit,
            unit == "%",
            name.split("_", 1)[0] if unit == "%" else None,
            dataset="cifar10",
            schedule="2",
        )
        for name, unit in quantities.items()
    ]
    values = {name: np.arange(1.0, n + 1) for name in quantities}
    frame = pd.DataFrame({"genotype": texts, **values})
    return Table.from_frame(frame, "my-darts", columns, space="darts", architecture="genotype")


def test_a_study_and_its_command_take_the_folder(lab, folder):
    method = "random_search_ws(epochs=1, images=8, cells=2, candidates=1, final_candidates=1)"
    study = study_supernets(table().name, [method], ranked=3, folder=folder / "out", files=folder)
    assert study.epochs["ranked"].tolist() == [5]
    assert study.architectures["one_shot"].between(0, 100).all()
    for more, message in (
        ((), "Expected the folder with their files"),
        (("--data-folder", folder / "nowhere"), "cifar10 is not complete in"),
    ):
        wrong = lab("supernet", "my-darts", "-a", method, *more)
        assert wrong.code == 1
        assert message in " ".join(wrong.err.split())
