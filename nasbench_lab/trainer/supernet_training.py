"""The training of a supernet: steps of its weights, what they count for, and checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nasbench_lab.files import data_folder
from nasbench_lab.guard import kept_generators
from nasbench_lab.spaces import Architecture, DARTSSpace, SearchSpace, get_space
from nasbench_lab.trainer.checkpoints import read_checkpoint, write_checkpoint
from nasbench_lab.trainer.datasets import load_data
from nasbench_lab.trainer.memory import memory_errors
from nasbench_lab.trainer.ranking import one_shot_accuracies
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.trainer.shared_weights import Cell, SharedWeights
from nasbench_lab.trainer.supernet import HalvedImages, Supernet
from nasbench_lab.trainer.supernet_darts import TINY, DARTSSupernet
from nasbench_lab.trainer.training import choose_device, one_thread

FORMAT = 1
"""Version of the training and of its checkpoints."""

CHECKPOINT_EVERY_S = 60.0
"""The least seconds between two checkpoints."""

FORWARD = 1 / 3
"""What a forward pass alone counts, see ``nasbench_lab.algorithm.Work``."""

Floats = NDArray[np.float64]


class Epoch(NamedTuple):
    """What an epoch of a supernet has led to.

    Args:
        derived: The architecture that is recommended.
        probabilities: What architectures are drawn or derived by: ``(edges, operations)`` probabilities
            of each edge's operations, or ``(decisions, options)`` of each decision's options.
        weights_accuracy: The accuracy in per cent on the half of the weights, of what was trained
            during the epoch.
        alphas_accuracy: The same on the half of the alphas; NaN where nothing was trained on it.
        passes: ``(decisions, options)`` how often each option of each decision was trained, in passes
            over the training set, as in ``Work``.
        shared: How often the rest of the network was trained, likewise.
        seconds: Measured seconds.
    """

    derived: Architecture
    probabilities: Floats
    weights_accuracy: float
    alphas_accuracy: float
    passes: Floats
    shared: float
    seconds: float


TrainEpoch = Callable[[np.random.Generator], tuple[Architecture, Floats]]
"""Trains for an epoch; gives the derived architecture and the probabilities of an ``Epoch``."""


class SupernetTraining:
    """A supernet under training, by stochastic gradient descent with Nesterov momentum.

    Every epoch draws from a generator of its own. So a run that was killed continues from its
    checkpoint with the same result to the bit on the CPU, where one thread is used.

    Args:
        data: A data set of ``RECIPES``.
        seed: Seed of everything that is drawn, at least 0.
        epochs: How many epochs there are; the learning rate falls over all of them.
        batch_size: Images per step, at most.
        learning_rate: The learning rate at the start.
        min_learning_rate: The learning rate at the end.
        momentum: The momentum of the gradient.
        weight_decay: The L2 penalty on the weights.
        gradient_clip: The greatest norm of the gradient.
        normalisation: One of ``nasbench_lab.trainer.recipe.NORMALISATIONS``.
        images: Use only so many of the training images; None for all.
        device: ``cpu``, ``auto``, ``cuda``, …
        share: In how many parts the channels are divided, see ``SharedWeights``.
        space: ``nb201`` or ``darts``, or its name.
        channels: The channels of a supernet of ``darts``, 4 if unset; other spaces have one skeleton
            only.
        cells: The number of its cells, 3 if unset.
        files: The folder with the files of the data set, if it has some, as for ``load_data``.
        of: What else the training depends on, as plain values; checkpoints are of the same only.

    Attributes:
        supernet: The supernet.
        images: The images in two halves.
        optimizer: The optimizer of the weights.
        states: All that checkpoints keep, by name: each has a ``state_dict``. Whatever else is
            trained is added before ``load`` is called.
        epochs_done: An ``Epoch`` for each epoch that was trained.
    """

    def __init__(
        self,
        data: str,
        seed: int,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        min_learning_rate: float,
        momentum: float,
        weight_decay: float,
        gradient_clip: float,
        normalisation: str,
        images: int | None = None,
        device: str = "cpu",
        share: int = 1,
        space: SearchSpace | str = "nb201",
        channels: int | None = None,
        cells: int | None = None,
        files: Path | None = None,
        of: Sequence[Any] = (),
    ) -> None:
        self.device = choose_device(device)
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.learning_rate, self.min_learning_rate = learning_rate, min_learning_rate
        self.gradient_clip = gradient_clip
        with kept_generators():  # scikit-learn draws from Python's when it is imported
            read = load_data(data, files)
        self.images = HalvedImages(read, limit=images, device=self.device)
        self.supernet: SharedWeights
        if isinstance(space, str):
            space = get_space(space)
        if isinstance(space, DARTSSpace):
            skeleton = (channels or TINY[0], cells or TINY[1])
            self.supernet = DARTSSupernet(
                space, read, seed, skeleton, normalisation=normalisation, share=share
            )
            of = [space.name, *skeleton, *of]
        else:
            self.supernet = Supernet(read, seed, normalisation=normalisation, share=share)
        self.supernet.to(self.device)
        self.weights = self.supernet.weights()
        self.optimizer = torch.optim.SGD(
            self.weights,
            lr=learning_rate,
            momentum=momentum,
            nesterov=momentum > 0,
            weight_decay=weight_decay,
            fused=True,
        )
        self.parameters = nn.ParameterDict()
        self.states: dict[str, Any] = {
            "supernet": self.supernet,
            "optimizer": self.optimizer,
            "parameters": self.parameters,
        }
        self.epochs_done: list[Epoch] = []
        numbers: list[Any] = [
            epochs,
            batch_size,
            learning_rate,
            min_learning_rate,
            momentum,
            weight_decay,
        ]
        numbers += [gradient_clip, normalisation, images, self.device.type, share]
        what = [FORMAT, torch.__version__, seed, read.checksum, RECIPES[data].key, numbers, *of]
        self.key = hashlib.sha256(json.dumps(what).encode()).hexdigest()
        self.path = data_folder() / "supernets" / f"{self.key[:24]}.pt"
        self._saved_at = time.monotonic()
        self._begin()

    def stream(self, *purpose: int) -> np.random.Generator:
        """A generator for a purpose; that of the initial weights has the number 0."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, *purpose]))

    def parameter(self, name: str, values: NDArray[Any]) -> nn.Parameter:
        """A new parameter, of single precision, which checkpoints keep."""
        start = torch.as_tensor(values, dtype=torch.float32, device=self.device)
        self.parameters[name] = parameter = nn.Parameter(start)
        return parameter

    def train_epoch(self, train: TrainEpoch) -> Epoch:
        """Trains for one more epoch, and writes a checkpoint if it is time to.

        Raises:
            TrainingError: Memory ran out.
            DataFolderError: The checkpoint cannot be written.
        """
        what = f"a supernet with batch_size {self.batch_size}. Lower it, or name another device."
        began = time.perf_counter()
        self._begin()
        self.supernet.train()
        with one_thread(self.device), memory_errors(self.device, what):
            derived, probabilities = train(self.stream(1, len(self.epochs_done)))
            accuracies = {half: self._accuracy(half) for half in self._correct}
        seconds = time.perf_counter() - began
        epoch = Epoch(
            derived,
            probabilities,
            accuracies["weights"],
            accuracies["alphas"],
            self._passes,
            self._shared,
            seconds,
        )
        self.epochs_done.append(epoch)
        if time.monotonic() - self._saved_at >= CHECKPOINT_EVERY_S:
            self.save()
        return epoch

    def batches(self, half: str, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over a half in batches; the learning rate of the weights falls with each.

        Args:
            half: ``weights`` or ``alphas``.
            rng: Where order and augmentation are drawn from, before the first batch.

        Yields:
            ``(n, channels, height, width)`` images and ``(n,)`` labels.
        """
        steps = self.images.steps(half, self.batch_size)
        for step, batch in enumerate(self.images.batches(half, rng, self.batch_size)):
            if half == "weights":
                self._set_rate((len(self.epochs_done) + step / steps) / self.epochs)
            yield batch

    def _set_rate(self, done: float) -> None:
        """Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts."""
        low, high = self.min_learning_rate, self.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = low + 0.5 * (high - low) * (1.0 + math.cos(math.pi * done))

    def loss(
        self, half: str, x: Tensor, y: Tensor, cell: Cell, factors: Tensor | None = None
    ) -> Tensor:
        """The mean cross-entropy of a batch that is trained on; notes accuracy and passes."""
        scores = self.supernet(x, cell, factors)
        with torch.no_grad():
            self._correct[half].append((scores.argmax(1) == y).sum())
        self._seen[half] += len(y)
        self.note_passes(cell, len(y))
        loss: Tensor = functional.cross_entropy(scores, y)
        return loss

    def weights_step(self, x: Tensor, y: Tensor, cell: Cell, factors: Tensor | None = None) -> None:
        """A step of the weights on a batch of their half.

        What the cell does not use has a gradient of zero, so momentum and decay act on all weights in
        every step, as in the code of NAS-Bench-201.
        """
        for weight in self.weights:
            if weight.grad is None:  # at the start, and in a copy
                weight.grad = torch.zeros_like(weight)
        self.optimizer.zero_grad(set_to_none=False)
        # PyTorch's stubs have no types for backward().
        self.loss("weights", x, y, cell, factors).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights, self.gradient_clip)
        self.optimizer.step()

    def accuracies(self, paths: Sequence[Architecture]) -> list[float]:
        """The accuracies of paths on the half of the alphas, in per cent; notes the forward passes."""
        for path in paths:
            self._note_evaluation(path, len(self.images.halves["alphas"]))
        found: list[float] = one_shot_accuracies(self.supernet, self.images, paths).tolist()
        return found

    def batch_accuracy(self, path: Architecture, batch: tuple[Tensor, Tensor]) -> float:
        """The accuracy of a path on images with labels, in per cent; notes the forward passes."""
        self._note_evaluation(path, len(batch[1]))
        return self.supernet.accuracy(self.images, path, batch)

    def _note_evaluation(self, path: Architecture, images: int) -> None:
        if self.supernet.normalisation == "recalibrated":
            images += self.images.calibration
        self.note_passes(path, images, FORWARD)

    def note_passes(self, cell: Cell, images: int, worth: float = 1.0) -> None:
        """Counts what was computed.

        Args:
            cell: A path, or the weights of a mixture, which has all operations.
            images: The number of images.
            worth: 1 for a forward and a backward pass, a third for a forward pass alone.
        """
        passes = worth * images / self.images.count
        self._shared += passes
        self._passes += passes * self.supernet.passes(cell)

    def _begin(self) -> None:
        options = self.supernet.space.n_options
        self._passes = np.zeros((len(options), max(options)))
        self._shared = 0.0
        self._correct: dict[str, list[Tensor]] = {"weights": [], "alphas": []}
        self._seen = {"weights": 0, "alphas": 0}

    def _accuracy(self, half: str) -> float:
        if not self._seen[half]:
            return math.nan
        return 100.0 * float(torch.stack(self._correct[half]).sum()) / self._seen[half]

    # Checkpoints

    def save(self) -> None:
        """Writes a checkpoint."""
        state: dict[str, Any] = {n: part.state_dict() for n, part in self.states.items()}
        state["key"] = self.key
        state["epochs"] = [
            [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in epoch]
            for epoch in self.epochs_done
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.path, state)
        self._saved_at = time.monotonic()

    def load(self) -> None:
        """Continues from the checkpoint, if there is one.

        Raises:
            TableFileError: It is damaged.
            DataFolderError: It cannot be read.
        """
        state = read_checkpoint(self.path, self.key, "seed, hyperparameters, data")
        if state is None:
            return
        for name, part in self.states.items():
            part.load_state_dict(state[name])
        self.epochs_done = [
            Epoch._make(v.numpy() if isinstance(v, Tensor) else v for v in epoch)
            for epoch in state["epochs"]
        ]

    def forget(self) -> None:
        """Deletes the checkpoint."""
        self.path.unlink(missing_ok=True)
