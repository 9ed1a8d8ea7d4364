"""Compares training on a GPU with training on the CPU: ``make gpu-check``.

Everything is drawn from the same seeds on both, so they differ by rounding only. A GPU of compute
capability 8 or more trains networks in bfloat16 (8 bits of a number count), and multiplies in TF32
(11 bits) otherwise. Rounding grows from step to step, so what comes after several epochs is compared
by what it is for: accuracies, on hundreds of images.

It takes less than five minutes. It ends with 0 if all is within the tolerances, 1 if not, and 2 where
there is no GPU. ``--device cpu --short`` runs the same code without one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.nn import functional

from nasbench_lab.files import DATA_VARIABLE
from nasbench_lab.registry import algorithm_class
from nasbench_lab.spaces import get_space
from nasbench_lab.trainer.datasets import ImageData, load_data
from nasbench_lab.trainer.networks import build_network, initialise
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.trainer.supernet import HalvedImages, Supernet
from nasbench_lab.trainer.training import train

SPACE = get_space("nb201")
CELL = SPACE.from_string(
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
SEEDS = (0, 1, 2)
SETS = ("digits", "mnist1d")


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
        epochs = 1 if short else recipe.epochs if name == "digits" else 2
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
        # The spread of a seed is about 1 point at the end, so that of a mean of three is 0.6.
        yield Compared(
            f"{of} valid accuracy of epoch {epochs} (%)",
            cpu.curves[accuracy][:, -1].mean(),
            other.curves[accuracy][:, -1].mean(),
            3.0 if epochs == recipe.epochs else 6.0,
        )


def published_network(device: str, short: bool) -> Iterator[Compared]:
    """Scores of a network of the published size with the same parameters, and their gradient."""
    rng = np.random.default_rng(0)
    n = 2 if short else 64
    images = torch.from_numpy(rng.normal(size=(n, 3, 32, 32)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(10, size=n))

    def task(where: str) -> tuple[Any, Any]:
        network = build_network(SPACE, CELL, classes=10)
        initialise(network, [np.random.default_rng(1)])
        network.to(where)
        scores = network(images.to(where))[0]
        functional.cross_entropy(scores, labels.to(where)).backward()
        gradients = [p.grad.flatten() for p in network.parameters()]
        return scores.detach().cpu().numpy(), float(torch.cat(gradients).norm())

    (scores, norm), (others, other_norm), seconds = on_both(device, task)
    scale = np.abs(scores).max()
    # 20 layers, each rounded to 11 bits: 20 times 2^-11 is 0.01.
    yield Compared(
        "published network, scores (of the largest)",
        scores / scale,
        others / scale,
        0.02,
        seconds,
    )
    yield Compared(
        "published network, norm of the gradient (relative)", 1.0, other_norm / norm, 0.05
    )


def supernets(device: str, short: bool) -> Iterator[Compared]:
    """A supernet: a mixture with the same parameters, its gradient, and an epoch of two methods."""
    for name in SETS:
        data = few(load_data(name), 64) if short else load_data(name)

        def task(where: str, data=data) -> tuple[Any, Any]:
            supernet = Supernet(data, 0).to(where)
            images = HalvedImages(data, limit=128, device=where)
            x, y = next(images.batches("alphas", np.random.default_rng(0), 64))
            start = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
            alphas = torch.tensor(start, device=where, requires_grad=True)
            scores = supernet(x, alphas.softmax(1))
            (gradient,) = torch.autograd.grad(functional.cross_entropy(scores, y), [alphas])
            return scores.detach().cpu().numpy(), gradient.cpu().numpy()

        (scores, gradient), (others, other_gradient), seconds = on_both(device, task)
        for what, one, other, tolerance in (
            ("scores of a mixture", scores, others, 0.02),
            ("gradient of the alphas", gradient, other_gradient, 0.05),
        ):
            scale = np.abs(one).max()
            yield Compared(
                f"{name}, supernet, {what} (of the largest)",
                *(one / scale, other / scale, tolerance, seconds),
            )
        for method in ("darts", "random_search_ws"):
            settings = {"epochs": 1, "images": 32 if short else None, "data": name}
            if short and method == "random_search_ws":
                settings["final_candidates"] = 2

            def epoch(where: str, method=method, settings=settings) -> float:
                algorithm = algorithm_class(method)(SPACE, seed=0, device=where, **settings)
                algorithm.ask()
                return algorithm.history[0].weights_accuracy

            cpu, other, seconds = on_both(device, epoch)
            # In the first epoch hardly anything is known yet, so few answers are sure.
            yield Compared(f"{name}, {method}, accuracy of epoch 1 (%)", cpu, other, 6.0, seconds)


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
    print(f"{'':58} {'difference':>10} {'at most':>8} {'CPU s':>7} {'other s':>7}")
    wrong = 0
    # Checkpoints of searches are kept apart from those of the user's.
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {DATA_VARIABLE: folder}):
        for check in (trainings, published_network, supernets):
            for line in check(device, options.short):
                wrong += not line.close
                took = "".join(f" {s:7.2f}" for s in line.seconds or ())
                print(
                    f"{line.what:58} {line.difference:10.2g} {line.tolerance:8.2g}{took or 16 * ' '}"
                    f"{'' if line.close else '  too far'}",
                    flush=True,
                )
    print(f"{f'{wrong} too far' if wrong else 'all close'}, {time.perf_counter() - began:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
