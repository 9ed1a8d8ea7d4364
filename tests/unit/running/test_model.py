"""From search to model: what is kept of the best, and that nothing is trained twice."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
pytest.importorskip("safetensors", reason="models need safetensors")
from small_data import short, small_digits

from nasbench_lab.running.model import keep_model
from nasbench_lab.spaces import ChainSpace
from nasbench_lab.trainer import training
from nasbench_lab.trainer.benchmark import TrainingBenchmark
from nasbench_lab.trainer.saved_models import load_model, weights_file

pytestmark = pytest.mark.long

DATA = small_digits()
SPACE = ChainSpace("narrow", filters=(2, 4), units=(5, 8))
CHAIN = SPACE.from_string("conv3-4+dense-8 relu dropout=0.5 adam lr=0.003 batch=64 decay=0.0")
SEEDS = (1, 2)


@pytest.fixture
def trainer(tmp_path):
    recipe = short(epochs=3)
    return TrainingBenchmark(SPACE, recipe, data=DATA, device="cpu", folder=tmp_path / "kept")


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that are trained, as (seed, epoch)."""
    trained, original = [], training._Run._train_epoch

    def counted(run):
        trained.append((*run.seeds, run.epoch))
        original(run)

    monkeypatch.setattr(training._Run, "_train_epoch", counted)
    return trained


@pytest.fixture
def plain(monkeypatch):
    """Leaves out pictures and summary, which take longer than the trainings."""
    monkeypatch.setattr("nasbench_lab.running.model._describe", lambda *_: None)


def content(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_what_is_kept(trainer, tmp_path):
    steps = []
    kept = keep_model(
        trainer, CHAIN, SEEDS, tmp_path / "model", progress=lambda *step: steps.append(step)
    )
    assert set(content(kept.folder)) == {
        *("model.json", "summary.txt", "weights-1.safetensors", "weights-2.safetensors"),
        *("architecture.svg", "architecture.png"),
        *("confusion_test.csv", "confusion_test.png", "confusion_test.svg"),
    }
    assert [done for done, total, _ in steps if total == 6][-1] == 6
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    # Each seed has what it would have by itself.
    for seed in SEEDS:
        alone = training.train(SPACE, CHAIN, trainer.recipe, DATA, seeds=(seed,), device="cpu")
        entry = next(one for one in kept.about.seeds if one.seed == seed)
        for split, accuracy in entry.accuracies.items():
            assert accuracy == alone.curves[f"{split}_accuracy"][0, -1]
    values = [seed.accuracies["test"] for seed in kept.about.seeds]
    assert kept.spread("test") == (np.mean(values), np.std(values, ddof=1))
    assert kept.accuracy("test") == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    summary = (kept.folder / "summary.txt").read_text()
    assert f"test: {kept.accuracy('test')}  (seed 1: {values[0]:.2f}, seed 2: " in summary
    assert "\n0      Conv2d   1 x 4 x 8 x 8         40\n" in summary
    assert "Nothing was chosen by the test data." in summary
    assert not list(trainer.folder.glob("*.pt"))


def test_the_confusion_matrix(trainer, tmp_path):
    kept = keep_model(trainer, CHAIN, SEEDS, tmp_path / "model")
    with open(kept.folder / "confusion_test.csv") as file:
        head, *rows = csv.reader(file)
    assert head == ["true class", *map(str, range(10))]
    counts = np.array(rows, dtype=int)[:, 1:]
    answers = load_model(kept.folder).predict(DATA.images["test"])
    for true, answer in np.ndindex(10, 10):
        both = (DATA.labels["test"] == true) & (answers == answer)
        assert counts[true, answer] == both.sum()
    chosen = next(one for one in kept.about.seeds if one.seed == kept.about.chosen)
    assert 100 * np.trace(counts) / counts.sum() == pytest.approx(chosen.accuracies["test"])


def test_without_test_images_it_is_judged_on_validation_images(trainer, tmp_path):
    arrays = {
        f"{letter}_{split}": part[split]
        for split in ("train", "valid")
        for letter, part in (("x", DATA.images), ("y", DATA.labels))
    }
    recipe, folder = short(epochs=1), tmp_path / "kept"
    trainer = TrainingBenchmark(SPACE, recipe, data=arrays, device="cpu", folder=folder)
    kept = keep_model(trainer, CHAIN, (1,), tmp_path / "model")
    assert kept.split == "valid"
    assert (kept.folder / "confusion_valid.csv").exists()
    assert (
        "what the model is worth on new data is not known"
        in (kept.folder / "summary.txt").read_text()
    )
    assert kept.accuracy("valid") == f"{kept.about.seeds[0].accuracies['valid']:.2f}"


def test_nothing_is_trained_twice(plain, trainer, tmp_path, epochs):
    kept = keep_model(trainer, CHAIN, SEEDS, tmp_path / "model")
    before = content(kept.folder)
    assert epochs == [(seed, epoch) for seed in SEEDS for epoch in range(3)]
    keep_model(trainer, CHAIN, SEEDS, tmp_path / "model")
    assert len(epochs) == 6
    assert content(kept.folder) == before
    keep_model(trainer, CHAIN, (1, 3), tmp_path / "model")
    assert [seed for seed, _ in epochs[6:]] == [1, 1, 1, 3, 3, 3]
    assert not weights_file(kept.folder, 2).exists()


def test_what_is_damaged_is_made_anew(plain, trainer, tmp_path):
    kept = keep_model(trainer, CHAIN, SEEDS, tmp_path / "model")
    before = content(kept.folder)
    weights_file(kept.folder, 2).write_bytes(b"")
    assert content(keep_model(trainer, CHAIN, SEEDS, kept.folder).folder) == before
    (kept.folder / "model.json").write_text("{")
    assert content(keep_model(trainer, CHAIN, SEEDS, kept.folder).folder) == before


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", [(1, 2), (2, 1)])
def test_what_is_killed_goes_on_and_comes_out_the_same(plain, trainer, tmp_path, monkeypatch, at):
    whole = content(keep_model(trainer, CHAIN, SEEDS, tmp_path / "whole").folder)
    monkeypatch.setattr("nasbench_lab.running.model.CHECKPOINT_S", 0.0)
    trained, original = [], training._Run._train_epoch

    def killing(run):
        trained.append((*run.seeds, run.epoch))
        if trained[-1] == at and trained.count(at) == 1:
            raise KilledError
        original(run)

    monkeypatch.setattr(training._Run, "_train_epoch", killing)
    with pytest.raises(KilledError):
        keep_model(trainer, CHAIN, SEEDS, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert content(keep_model(trainer, CHAIN, SEEDS, tmp_path / "model").folder) == whole
    assert sorted(trained) == sorted([*((s, e) for s in SEEDS for e in range(3)), at])


@pytest.mark.slow  # two processes load PyTorch; in one, it is what all tests above do
def test_processes_give_the_same(plain, trainer, tmp_path):
    alone = keep_model(trainer, CHAIN, SEEDS, tmp_path / "alone")
    together = keep_model(trainer, CHAIN, SEEDS, tmp_path / "together", n_jobs=2)
    assert content(alone.folder) == content(together.folder)
