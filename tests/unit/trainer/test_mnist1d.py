"""MNIST-1D: our signals are those of the authors' package for the same random numbers."""

from importlib import import_module

import numpy as np
import pytest
from scipy.stats import ks_2samp

from nasbench_lab.trainer import load_data, mnist1d

# SHA-256 of all signals and labels, by split: the data set is pinned by it.
CHECKSUM = "6b395120f94e77f78d44efd6981a8db09ac05729c8211bb1d34ea17749b09841"


@pytest.fixture
def package_signals(monkeypatch):
    """The signals of labels, as the package draws them from NumPy's old generator of a seed."""
    reason = "the authors' package; pip install mnist1d"
    data = pytest.importorskip("mnist1d.data", reason=reason)
    transform = import_module("mnist1d.transform").transform

    def draw(labels, seed):
        old = np.random.RandomState(seed)
        for name in ("rand", "randn", "choice"):
            monkeypatch.setattr(np.random, name, getattr(old, name))
        settings, templates = data.get_dataset_args(), data.get_templates()
        shapes, times = templates["x"], templates["t"]
        return np.array([transform(shapes[label], times, settings)[0] for label in labels])

    return draw


def test_the_same_random_numbers_give_the_packages_signals(package_signals):
    labels = np.arange(200) % 10
    old = np.random.RandomState(7)

    def drawn():
        """The numbers of one signal, in the order in which the package draws them."""
        yield 36 + int(old.rand() * 25)
        yield old.rand()
        yield old.choice(48)
        yield old.randn(72)
        yield old.randn(72)
        yield old.rand()

    draws = [tuple(drawn()) for _ in labels]
    ours = mnist1d.signals(labels, mnist1d.Draws(*map(np.array, zip(*draws, strict=True))))
    assert np.abs(ours - package_signals(labels, 7)).max() < 1e-12


def test_our_draws_have_the_packages_distribution(package_signals):
    theirs = package_signals(np.arange(1500) % 10, 3)
    ours = mnist1d.split(1500, 3)[0] * mnist1d.UNIT
    for statistic in (np.mean, np.std, np.max, np.argmax, np.argmin, np.ptp):
        p = ks_2samp(statistic(ours, axis=1), statistic(theirs, axis=1)).pvalue
        assert p > 1e-4, statistic.__name__


def test_the_draws_are_in_their_bounds():
    draws = mnist1d.draw(20_000, np.random.default_rng(0))
    assert (draws.padding.min(), draws.padding.max()) == (36, 60)
    assert (draws.translation.min(), draws.translation.max()) == (0, 47)
    for share in (draws.scale, draws.shear):
        assert 0 <= share.min() < 0.01
        assert 0.99 < share.max() < 1


def test_the_data_set_is_pinned_and_its_parts_differ():
    data = load_data("mnist1d")
    assert data.checksum == CHECKSUM
    assert data.shape == (1, 40, 1)
    assert data.classes == 10
    rows = np.concatenate([images.reshape(-1, 40) for images in data.images.values()])
    assert len(np.unique(rows, axis=0)) == len(rows)
    for split, labels in data.labels.items():
        assert len(labels) == len(data.images[split])
        assert np.ptp(np.bincount(labels, minlength=10)) <= 1, split


def test_the_small_data_set_is_a_part_of_the_large_one():
    whole, few = load_data("mnist1d"), load_data("mnist1d-1000")
    assert (few.name, few.shape, few.mean, few.std) == (
        *("mnist1d-1000", whole.shape),
        *(whole.mean, whole.std),
    )
    for split in ("train", "valid", "test"):
        assert (few.images[split] == whole.images[split][:1000]).all()
        assert (few.labels[split] == whole.labels[split][:1000]).all()
        counts = np.bincount(few.labels[split], minlength=10)
        assert abs(counts - 100).max() < 40  # 4 standard deviations of a draw without order


def test_another_seed_gives_other_signals():
    assert not np.array_equal(mnist1d.split(50, 0)[0], mnist1d.split(50, 1)[0])
    assert np.array_equal(mnist1d.split(50, 0)[0], mnist1d.split(50, 0)[0])
