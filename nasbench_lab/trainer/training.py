"""Training: one architecture, one recipe, several seeds at once.

The same seed gives the same weights and accuracies on the CPU. A training uses one thread there, as
sums depend on the number of threads. Each seed draws its initial weights, the order of the images and
their augmentation from its own streams, so the draws do not depend on the architecture, the device, or
an interruption.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.errors import TrainingError
from nasbench_lab.guard import kept_generators
from nasbench_lab.spaces import Architecture, SearchSpace
from nasbench_lab.tables.sources import silent
from nasbench_lab.trainer.built import SideBySide, built_network, description, is_built, size
from nasbench_lab.trainer.checkpoints import read_checkpoint, write_checkpoint
from nasbench_lab.trainer.datasets import SPLITS, ImageData
from nasbench_lab.trainer.images import Images
from nasbench_lab.trainer.memory import memory_errors
from nasbench_lab.trainer.metrics import classified, curves_of
from nasbench_lab.trainer.networks import build_network, count, initialise
from nasbench_lab.trainer.recipe import Recipe, trained_by
from nasbench_lab.user_code.functions import TakenFunction
from nasbench_lab.words import counted

FORMAT = 1
"""Version of the training and of its checkpoints."""

# The purposes of the streams of a seed.
WEIGHTS, _IMAGES, _DROPOUT = 0, 1, 3

Floats = NDArray[np.float64]


Watch = Callable[[int, dict[str, Floats]], None]
"""Takes how many epochs are done, and their curves."""

Joules = Callable[[Callable[[], Any]], float]
"""Does something, and tells its energy in joules."""


@dataclass(frozen=True, eq=False)
class Training:
    """The result of training an architecture.

    Args:
        seeds: The seeds.
        curves: ``"train_accuracy"``, ``"valid_loss"`` and so on, for each split of the data:
            ``(seeds, epochs)`` accuracies in per cent, or cross-entropies in nats. The values on
            training data are of the augmented images during the epoch, with label smoothing; the
            others are of the network after the epoch.
        seconds: ``train``, ``valid`` and ``test``: ``(epochs,)`` measured seconds of all seeds
            together.
        parameters: Parameters of one network, in millions.
        flops: Multiply-adds of one network on one image, in millions.
        device: The device of the training.
        energy: ``(epochs,)`` measured joules of the training of all seeds together, without
            validation; None if they were not measured.
        metrics: ``"valid_macro_f1"`` and so on, for validation and test data and each metric of
            ``CLASSIFICATION``: ``(seeds, epochs)`` values in per cent after the epoch; None if an
            earlier version began the training.
    """

    seeds: tuple[int, ...]
    curves: dict[str, Floats]
    seconds: dict[str, Floats]
    parameters: float
    flops: float
    device: str
    energy: Floats | None = None
    metrics: dict[str, Floats] | None = None

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.seconds["train"])


def choose_device(device: str = "auto") -> torch.device:
    """The device of a name; ``auto`` is the GPU if there is one.

    Raises:
        TrainingError: There is no such device on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type not in ("cpu", "cuda"):
            raise RuntimeError("there is no training on it")
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise TrainingError(
            f"Device {device!r} cannot be used ({str(error).splitlines()[0]}). Expected auto, cpu, "
            f"cuda or cuda:N; this PyTorch has {torch.__version__} and sees "
            f"{torch.cuda.device_count()} GPUs."
        ) from error
    return chosen


