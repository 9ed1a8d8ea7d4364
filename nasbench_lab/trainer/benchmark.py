"""A benchmark that trains the architectures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.clock import CLOCKS, counts_seconds, resumes
from nasbench_lab.errors import QueryError, TableFileError, UnknownNameError
from nasbench_lab.files import content_checksum, data_folder
from nasbench_lab.spaces import Architecture, SearchSpace, get_space
from nasbench_lab.tables.sources import silent
from nasbench_lab.trainer.built import check_networks
from nasbench_lab.trainer.data import AnyData, image_data
from nasbench_lab.trainer.datasets import DATASETS
from nasbench_lab.trainer.entries import check_possible, read_entry, tell, write_entry
from nasbench_lab.trainer.recipe import RECIPES, Recipe, usual_recipe
from nasbench_lab.trainer.training import (
    Training,
    choose_device,
    train,
    trained_as,
    training_key,
)
from nasbench_lab.user_code.functions import TakenFunction, taken_function


class TrainingBenchmark(Benchmark):
    """Trains architectures on demand; a search sees the validation accuracy in per cent.

    Comparisons report the test accuracy.

    Trainings are kept in a folder and never repeated; a training of fewer epochs is continued. An
    evaluation after fewer epochs is an intermediate value of the whole schedule.

    Args:
        space: ``nb201``, ``nats-sss`` or a chain, or its name; or any space, with ``build``.
        recipe: The recipe of the training, or the name of a data set, for its usual recipe. By default
            the usual recipe of the data. What a space decides itself, such as ``chain`` the learning
            rate, takes the place of the recipe's setting, see ``trained_by``.
        data: The images: the name of a data set, which is read from ``files`` if it is not in every
            install; an ``.npz`` file; ``path/to/file.py:NAME`` of a function; ``ImageData``; or arrays
            by name, see ``image_data``. By default those of the recipe.
        build: A function that builds the network of an architecture, or ``path/to/file.py:NAME`` of
            one, see ``built_network``.
        seeds: The seeds of the trainings; the accuracy is the mean over them.
        device: ``auto``, ``cpu``, ``cuda``, …
        clock: One of ``CLOCKS``. All but ``evaluations`` charge the measured seconds of the training,
            divided by the number of seeds, as a table charges a single training for a mean of
            several. They differ between machines, and between trainings. The own work of algorithms
            takes the seconds that these measured.
        folder: The folder of kept trainings; by default ``trainings`` in the data folder.
        files: The folder with the data set's files.
        progress: Called with (epochs done, all epochs) while a network is trained.
        checkpoint_every_s: The least seconds between two checkpoints of a training.

    Raises:
        UnknownNameError: There is no such space, data set or clock.
        TrainingError: There is no such device, or there are no networks of the space.
        DataError: The data are not what can be trained on.
        AlgorithmFileError: The user's file cannot be read or executed, or lacks the function.
        QueryError: The data have no validation images to search on.
    """

    def __init__(
        self,
        space: SearchSpace | str = "nb201",
        recipe: Recipe | str | None = None,
        *,
        data: AnyData | None = None,
        build: str | Callable[..., Any] | TakenFunction | None = None,
        seeds: Sequence[int] = (0,),
        device: str = "auto",
        clock: str = "evaluations",
        folder: Path | None = None,
        files: Path | None = None,
        progress: Callable[[int, int], None] = silent,
        checkpoint_every_s: float = 60.0,
    ) -> None:
        self.space = get_space(space) if isinstance(space, str) else space
        self.build = None if build is None else taken_function(build)
        check_networks(self.space, self.build)
        if isinstance(recipe, str):
            if recipe not in RECIPES:
                raise UnknownNameError("recipe", recipe, RECIPES)
            recipe = RECIPES[recipe]
        if clock not in CLOCKS:
            raise UnknownNameError("clock", clock, CLOCKS)
        if data is None:
            data = "digits" if recipe is None else recipe.data
        trained_on = "train" if recipe is None else recipe.trained_on
        self.data = image_data(data, files, trained_on=trained_on)
        recipe = usual_recipe(self.data.name) if recipe is None else recipe
        if recipe.data != self.data.name:
            recipe = recipe.replace(data=self.data.name)
        self.recipe, self.clock, self.seeds = recipe, clock, tuple(seeds)
        if "valid" not in self.data.images:
            raise QueryError(
                f"{self.data.name!r} was read without validation images, so there is nothing that a "
                f"search may see. Train on 'train', not on {recipe.trained_on!r}."
            )
        self.device = str(choose_device(device))
        self.epochs = recipe.epochs
        self.fidelities = tuple(range(1, recipe.epochs + 1))
        self.folder = folder or data_folder() / "trainings"
        self.progress = progress
        self._checkpoint_every_s = checkpoint_every_s
        self.name = f"training {self.space.name} on {recipe.data}"
        self.dataset = recipe.data
        self.objectives = (Objective("valid_accuracy", "%"),)
        self.reported = Objective("test_accuracy", "%") if "test" in self.data.images else None
        self.measured = counts_seconds(clock)
        # Comparisons note what they are, so that none goes on with other networks or images.
        if self.build is not None:
            self.networks = content_checksum(self.build.checksums)
        if self.data.name not in DATASETS:
            self.images = self.data.checksum
        self._keys: dict[Architecture, str] = {}
        self._trainings: dict[Architecture, Training] = {}

    @property
    def fingerprint(self) -> str:
        """A checksum of all that trainings depend on besides the architecture and the processor."""
        code = {} if self.build is None else self.build.checksums
        return content_checksum(
            [training_key(self.space, (), self.recipe, self.data, self.seeds), code]
        )

    def evaluate(
        self,
        architecture: Architecture,
        epoch: int | None = None,
        rng: np.random.Generator | None = None,
        since: int | None = None,
    ) -> Evaluation:
        """Trains an architecture, or looks up its earlier training.

        There is no table, so the row is the index of the trained architecture in the space.
        Isomorphic cells with the same training count as repeats. An evaluation has failed if the loss
        of one of the seeds is not a number any more.
        """
        epoch = self.recipe.epochs if epoch is None else epoch
        training = self.training(architecture, epoch)
        value = float(training.curves["valid_accuracy"][:, epoch - 1].mean())
        loss = training.curves.get("valid_loss")
        if loss is not None and np.isnan(loss[:, epoch - 1]).any():
            value = math.nan
        row, _ = self.entry(architecture)
        return Evaluation((value,), self._cost(training, epoch, since), epoch, row)

    def entry(self, architecture: Architecture) -> tuple[int, float]:
        """The index of the trained architecture in the space, as evaluations have it."""
        trained = trained_as(self.space, architecture, self.recipe, self.build)
        fits = self.space.size <= np.iinfo(np.int64).max
        return self.space.index(trained) if fits else -1, 0.0

    def report_value(self, architecture: Architecture) -> float:
        """The test accuracy after the whole training in per cent, NaN if the data have no test images.

        It comes of the training that the search paid for, unless that ended early.
        """
        accuracies = self.training(architecture).curves.get("test_accuracy")
        return math.nan if accuracies is None else float(accuracies[:, -1].mean())

    def training(self, architecture: Architecture, epochs: int | None = None) -> Training:
        """The training of an architecture for at least so many epochs.

        Raises:
            QueryError: The recipe has no such epoch.
            TrainingError: Memory ran out.
            InvalidArchitectureError: The architecture is not of the space.
        """
        last = self.recipe.epochs
        epochs = last if epochs is None else epochs
        if not 1 <= epochs <= last:
            raise QueryError(f"{self.name!r} has epochs 1 to {last}, not {epochs}.")
        built = trained_as(self.space, architecture, self.recipe, self.build)
        file = self._file(built)
        result = self._trainings.get(built)
        if result is None or result.epochs < epochs:
            result = self._kept(file, built)  # another process may have trained it meanwhile
        if result is None or result.epochs < epochs:
            result = train(
                self.space,
                built,
                self.recipe,
                self.data,
                build=self.build,
                seeds=self.seeds,
                device=self.device,
                epochs=epochs,
                checkpoint=file.with_suffix(".pt"),
                checkpoint_every_s=self._checkpoint_every_s,
                progress=self.progress,
            )
            _write(file, self._key(built), result, self.space.to_string(built))
            if epochs == last:
                file.with_suffix(".pt").unlink(missing_ok=True)
        self._trainings[built] = result
        return result

    def _key(self, architecture: Architecture) -> str:
        if architecture not in self._keys:
            key = training_key(
                self.space, architecture, self.recipe, self.data, self.seeds, self.build
            )
            # A GPU and the CPU round differently.
            self._keys[architecture] = f"{key}-{self.device.partition(':')[0]}"
        return self._keys[architecture]

    def _file(self, architecture: Architecture) -> Path:
        key, _, device = self._key(architecture).partition("-")
        return self.folder / f"{key[:24]}-{device}.json"

    def _kept(self, file: Path, architecture: Architecture) -> Training | None:
        """A kept training; None if there is none, or, with a warning, if it is damaged."""
        what = self._key(architecture), self.seeds, self.space.to_string(architecture)
        try:
            return _read(file, *what)
        except TableFileError as error:
            tell(error, f"{self.space.to_string(architecture)} is trained again.")
            return None

    def _cost(self, training: Training, epoch: int, since: int | None) -> float:
        if not counts_seconds(self.clock):
            return 1.0
        trained, passes = training.seconds["train"][:epoch], training.seconds["valid"][:epoch]
        cost = math.fsum(trained)
        if self.clock == "every_epoch":
            cost += math.fsum(passes)
        elif self.clock != "train_only":
            cost += math.fsum(passes) / epoch
        if resumes(self.clock) and since is not None:
            cost -= math.fsum(trained[:since])
        return cost / len(self.seeds)


def _write(file: Path, key: str, training: Training, architecture: str) -> None:
    entry = {
        "architecture": architecture,
        "seeds": training.seeds,
        "curves": {name: values.tolist() for name, values in training.curves.items()},
        "seconds": {split: values.tolist() for split, values in training.seconds.items()},
        "parameters": training.parameters,
        "flops": training.flops,
        "device": training.device,
    }
    write_entry(file, key, entry)


_FIELDS = frozenset(("architecture", "seeds", "curves", "seconds", "parameters", "flops", "device"))


def _read(file: Path, key: str, seeds: tuple[int, ...], architecture: str) -> Training | None:
    """A kept training; None if there is none.

    Raises:
        TableFileError: It is damaged, of another training, or has impossible values.
        DataFolderError: It cannot be read.
    """
    entry = read_entry(file, key, unsigned=_FIELDS)
    if entry is None:
        return None
    try:
        training = Training(
            seeds=tuple(entry["seeds"]),
            curves={name: np.array(values, float) for name, values in entry["curves"].items()},
            seconds={split: np.array(values, float) for split, values in entry["seconds"].items()},
            parameters=float(entry["parameters"]),
            flops=float(entry["flops"]),
            device=str(entry["device"]),
        )
        shape = (len(seeds), training.epochs)
        fits = training.seeds == seeds and entry["architecture"] == architecture
        fits &= all(values.shape == shape for values in training.curves.values())
        fits &= all(values.shape == shape[1:] for values in training.seconds.values())
        fits &= {"train_accuracy", "valid_accuracy"} <= set(training.curves)
        fits &= {"train", "valid"} <= set(training.seconds)
    except (ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise TableFileError(f"{file} is damaged, or of other seeds or another architecture.")
    sizes = {"parameters": training.parameters, "flops": training.flops}
    check_possible(file, training.curves, training.seconds, sizes)
    return training
