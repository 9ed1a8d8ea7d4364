"""What one-shot methods have in common: a supernet that is trained for some epochs.

Each epoch is work of the algorithm itself (``Work``), after which it recommends an architecture. When
all epochs are done, the last recommendation is evaluated, and the search is over.

The settings of the training are those of the code of NAS-Bench-201 (Dong and Yang, ICLR 2020, arXiv
2001.00326; D-X-Y/AutoDL-Projects, ``configs/nas-benchmark/algos``): SGD with Nesterov momentum 0.9 and
weight decay 5e-4, a learning rate that falls from 0.025 to 0.001 along a cosine, batches of 64, and
gradients of a norm of at most 5.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.algorithm import (
    Evaluation,
    SearchAlgorithm,
    Trial,
    Work,
    check_choice,
    check_number,
    hyperparameters_of,
)
from nasbench_lab.errors import HyperparameterError, MissingSourceError, UnsuitedError
from nasbench_lab.spaces import Architecture, PoolSpace, SearchSpace

if TYPE_CHECKING:
    from nasbench_lab.trainer.supernet_training import Epoch, SupernetTraining


WITH_SUPERNETS = ("nb201", "darts")
"""The spaces that there are supernets of."""


class OneShot(SearchAlgorithm):
    """Base of one-shot methods. A child overrides ``train_epoch``, and mostly ``prepare``.

    All randomness of an epoch comes from a generator of its own, so that a run that was killed
    continues from a checkpoint with the same result to the bit. Checkpoints are written after epochs,
    at most once a minute, into ``supernets`` in the data folder, and deleted at the end. Results of
    evaluations teach nothing, neither its own nor those of other searches.

    Args:
        space: ``nb201`` or ``darts``.
        data: The data set that the benchmark trains on; given by the benchmark.
        files: The folder with the files of the data set, if it is one such as ``cifar10``, see
            ``nasbench_lab.trainer.datasets.load_data``; by default that of the benchmark, if it
            trains on such files itself.
        epochs: Passes over each half of the training set.
        batch_size: Images per step, at most.
        learning_rate: The learning rate of the weights at the start.
        min_learning_rate: The learning rate of the weights at the end.
        momentum: Nesterov's momentum of the weights' gradient.
        weight_decay: The L2 penalty on the weights.
        gradient_clip: The greatest norm of the weights' gradient.
        normalisation: The statistics of batch normalisation in evaluations: ``batch``, ``running`` or
            ``recalibrated``, see ``nasbench_lab.trainer.recipe.NORMALISATIONS``.
        images: Use only so many of the training images.
        channels: In a supernet of ``darts``, the channels of a node of the first cells; 4 if unset, and
            16 in the paper.
        cells: In a supernet of ``darts``, how many cells lie behind each other; 3 if unset, and 8 in
            the paper.
        device: ``cpu``, ``auto``, ``cuda``, … Only a CPU gives the same result to the bit each time.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.

    Attributes:
        history: An ``Epoch`` (``nasbench_lab.trainer.supernet_training``) for each finished epoch.
        training: The training of the supernet; None before the first ``ask``.
        progress: Called with the number of finished epochs and of all epochs, if it is set.

    Raises:
        UnsuitedError: The space is not all of ``nb201`` or ``darts``, or the benchmark trains on
            images that nasbench-lab does not know, or on images from files, and no folder is named.
        MissingSourceError: The folder lacks a file.
        HyperparameterError: A value does not fit.
    """

    needs_torch = True

    share = 1
    """In how many parts the channels are divided, see ``nasbench_lab.trainer.shared_weights``."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        data: str | None = None,
        files: Path | str | None = None,
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 0.025,
        min_learning_rate: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        gradient_clip: float = 5.0,
        normalisation: str = "batch",
        images: int | None = None,
        channels: int | None = None,
        cells: int | None = None,
        device: str = "cpu",
        **kwargs: Any,
    ) -> None:
        from nasbench_lab.trainer import NORMALISATIONS

        super().__init__(space, **kwargs)
        check_number("epochs", epochs, whole=True, low=1)
        check_number("batch_size", batch_size, whole=True, low=1)
        check_number("learning_rate", learning_rate, above=0)
        check_number("min_learning_rate", min_learning_rate, low=0)
        check_number("momentum", momentum, low=0, below=1)
        check_number("weight_decay", weight_decay, low=0)
        check_number("gradient_clip", gradient_clip, above=0)
        check_choice("normalisation", normalisation, NORMALISATIONS)
        if images is not None:
            check_number("images", images, whole=True, low=2)
        self.data, self.epochs = self._checked_data(data), epochs
        self.files = self._checked_files(files)
        self._check_skeleton(channels=channels, cells=cells)
        # As SupernetTraining takes them.
        self.settings: dict[str, Any] = {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "min_learning_rate": min_learning_rate,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "gradient_clip": gradient_clip,
            "normalisation": normalisation,
            "images": images,
            "channels": channels,
            "cells": cells,
            "device": device,
        }
        self.history: list[Epoch] = []
        self.progress: Callable[[int, int], None] | None = None
        self.training: SupernetTraining | None = None
        self._seed = int(self.rng.integers(2**62))
        self._asked = False

    def _checked_data(self, data: str | None) -> str:
        from nasbench_lab.trainer import RECIPES

        known = list(RECIPES)
        # A pool has some architectures only, and a supernet may lead to any.
        pool = isinstance(self.space, PoolSpace)
        if self.space.name in WITH_SUPERNETS and not pool and data in known:
            return str(data)
        raise UnsuitedError(
            f"{type(self).__name__} trains a supernet of {' or '.join(WITH_SUPERNETS)} on the images "
            f"of the benchmark. Expected one of these spaces and images of {' or '.join(known)}, but "
            f"the space is {'a part of ' * pool}{self.space.name} and the images are "
            f"{data or 'not known'}. Search on the table nb201-{known[0]}, for example."
        )

    def _checked_files(self, files: Path | str | None) -> Path | None:
        """The folder of the images, if they are read from files."""
        from nasbench_lab.trainer import check_files

        try:
            return check_files(self.data, None if files is None else Path(files))
        except MissingSourceError as error:
            if files is not None:
                raise
            raise UnsuitedError(
                f"{type(self).__name__} trains a supernet on the images of the benchmark. Expected "
                f"the folder with their files, such as files='/path/to/{self.data}', but got none: "
                f"{error} Search on the table nb201-digits, for example, which needs no files."
            ) from error

    def _check_skeleton(self, **given: int | None) -> None:
        for name, value in given.items():
            if value is None:
                continue
            if self.space.name != "darts":
                raise HyperparameterError(
                    f"Expected no {name}, which only supernets of darts let you choose, but got "
                    f"{value!r} on {self.space.name}."
                )
            check_number(name, value, whole=True, low=1)
        channels = given["channels"] or self.share
        if channels % self.share:
            raise HyperparameterError(
                f"Expected a multiple of {self.share} for channels, which {type(self).__name__} "
                f"divides into so many parts, but got {channels}."
            )

    def ask(self) -> Trial | Work | None:
        if self._asked:
            return None
        if len(self.history) == self.epochs:
            self._asked = True
            return self.trial(self.history[-1].derived)
        epoch = self._next_epoch()
        self.history.append(epoch)
        if self.progress is not None:
            self.progress(len(self.history), self.epochs)
        return Work(epoch.passes, epoch.seconds, epoch.derived, epoch.shared)

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """The search is over, so its checkpoint is deleted."""
        if self.training is not None:
            self.training.forget()

    def _next_epoch(self) -> Epoch:
        """Trains an epoch, or takes it from a checkpoint."""
        if self.training is None:
            self.training = self._new_training()
        if len(self.history) < len(self.training.epochs_done):
            return self.training.epochs_done[len(self.history)]
        training = self.training
        return training.train_epoch(lambda rng: self.train_epoch(training, rng))

    def _new_training(self) -> SupernetTraining:
        from nasbench_lab.trainer import need_torch

        need_torch()
        from nasbench_lab.trainer.supernet_training import SupernetTraining

        # A child's own hyperparameters are its attributes of the same names.
        own = [
            (name, getattr(self, name))
            for cls in type(self).__mro__[:-1]
            if issubclass(cls, OneShot) and cls is not OneShot
            for name in hyperparameters_of(cls)
        ]
        of = [type(self).__name__, *own]
        training = SupernetTraining(
            self.data,
            self._seed,
            share=self.share,
            space=self.space,
            files=self.files,
            of=of,
            **self.settings,
        )
        self.prepare(training)
        training.load()
        return training

    def prepare(self, training: SupernetTraining) -> None:
        """Makes what is trained besides the supernet, and adds it to ``training.states``.

        Initial values are drawn from ``training.stream(2)``.
        """

    @abstractmethod
    def train_epoch(
        self, training: SupernetTraining, rng: np.random.Generator
    ) -> tuple[Architecture, NDArray[np.float64]]:
        """Trains the supernet for an epoch.

        ``training.batches`` gives the images, ``training.weights_step`` trains the weights, and
        ``training.loss`` is the loss of whatever else is trained. What is computed otherwise, such as
        accuracies, is counted by ``training.note_passes``.

        Args:
            training: The training of the supernet.
            rng: Where the epoch draws from.

        Returns:
            The derived architecture, and the probabilities of an ``Epoch``.
        """