def train(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    data: ImageData,
    *,
    build: TakenFunction | None = None,
    seeds: Sequence[int] = (0,),
    device: str = "auto",
    epochs: int | None = None,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = 60.0,
    progress: Callable[[int, int], None] = silent,
    watch: Watch | None = None,
    metrics: bool = False,
    joules: Joules | None = None,
) -> Training:
    """Trains an architecture with several seeds at once.

    The networks of all seeds are trained side by side as one (see ``networks``). A seed draws the same
    numbers with any other seeds beside it, but its sums may be rounded differently.

    Args:
        space: The architecture's space.
        architecture: The architecture. See ``trained_as``.
        recipe: The recipe of the training; what the architecture decides takes the place of its
            settings, see ``trained_by``.
        data: The images of the recipe's data set.
        build: The user's function that builds the networks, if the space is not one of ours.
        seeds: One seed or several different ones.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        epochs: The last epoch, if not the recipe's; the learning rate does not depend on it.
        checkpoint: A file to continue a stopped or killed training from, with the same result on the
            CPU. It is written at the end, and after some epochs before.
        checkpoint_every_s: The least seconds between two checkpoints.
        progress: Called with the number of finished epochs and of all epochs.
        watch: Called at the start and after each epoch with the number of finished epochs, and with
            their curves as of ``Training``.
        metrics: Whether the metrics of ``CLASSIFICATION`` are needed. If so, a checkpoint of an
            earlier version, which lacks them, is not gone on from.
        joules: What measures the energy, such as that of an ``EnergyMeter``. If it is given, a
            checkpoint without the energy of all its epochs is not gone on from.

    Raises:
        TrainingError: There are no seeds or no such device, memory runs out, or the user's function
            or network fails.
        RecipeError: The architecture decides an impossible setting.
        TableFileError: The checkpoint is damaged, or of another training.
        InvalidArchitectureError: The architecture is not of the space.
        DataFolderError: The checkpoint cannot be written.
    """
    seeds = tuple(int(seed) for seed in seeds)
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise TrainingError(f"Expected different seeds that are not negative but got {seeds}.")
    until = recipe.epochs if epochs is None else epochs
    if not 1 <= until <= recipe.epochs:
        raise TrainingError(f"Expected 1 to {recipe.epochs} epochs but got {until}.")
    where = choose_device(device)
    architecture = trained_as(space, architecture, recipe, build)
    batch_size = trained_by(space, architecture, recipe).batch_size
    what = (
        f"{space.to_string(architecture)} with batch_size {batch_size} and "
        f"{counted(len(seeds), 'seed')} at once. Train fewer seeds at once, lower batch_size in the "
        f"recipe, or name another device."
    )
    with one_thread(where), memory_errors(where, what):
        run = _Run(space, architecture, recipe, data, seeds, where, build, metrics, joules)
        with kept_generators() if run.built else nullcontext():
            run.go(until, checkpoint, checkpoint_every_s, progress, watch)
        return run.result(until)


def trained_as(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    build: TakenFunction | None = None,
) -> Architecture:
    """The architecture whose network is trained.

    It is the canonical one of chains, and of cells if dead edges are not built, that is, with the
    skeleton ``tiny``. What a user's function builds is not known, so it is given each as it is.
    """
    architecture = space.validate(architecture)
    if build is None and (recipe.skeleton == "tiny" or is_built(space, None)):
        return space.canonical(architecture)
    return architecture


