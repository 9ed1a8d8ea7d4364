"""Training: reproducible to the bit, interrupted or not, and the same as written in plain PyTorch."""

import math
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waiting import wait_for

from nasbench_lab.errors import (
    DataFolderError,
    InvalidArchitectureError,
    RecipeError,
    TableFileError,
    TrainingError,
)
from nasbench_lab.spaces import get_space

torch = pytest.importorskip("torch", reason="training needs PyTorch")
from small_data import SIZES, short, small_digits
from torch.nn import functional

from nasbench_lab.trainer import training as module
from nasbench_lab.trainer.networks import build_network, initialise
from nasbench_lab.trainer.recipe import RECIPES, Recipe
from nasbench_lab.trainer.training import choose_device, train

pytestmark = pytest.mark.long

SPACE = get_space("nb201")
CELL = SPACE.from_string(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"
)
DATA = small_digits()


def same(a, b):
    return a.curves.keys() == b.curves.keys() and all(
        np.array_equal(a.curves[name], b.curves[name]) for name in a.curves
    )


def go(recipe=None, seeds=(0, 1), **options):
    return train(SPACE, CELL, recipe or short(), DATA, seeds=seeds, device="cpu", **options)


def test_shapes_and_units():
    training = go()
    assert set(training.curves) == {
        f"{s}_{q}" for s in ("train", "valid", "test") for q in ("accuracy", "loss")
    }
    for name, values in training.curves.items():
        assert values.shape == (2, 3)
        if name.endswith("accuracy"):
            # Per cent of a whole number of images.
            counts = values / 100 * SIZES[name.removesuffix("_accuracy")]
            np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
            assert values.min() >= 0
            assert values.max() <= 100
        else:
            assert (values > 0).all()
    assert all((training.seconds[split] > 0).all() for split in ("train", "valid", "test"))
    assert training.epochs == 3
    assert training.device == "cpu"


def test_same_seed_same_curves_and_another_seed_others():
    first = go()
    assert same(first, go())
    other = go(seeds=(0, 2))
    assert not np.array_equal(first.curves["valid_loss"][1], other.curves["valid_loss"][1])


def test_threads_do_not_matter():
    before = torch.get_num_threads()
    first = go()
    try:
        torch.set_num_threads(2)
        assert same(first, go())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_nothing_is_drawn_from_global_generators():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    go()
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_a_seed_starts_alike_whoever_is_beside_it():
    networks = []
    for seeds in ((5,), (5, 9), (9, 5)):
        network = build_network(SPACE, CELL, classes=10, skeleton="tiny", groups=len(seeds))
        initialise(network, [np.random.default_rng(seed) for seed in seeds])
        stem = network[0][0].weight.view(len(seeds), -1)
        networks.append(stem[seeds.index(5)])
    assert torch.equal(networks[0], networks[1])
    assert torch.equal(networks[0], networks[2])


def test_initial_weights_are_those_of_pytorch():
    network = build_network(SPACE, CELL, classes=10, skeleton="tiny")
    initialise(network, [np.random.default_rng(0)])
    for layer in (m for m in network.modules() if isinstance(m, torch.nn.Conv2d)):
        default = torch.nn.Conv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, bias=False
        ).weight
        # Both uniform between ± 1 / sqrt(fan_in).
        bound = layer.weight[0].numel() ** -0.5
        assert layer.weight.abs().max() <= bound
        assert default.abs().max() <= bound
        if layer.weight.numel() > 500:
            # 5 standard errors of the standard deviation of a uniform sample.
            error = 5 * bound / math.sqrt(3) / math.sqrt(layer.weight.numel())
            assert abs(layer.weight.std() - default.std()) < 2 * error


