"""Compares training on a GPU with training on the CPU: ``make gpu-check``.

Everything is drawn from the same seeds on both, so they differ by rounding only. Scores and gradients
are compared in single precision, so that a wrong gradient cannot pass for rounding. Otherwise a GPU of
compute capability 8 or more trains networks in bfloat16 (8 bits of a number count), and multiplies in
TF32 (11 bits). Rounding grows from step to step, so what comes after several epochs is compared by
what it is for: accuracies, on hundreds of images.

It takes less than five minutes. It ends with 0 if all is within the tolerances, 1 if not, and 2 where
there is no GPU. ``--device cpu --short`` runs the same code without one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nasbench_lab.files import DATA_VARIABLE
from nasbench_lab.registry import algorithm_class
from nasbench_lab.running.search import run
from nasbench_lab.spaces import get_space
from nasbench_lab.trainer.benchmark import TrainingBenchmark
from nasbench_lab.trainer.built import SideBySide, built_network
from nasbench_lab.trainer.data import image_data
from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.images import Images
from nasbench_lab.trainer.networks import build_network, initialise
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.trainer.supernet import HalvedImages, Supernet
from nasbench_lab.trainer.training import one_thread, train

SPACE = get_space("nb201")
CELL = SPACE.from_string(
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
CHAINS = get_space("chain")
CHAIN_TEXTS = (
    "conv3-16+avg+conv5-8+max+dense-32 gelu norm dropout=0.0 adam lr=0.003 batch=64 decay=0.0001",
    "conv5-8+avg+avg+max tanh dropout=0.0 sgd lr=0.03 batch=64 decay=0.0",
)
SEEDS = (0, 1, 2)
SETS = ("digits", "mnist1d")
METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("darts", {}),
    ("darts", {"order": 2}),
    ("pc_darts", {"warm_up": 0.0}),
    ("gdas", {}),
    ("random_search_ws", {}),
    ("enas", {}),
    ("spos", {}),
)
SHORT = {
    "random_search_ws": {"final_candidates": 2},
    "enas": {"controller_steps": 1, "final_candidates": 2},
    "spos": {"population_size": 2, "generations": 1, "parents": 1},
}
"""Settings of methods that take long after their last epoch."""


@dataclass(frozen=True)
class Compared:
    """One quantity on both devices.

    Args:
        what: What it is.
        cpu: Its values on the CPU.
        other: Its values on the other device.
        tolerance: The greatest difference that rounding explains, in the quantity's unit.
        seconds: Seconds on the CPU and on the other device, if they were measured.
    """

    what: str
    cpu: Any
    other: Any
    tolerance: float
    seconds: tuple[float, float] | None = None

    @property
    def difference(self) -> float:
        """The greatest difference."""
        return float(np.abs(np.asarray(self.cpu, float) - np.asarray(self.other, float)).max())

    @property
    def close(self) -> bool:
        """Whether the difference is within the tolerance; a NaN is not."""
        return self.difference <= self.tolerance


def few(data: ImageData, n: int) -> ImageData:
    """The first images of each split."""
    return replace(
        data,
        images={split: images[:n] for split, images in data.images.items()},
        labels={split: labels[:n] for split, labels in data.labels.items()},
    )


def on_both(device: str, task: Callable[[str], Any]) -> tuple[Any, Any, tuple[float, float]]:
    """What a task gives on the CPU and on the device, and how long it takes there.

    On a GPU the task is done twice, as the first time loads and chooses its programs.
    """
    results, seconds = [], []
    for where in ("cpu", device):
        if where != "cpu":
            task(where)
        began = time.perf_counter()
        results.append(task(where))
        seconds.append(time.perf_counter() - began)
    return results[0], results[1], (seconds[0], seconds[1])


def trainings(device: str, short: bool) -> Iterator[Compared]:
    """A training, with the validation after each of its epochs."""
    for name in SETS:
        data, recipe = load_data(name), RECIPES[name]
        epochs = 1 if short else recipe.epochs
        if short:
            data = few(data, 64)

        def task(where: str, data=data, recipe=recipe, epochs=epochs) -> Any:
            return train(SPACE, CELL, recipe, data, seeds=SEEDS, device=where, epochs=epochs)

        cpu, other, seconds = on_both(device, task)
        of = f"{name}, training,"
        loss, accuracy = "train_loss", "valid_accuracy"
        # Means over three seeds. A cross-entropy begins at ln 10 = 2.3.
        yield Compared(
            f"{of} loss of epoch 1 (nats)",
            cpu.curves[loss][:, 0].mean(),
            other.curves[loss][:, 0].mean(),
            0.05,
            seconds,
        )
        # The spread of a seed is 1 to 2 points at the end, so that of a mean of three is about 1.
        yield Compared(
            f"{of} valid accuracy of epoch {epochs} (%)",
            cpu.curves[accuracy][:, -1].mean(),
            other.curves[accuracy][:, -1].mean(),
            4.0,
        )


def in_single_precision(
    device: str,
    of: str,
    task: Callable[[str], dict[str, torch.Tensor]],
    tolerance: float = 1e-3,
) -> Iterator[Compared]:
    """What a task gives, each of its tensors relative to the largest value in it.

    24 bits of a number count; sums over a batch, layer after layer, cost some of them.
    """
    full = torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False)
    with full, one_thread(torch.device("cpu")):
        one, other, seconds = on_both(device, task)
    for name, values in one.items():
        here, there = (tensor.detach().cpu().numpy() for tensor in (values, other[name]))
        scale = np.abs(here).max()
        yield Compared(
            f"{of}, {name} (of the largest)", here / scale, there / scale, tolerance, seconds
        )


def gradient(loss: torch.Tensor, of: Iterable[torch.Tensor]) -> torch.Tensor:
    """The gradients of those tensors that are trained, one after the other."""
    trained = [tensor for tensor in of if tensor.requires_grad]
    gradients = torch.autograd.grad(loss, trained, retain_graph=True)
    return torch.cat([values.flatten() for values in gradients])


def networks(device: str, short: bool) -> Iterator[Compared]:
    """A network of the published size, and those of both data sets."""
    n = 2 if short else 64
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(n, 3, 32, 32)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(10, size=(1, n)))

    def scored(network: nn.Module, where: str, x: torch.Tensor, y: torch.Tensor) -> Any:
        initialise(network, [np.random.default_rng(seed) for seed in SEEDS[: len(y)]])
        network.to(where, memory_format=torch.channels_last)
        scores = network(x)
        loss = functional.cross_entropy(scores.flatten(0, 1), y.flatten())
        return {"scores": scores, "gradient": gradient(loss, network.parameters())}

    def published(where: str) -> Any:
        network = build_network(SPACE, CELL, classes=10)
        return scored(network, where, images.to(where), labels.to(where))

    # On the CPU, single precision changes this gradient by 0.011.
    yield from in_single_precision(device, "published network", published, 0.05)
    for name in SETS:
        data = load_data(name)

        def tiny(where: str, data=data) -> Any:
            which = torch.arange(n * len(SEEDS), device=where).view(n, len(SEEDS))
            x, y = Images(data, "train", 0, torch.device(where)).batch(which)
            network = build_network(
                SPACE,
                CELL,
                classes=data.classes,
                image_channels=data.shape[2],
                skeleton="tiny",
                groups=len(SEEDS),
                signals=data.shape[0] == 1,
            )
            return scored(network, where, x, y)

        yield from in_single_precision(device, f"{name}, network", tiny)


def chains(device: str, short: bool) -> Iterator[Compared]:
    """Chains on images of odd sizes, and trained on the digits."""
    rng = np.random.default_rng(0)
    n = 8 if short else 64
    odd = image_data({"x_train": rng.normal(size=(n, 7, 5, 2)), "y_train": np.arange(n) % 3})
    digits = few(load_data("digits"), 64) if short else load_data("digits")
    epochs = 1 if short else RECIPES["digits"].epochs
    for number, text in enumerate(CHAIN_TEXTS, start=1):
        chain = CHAINS.from_string(text)

        def scored(where: str, chain=chain) -> dict[str, torch.Tensor]:
            of_seeds = [built_network(CHAINS, chain, None, odd, seed) for seed in SEEDS]
            network = SideBySide(of_seeds).to(where, memory_format=torch.channels_last)
            which = torch.arange(len(odd.labels["train"]), device=where)[:, None]
            images = Images(odd, "train", 0, torch.device(where))
            x, y = images.batch(which.expand(-1, len(SEEDS)))
            scores = network(x)
            loss = functional.cross_entropy(scores.flatten(0, 1), y.flatten())
            return {"scores": scores, "gradient": gradient(loss, network.parameters())}

        yield from in_single_precision(device, f"chain {number}, odd sizes", scored)

        def task(where: str, chain=chain) -> Any:
            recipe = RECIPES["digits"]
            return train(CHAINS, chain, recipe, digits, seeds=SEEDS, device=where, epochs=epochs)

        cpu, other, seconds = on_both(device, task)
        for curve, what, at, tolerance in (
            ("train_loss", "loss of epoch 1 (nats)", 0, 0.05),
            ("valid_accuracy", f"valid accuracy of epoch {epochs} (%)", -1, 4.0),
        ):
            means = [training.curves[curve][:, at].mean() for training in (cpu, other)]
            yield Compared(f"chain {number}, training, {what}", *means, tolerance, seconds)


def supernets(device: str, short: bool) -> Iterator[Compared]:
    """A mixture of a supernet, as darts and as pc_darts use it, and an epoch of each method."""
    for name in SETS:
        data = few(load_data(name), 64) if short else load_data(name)
        for method, share in (("darts", 1), ("pc_darts", 4)):

            def mixture(where: str, data=data, share=share) -> dict[str, torch.Tensor]:
                supernet = Supernet(data, 0, share=share).to(where)
                images = HalvedImages(data, limit=128, device=where)
                x, y = next(images.batches("alphas", np.random.default_rng(0), 64))
                start = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
                alphas = torch.tensor(start, device=where, requires_grad=True)
                scores = supernet(x, alphas.softmax(1))
                loss = functional.cross_entropy(scores, y)
                return {
                    "scores": scores,
                    "gradient": gradient(loss, supernet.parameters()),
                    "gradient of the alphas": gradient(loss, [alphas]),
                }

            yield from in_single_precision(device, f"{name}, supernet of {method}", mixture)
        for method, own in METHODS:
            settings = {"epochs": 1, "images": 32 if short else None, "data": name, **own}
            if short and method in SHORT:
                settings |= SHORT[method]

            def epoch(where: str, method=method, settings=settings) -> float:
                algorithm = algorithm_class(method)(SPACE, seed=0, device=where, **settings)
                algorithm.ask()
                return algorithm.history[0].weights_accuracy

            cpu, other, seconds = on_both(device, epoch)
            # In the first epoch hardly anything is known yet, so few answers are sure.
            of = ", ".join([method, *(f"{key} {value}" for key, value in own.items())])
            yield Compared(f"{name}, {of}, accuracy of epoch 1 (%)", cpu, other, 6.0, seconds)


def live_searches(device: str, short: bool) -> Iterator[Compared]:
    """A search in real time by two workers, which share out the GPUs that there are.

    Random search asks for the same whatever comes of it, so both devices train the same networks.
    """
    data = few(load_data("digits"), 64) if short else load_data("digits")
    recipe = RECIPES["digits"].replace(epochs=1) if short else RECIPES["digits"]
    budget = 2 if short else 8

    def task(where: str) -> Any:
        # Each time in a folder of its own, so that nothing is looked up.
        with tempfile.TemporaryDirectory() as folder:
            benchmark = TrainingBenchmark(
                CHAINS,
                recipe,
                data=data,
                device="auto" if where == "cuda" else where,
                folder=Path(folder),
            )
            return run("random_search", benchmark, budget, workers=2, executor="processes")

    cpu, other, seconds = on_both(device, task)
    of = f"live search, {budget} evaluations by 2 workers,"
    # One that failed has no value, and NaN is not close to anything.
    values = [trace.values[np.argsort(trace.trial), 0] for trace in (cpu, other)]
    yield Compared(f"{of} mean valid accuracy (%)", *(v.mean() for v in values), 4.0, seconds)
    at_work = [len(set(trace.worker.tolist())) for trace in (cpu, other)]
    yield Compared(f"{of} workers that trained", *at_work, 0.5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares, prints a table, and returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, …, or cpu (default: cuda)")
    parser.add_argument("--short", action="store_true", help="with few images")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.cuda.is_available():
        print(
            f"There is no GPU that PyTorch {torch.__version__} can use here, so nothing was compared. "
            f"Run this on a machine with a GPU, or the same code without one: --device cpu"
        )
        return 2
    began = time.perf_counter()
    device = options.device
    name = "the CPU" if device == "cpu" else torch.cuda.get_device_name(device)
    print(f"The CPU and {name}, PyTorch {torch.__version__}")
    print(f"{'':66} {'difference':>10} {'at most':>8} {'CPU s':>7} {'other s':>7}")
    wrong = 0
    # Checkpoints of searches are kept apart from those of the user's.
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {DATA_VARIABLE: folder}):
        for check in (trainings, networks, chains, supernets, live_searches):
            for line in check(device, options.short):
                wrong += not line.close
                took = "".join(f" {s:7.2f}" for s in line.seconds or ())
                print(
                    f"{line.what:66} {line.difference:10.2g} {line.tolerance:8.2g}{took or 16 * ' '}"
                    f"{'' if line.close else '  too far'}",
                    flush=True,
                )
    print(f"{f'{wrong} too far' if wrong else 'all close'}, {time.perf_counter() - began:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