def training_key(
    space: SearchSpace,
    architecture: Architecture,
    recipe: Recipe,
    data: ImageData,
    seeds: Sequence[int],
    build: TakenFunction | None = None,
) -> str:
    """A checksum of everything that a training's result depends on, except the processor."""
    images = [data.checksum, data.shape, data.classes, data.mean, data.std]
    what = [FORMAT, torch.__version__, space.name, architecture, recipe.key, images, tuple(seeds)]
    if is_built(space, build):
        what.append([[d.name, d.options, d.conditions] for d in space.decisions])
    if build is not None:
        # A function may depend on values that are in none of its files.
        network = built_network(space, architecture, build, data, 0)
        what += [build.checksums, description(network)]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Uses one thread on the CPU, so that sums have one order."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """A training under way."""

    def __init__(
        self,
        space: SearchSpace,
        architecture: Architecture,
        recipe: Recipe,
        data: ImageData,
        seeds: tuple[int, ...],
        device: torch.device,
        build: TakenFunction | None = None,
        metrics: bool = False,
        joules: Joules | None = None,
    ) -> None:
        self.needs_metrics, self.joules = metrics, joules
        self.recipe = trained_by(space, architecture, recipe)
        self.seeds, self.device = seeds, device
        self.key = training_key(space, architecture, recipe, data, seeds, build)
        self.mixed = mixed_on(device)
        self.splits = tuple(split for split in SPLITS if split in data.images)
        self.built = is_built(space, build)
        network: nn.Module
        if self.built:
            weights = [_number(stream_of(seed, WEIGHTS)) for seed in seeds]
            networks = [
                built_network(space, architecture, build, data, one, recipe.skeleton)
                for one in weights
            ]
            self.parameters, self.flops = size(networks[0], data.shape)
            network = SideBySide(networks)
        else:
            settings: dict[str, Any] = {
                "classes": data.classes,
                "image_channels": data.shape[2],
                "skeleton": recipe.skeleton,
                "signals": data.shape[0] == 1,
            }
            with torch.device("meta"):  # no memory, and no draws from PyTorch's global generator
                plain = build_network(space, architecture, **settings)
                network = build_network(space, architecture, **settings, groups=len(seeds))
                self.parameters, self.flops = count(plain, data.shape)
            network.to_empty(device="cpu")
            initialise(network, [stream_of(seed, WEIGHTS) for seed in seeds])
        # PyTorch's stubs lack this overload, and types for backward() below.
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = optimizer_of(self.network, self.recipe)
        self.images = {
            split: Images(data, split, recipe.shift if split == "train" else 0, device)
            for split in self.splits
        }
        # Sums of losses and of correct answers for each split, epoch and seed; and seconds.
        self.sums: dict[str, list[Floats]] = {split: [] for split in self.splits}
        self.seconds: dict[str, list[float]] = {split: [] for split in self.splits}
        # The metrics of each split but the first, epoch and seed; None in what an earlier version
        # has begun. Joules of each epoch, if all were measured.
        self.metrics: dict[str, list[Floats]] | None = {split: [] for split in self.splits[1:]}
        self.energy: list[float] | None = None if joules is None else []

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.sums["train"])

    def go(
        self,
        until: int,
        checkpoint: Path | None,
        every_s: float,
        progress: Callable[[int, int], None],
        watch: Watch | None,
    ) -> None:
        """Trains up to an epoch."""

        def tell() -> None:
            progress(self.epoch, until)
            if watch is not None:
                watch(self.epoch, self._curves(self.epoch))

        if checkpoint is not None:
            self._load(checkpoint)
        saved, saved_at = self.epoch, time.monotonic()
        tell()
        while self.epoch < until:
            if self.joules is None:
                self.energy = None
                self._train_epoch()
            else:
                assert self.energy is not None
                self.energy.append(self.joules(self._train_epoch))
            for split in self.splits[1:]:
                self._evaluate(split)
            tell()
            late = time.monotonic() - saved_at >= every_s
            if checkpoint is not None and late and self.epoch < until:
                self._save(checkpoint)
                saved, saved_at = self.epoch, time.monotonic()
        if checkpoint is not None and self.epoch > saved:
            self._save(checkpoint)

    def _train_epoch(self) -> None:
        recipe, epoch, groups = self.recipe, self.epoch, len(self.seeds)
        images = self.images["train"]
        began = time.perf_counter()
        streams = [stream_of(seed, _IMAGES, epoch) for seed in self.seeds]
        n = len(images)
        # All random numbers of the epoch go to the device at once, and nothing is read back before
        # the end, so no step waits for the one before.
        order = self._stacked([stream.permutation(n) for stream in streams])
        moves = self._stacked(
            [stream.integers(2 * recipe.shift + 1, size=(n, 2)) for stream in streams]
        )
        flips = self._stacked([stream.random(n) < recipe.flip for stream in streams])
        total = torch.zeros(2, groups, dtype=torch.float64, device=self.device)
        ends = [*range(recipe.batch_size, n, recipe.batch_size), n]
        if self.built and len(ends) > 1 and n - ends[-2] == 1:
            del ends[-2]  # a single image cannot be normalised
        steps = len(ends)
        self.network.train()
        sowing = [stream_of(seed, _DROPOUT, epoch) for seed in self.seeds]
        for step, (start, end) in enumerate(pairwise([0, *ends])):
            if isinstance(self.network, SideBySide):
                self.network.sown = list(map(_number, sowing))
            part = slice(start, end)
            x, y = images.batch(order[part], moves[part], flips[part])
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(epoch * steps + step, recipe.epochs * steps)
            self.optimizer.zero_grad(set_to_none=True)
            losses, scores = self._score(x, y, recipe.label_smoothing)
            losses.mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            summed = losses.detach().sum(dim=1, dtype=torch.float64)
            total += torch.stack([summed, _correct(scores, y)])
        self._note("train", total, began)

    def _rate(self, step: int, steps: int) -> float:
        """Loshchilov and Hutter, "SGDR", 2017, equation 5, in steps and without restarts."""
        if self.recipe.lr_schedule == "constant":
            return self.recipe.lr
        return 0.5 * self.recipe.lr * (1.0 + math.cos(math.pi * step / steps))

    def _evaluate(self, split: str) -> None:
        images, groups = self.images[split], len(self.seeds)
        began = time.perf_counter()
        total = torch.zeros(2, groups, dtype=torch.float64, device=self.device)
        size = 2 * self.recipe.batch_size
        batches = []
        self.network.eval()
        with torch.inference_mode():
            for first in range(0, len(images), size):
                which = torch.arange(first, min(first + size, len(images)), device=self.device)
                x, y = images.batch(which[:, None].expand(-1, groups))
                losses, scores = self._score(x, y)
                summed = losses.sum(dim=1, dtype=torch.float64)
                total += torch.stack([summed, _correct(scores, y)])
                batches.append((scores, y))
            self._note(split, total, began)
            if self.metrics is not None:
                every = (torch.cat(parts, dim=1) for parts in zip(*batches, strict=True))
                self.metrics[split].append(classified(*every))

    def _score(self, x: Tensor, y: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """``(groups, n)`` losses, and ``(groups, n, classes)`` scores."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            scores = self.network(x).float()
        losses = functional.cross_entropy(
            scores.flatten(0, 1), y.flatten(), reduction="none", label_smoothing=label_smoothing
        )
        return losses.view(y.shape), scores

    def _note(self, split: str, total: Tensor, began: float) -> None:
        self.sums[split].append(total.cpu().numpy())
        self.seconds[split].append(time.perf_counter() - began)

    def _stacked(self, arrays: list[NDArray[Any]]) -> Tensor:
        """``(n, groups, …)`` on the device."""
        return torch.from_numpy(np.stack(arrays, axis=1)).to(self.device)

    def result(self, until: int) -> Training:
        curves = self._curves(until)
        metrics = None if self.metrics is None else curves_of(self.metrics, until)
        seconds = {split: np.array(self.seconds[split][:until]) for split in self.splits}
        energy = None if self.energy is None else np.array(self.energy[:until])
        sizes = self.parameters, self.flops
        return Training(self.seeds, curves, seconds, *sizes, str(self.device), energy, metrics)

    def _curves(self, until: int) -> dict[str, Floats]:
        curves: dict[str, Floats] = {}
        for split in self.splits:
            sums = self.sums[split][:until]
            losses, correct = np.stack(sums, axis=2) if sums else np.empty((2, len(self.seeds), 0))
            n = len(self.images[split])
            curves[f"{split}_loss"] = losses / n
            curves[f"{split}_accuracy"] = 100.0 * correct / n
        return curves

    def _save(self, path: Path) -> None:
        state = {
            "key": self.key,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sums": {s: torch.from_numpy(np.stack(sums)) for s, sums in self.sums.items()},
            "seconds": self.seconds,
            "energy": self.energy,
        }
        if self.metrics is not None:
            measured = {s: torch.from_numpy(np.stack(m)) for s, m in self.metrics.items()}
            state["metrics"] = measured
        write_checkpoint(path, state)

    def _load(self, path: Path) -> None:
        state = read_checkpoint(path, self.key, "architecture, recipe, data, seeds")
        if state is None:
            return
        lacks_energy = self.joules is not None and state.get("energy") is None
        if lacks_energy or (self.needs_metrics and "metrics" not in state):
            return
        self.energy = state.get("energy")
        metrics = state.get("metrics")
        self.metrics = metrics and {s: list(m.cpu().numpy()) for s, m in metrics.items()}
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sums = {split: list(sums.cpu().numpy()) for split, sums in state["sums"].items()}
        self.seconds = state["seconds"]


def mixed_on(device: torch.device) -> bool:
    """Whether half of the bits are used where that suffices.

    It takes half the memory, and at least doubles the speed if the processor supports it.
    """
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def optimizer_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser that a recipe names, of a network's parameters."""
    parameters = [one for one in network.parameters() if one.requires_grad]
    settings: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, **settings)
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(parameters, momentum=recipe.momentum, nesterov=nesterov, **settings)


def _correct(scores: Tensor, labels: Tensor) -> Tensor:
    """``(groups,)`` numbers of correct answers."""
    return (scores.argmax(dim=2) == labels).sum(dim=1).to(torch.float64)


def _number(stream: np.random.Generator) -> int:
    """A number to seed other generators with."""
    return int(stream.integers(2**63))


def stream_of(seed: int, *purpose: int) -> np.random.Generator:
    """The generator of a seed for a purpose, such as ``WEIGHTS``."""
    return np.random.default_rng(np.random.SeedSequence([seed, *purpose]))