def by_hand(recipe, seed):
    """One seed in plain PyTorch: its optimiser, its schedule, its loss, image after image."""
    network = build_network(
        SPACE, SPACE.canonical(CELL), classes=10, image_channels=1, skeleton=recipe.skeleton
    )
    initialise(network, [np.random.default_rng(np.random.SeedSequence([seed, 0]))])
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )
    n, size = SIZES["train"], recipe.batch_size
    steps = math.ceil(n / size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * steps)
    images = DATA.images["train"][..., 0].astype(float)
    losses = []
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1, epoch]))
        order, moves, flips = rng.permutation(n), rng.integers(3, size=(n, 2)), rng.random(n)
        shown = np.zeros((n, 8, 8))
        for place, image in enumerate(order):
            down, right = moves[place]
            moved = np.pad(images[image], 1)[down : down + 8, right : right + 8]
            shown[place] = moved[:, ::-1] if flips[place] < recipe.flip else moved
        shown = torch.tensor((shown - DATA.mean[0]) / DATA.std[0], dtype=torch.float32)[:, None]
        labels = torch.from_numpy(DATA.labels["train"][order])
        network.train()
        total = 0.0
        for step in range(steps):
            part = slice(step * size, (step + 1) * size)
            optimizer.zero_grad()
            loss = functional.cross_entropy(
                network(shown[part])[0], labels[part], label_smoothing=recipe.label_smoothing
            )
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels[part])
        losses.append(total / n)
    network.eval()
    with torch.no_grad():
        valid = torch.from_numpy(DATA.images["valid"]).permute(0, 3, 1, 2).float()
        scores = network((valid - DATA.mean[0]) / DATA.std[0])[0]
        last = functional.cross_entropy(scores, torch.from_numpy(DATA.labels["valid"])).item()
    return losses, last


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": 0.5, "label_smoothing": 0.1},
        {"nesterov": False, "weight_decay": 0.0, "lr": 0.02},
    ],
)
def test_plain_pytorch_gives_the_same(changes):
    recipe = short(**changes)
    training = go(recipe, seeds=(3, 4))
    for i, seed in enumerate((3, 4)):
        losses, valid = by_hand(recipe, seed)
        # The same arithmetic in single precision, in another order; errors grow over nine steps.
        np.testing.assert_allclose(training.curves["train_loss"][i], losses, rtol=2e-3)
        assert training.curves["valid_loss"][i, -1] == pytest.approx(valid, rel=2e-2)


def test_every_setting_of_the_recipe_counts():
    changes = {
        "batch_size": 30,
        "optimizer": "adam",
        "lr": 0.05,
        "lr_schedule": "constant",
        "momentum": 0.5,
        "nesterov": False,
        "weight_decay": 0.1,
        "label_smoothing": 0.2,
        "shift": 0,
        "flip": 1.0,
        "skeleton": "paper",
        "epochs": 2,
    }
    untested = set(Recipe.model_fields) - set(changes) - {"data", "trained_on"}
    assert not untested
    usual = go(seeds=(0,)).curves["train_loss"][:, :2]
    for name, value in changes.items():
        changed = go(short(**{name: value}), seeds=(0,)).curves["train_loss"][:, :2]
        assert not np.array_equal(usual, changed), name


def test_the_recipes_are_the_papers():
    for name in ("cifar10", "cifar100", "ImageNet16-120"):
        recipe = RECIPES[name]
        assert (recipe.data, recipe.epochs, recipe.batch_size, recipe.lr) == (name, 200, 256, 0.1)
        assert (recipe.momentum, recipe.nesterov, recipe.weight_decay) == (0.9, True, 5e-4)
        assert (recipe.lr_schedule, recipe.flip, recipe.skeleton) == ("cosine", 0.5, "paper")
        assert recipe.shift == (2 if name.startswith("ImageNet") else 4)


def test_changed_recipes_are_checked():
    assert short().replace(epochs=9).epochs == 9
    for wrong in ({"epoch": 9}, {"epochs": 0}, {"lr": "fast"}):
        with pytest.raises(RecipeError, match=next(iter(wrong))):
            short().replace(**wrong)


# Interrupted


def test_a_training_that_stopped_goes_on_to_the_same_end(tmp_path):
    whole = go()
    file = tmp_path / "checkpoint.pt"
    part = go(epochs=1, checkpoint=file)
    assert part.epochs == 1
    np.testing.assert_array_equal(part.curves["valid_loss"], whole.curves["valid_loss"][:, :1])
    seen = []
    again = go(checkpoint=file, progress=lambda done, total: seen.append((done, total)))
    assert same(whole, again)
    assert seen[0] == (1, 3)  # the first epoch was not trained again
    assert go(epochs=2, checkpoint=file).epochs == 2


_KILLED = """
import sys
sys.path.insert(0, {support!r})
from pathlib import Path
from small_data import short, small_digits
from nasbench_lab.spaces import get_space
from nasbench_lab.trainer.training import train
space = get_space({space!r})
train(space, space.from_string({text!r}), short(epochs=400), small_digits(), seeds=(0, 1), device="cpu",
      checkpoint=Path({file!r}), checkpoint_every_s=0.0)
"""


CHAIN = "conv3-8+max+dense-32 gelu norm dropout=0.5 adam lr=0.01 batch=64 decay=0.0001"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nb201", SPACE.to_string(CELL)),
        pytest.param("chain", CHAIN, marks=pytest.mark.slow),  # short: test_built_networks.py
    ],
)
def test_a_killed_training_goes_on_to_the_same_end(name, text, tmp_path):
    file = tmp_path / "checkpoint.pt"
    support = str(Path(__file__).parents[2] / "support")
    script = _KILLED.format(support=support, space=name, text=text, file=str(file))
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        wait_for(file.exists, process)
        process.kill()
    seen = []
    space = get_space(name)
    what = space, space.from_string(text), short(epochs=400), DATA
    settings = {"seeds": (0, 1), "device": "cpu", "epochs": 60}
    note = {"progress": lambda done, _: seen.append(done)}
    resumed = train(*what, **settings, checkpoint=file, **note)
    assert seen[0] > 0
    assert same(resumed, train(*what, **settings))


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file = tmp_path / "checkpoint.pt"
    go(epochs=1, checkpoint=file)
    for other in ({"seeds": (0, 2)}, {"recipe": short(lr=0.2)}):
        with pytest.raises(TableFileError, match="of another training"):
            go(**other, checkpoint=file)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


def test_damaged_and_hostile_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "checkpoint.pt"
    go(epochs=1, checkpoint=file)
    whole = file.read_bytes()
    contents = [b"", whole[: len(whole) // 2], pickle.dumps(Hostile()), b"nonsense"]
    for content in contents:
        file.write_bytes(content)
        with pytest.raises(TableFileError, match="Delete it"):
            go(checkpoint=file)
    torch.save(Hostile(), file)
    with pytest.raises(TableFileError, match="Delete it"):
        go(checkpoint=file)
    assert not (tmp_path / "was-run").exists()


def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of files are POSIX's")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        with pytest.raises(DataFolderError, match="Cannot write"):
            go(epochs=1, checkpoint=tmp_path / "checkpoint.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu(tmp_path):
    recipe, file = short(epochs=12), tmp_path / "checkpoint.pt"
    settings = {"seeds": (0, 1), "device": "auto"}
    train(SPACE, CELL, recipe, DATA, **settings, epochs=5, checkpoint=file)
    training = train(SPACE, CELL, recipe, DATA, **settings, checkpoint=file)
    assert training.device.startswith("cuda")
    on_cpu = go(recipe)
    # The first losses are those of the same images and weights, in bfloat16.
    first = training.curves["train_loss"][:, 0]
    np.testing.assert_allclose(first, on_cpu.curves["train_loss"][:, 0], rtol=0.1)


# What cannot be done


def test_devices():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cuda:99", "abacus", "", "meta"):
        with pytest.raises(TrainingError, match="Expected auto, cpu, cuda"):
            choose_device(name)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_change(monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(module.functional, "cross_entropy", fail)
    with pytest.raises(TrainingError, match=r"batch_size 40 and 2 seeds.*fewer seeds"):
        go()


def test_other_errors_pass_through(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(module.functional, "cross_entropy", fail)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        go()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": ()}, "different seeds"),
        ({"seeds": (1, 1)}, "different seeds"),
        ({"seeds": (-1,)}, "different seeds"),
        ({"epochs": 0}, "1 to 3 epochs"),
        ({"epochs": 4}, "1 to 3 epochs"),
    ],
)
def test_impossible_trainings(options, words):
    with pytest.raises(TrainingError, match=words):
        go(**options)


def test_an_architecture_of_another_space_is_refused():
    with pytest.raises(InvalidArchitectureError):
        train(SPACE, (0, 1), short(), DATA)


def test_isomorphic_cells_are_one_training():
    cells = SPACE.at(np.arange(SPACE.size))
    twins = np.flatnonzero((SPACE.canonical(cells) == SPACE.canonical(CELL)).all(axis=1))
    assert len(twins) > 1
    found = [train(SPACE, SPACE.at(int(i)), short(), DATA, device="cpu") for i in twins[:2]]
    assert same(*found)


def test_every_kind_of_network_can_be_trained():
    sizes = get_space("nats-sss")
    for space, architecture in (
        (SPACE, SPACE.from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")),
        (sizes, sizes.from_string("8:16:8:24:8")),
    ):
        for skeleton in ("tiny", "paper"):
            recipe = short(skeleton=skeleton, epochs=1)
            training = train(space, architecture, recipe, DATA, seeds=(0, 1), device="cpu")
            assert np.isfinite(training.curves["test_loss"]).all()
