"""A benchmark that trains the architectures."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.algorithm import Evaluation
from nasbench_lab.benchmark import Benchmark, Objective
from nasbench_lab.benchmark.questions import Questions
from nasbench_lab.clock import CLOCKS, counts_seconds, resumes
from nasbench_lab.errors import QueryError, TableFileError, TrainingError, UnknownNameError
from nasbench_lab.files import content_checksum, data_folder
from nasbench_lab.spaces import Architecture, SearchSpace, get_space
from nasbench_lab.tables.columns import Constraint, Query
from nasbench_lab.tables.sources import silent
from nasbench_lab.trainer.built import check_networks
from nasbench_lab.trainer.data import AnyData, image_data
from nasbench_lab.trainer.datasets import DATASETS, SPLITS
from nasbench_lab.trainer.entries import check_possible, read_entry, tell, write_entry
from nasbench_lab.trainer.hardware import EnergyMeter, hardware, measure_network, size_of
from nasbench_lab.trainer.measurements import (
    CLASSIFICATION,
    ENERGY,
    NETWORK,
    SIZES,
    MeasuredColumns,
    curve_columns,
    network_columns,
    size_columns,
)
from nasbench_lab.trainer.recipe import RECIPES, Recipe, usual_recipe
from nasbench_lab.trainer.training import (
    Training,
    Watch,
    choose_device,
    train,
    trained_as,
    training_key,
)
from nasbench_lab.user_code.functions import TakenFunction, taken_function
from nasbench_lab.words import counted


class TrainingBenchmark(Benchmark):
    """Trains architectures on demand; by default a search sees the validation accuracy in per cent.

    Comparisons report the test accuracy. What else is measured is named as in tables: for ``valid``
    and ``test`` accuracy, loss, ``macro_f1``, ``macro_precision``, ``macro_recall`` and
    ``top5_accuracy``, such as ``valid_macro_f1``; for ``train`` accuracy and loss; ``parameters``
    and ``flops`` in millions; ``latency`` in milliseconds and ``peak_memory`` in megabytes, see
    ``measure_network``; and ``train_energy`` in joules, where an ``EnergyMeter`` can tell it.
    ``columns`` describes them. Latency and energy are disturbed by whatever else runs on the
    machine, so give one worker where they matter.

    Trainings are kept in a folder and never repeated; a training of fewer epochs is continued. An
    evaluation after fewer epochs is an intermediate value of the whole schedule. A training is
    repeated if it is asked for what an earlier one did not measure: energy, or what versions
    before did not know.

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
        seeds: The seeds of the trainings; values are the means over them.
        device: ``auto``, ``cpu``, ``cuda``, …
        clock: One of ``CLOCKS``. All but ``evaluations`` charge the measured seconds of the training,
            divided by the number of seeds, as a table charges a single training for a mean of
            several. They differ between machines, and between trainings. The own work of algorithms
            takes the seconds that these measured.
        objective: What the search sees, or several; ``valid_accuracy`` by default. Test metrics are
            refused.
        report: What results are reported in; ``test_accuracy`` by default, if there are test images.
        constraints: Constraints on architectures, such as ``"parameters<=0.5"``, as for
            ``TableBenchmark``.
        folder: The folder of kept trainings; by default ``trainings`` in the data folder.
        files: The folder with the data set's files.
        progress: Called with (epochs done, all epochs) while a network is trained.
        checkpoint_every_s: The least seconds between two checkpoints of a training.

    Attributes:
        watch: Called with the curves so far while a network is trained, as of ``train``; None at
            first.

    Raises:
        UnknownNameError: There is no such space, data set or clock.
        TrainingError: There is no such device, or there are no networks of the space, or the energy is
            asked for and not told by this machine.
        DataError: The data are not what can be trained on.
        AlgorithmFileError: The user's file cannot be read or executed, or lacks the function.
        QueryError: The data have no validation images to search on, or something is asked for that is
            not measured, or that a search must not see.
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
        objective: Query | str | Sequence[Query | str] | None = None,
        report: Query | str | None = None,
        constraints: Constraint | str | Sequence[Constraint | str] | None = (),
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
        self.data, self.files = image_data(data, files, trained_on=trained_on), files
        recipe = usual_recipe(self.data.name) if recipe is None else recipe
        if recipe.data != self.data.name:
            recipe = recipe.replace(data=self.data.name)
        self.recipe, self.clock, self.seeds = recipe, clock, tuple(seeds)
        if "valid" not in self.data.images:
            raise QueryError(
                f"{self.data.name!r} was read without validation images, so there is nothing that a "
                f"search may see. Train on 'train', not on {recipe.trained_on!r}."
            )
        self._device = choose_device(device)
        self.device = str(self._device)
        self.folder = folder or data_folder() / "trainings"
        self.progress = progress
        self.watch: Watch | None = None
        self._checkpoint_every_s = checkpoint_every_s
        self.name = f"training {self.space.name} on {recipe.data}"
        self.dataset = recipe.data
        self._ask(objective, report, constraints)
        self.measured = counts_seconds(clock)
        # Comparisons note what they are, so that none goes on with other networks or images.
        if self.build is not None:
            self.networks = content_checksum(self.build.checksums)
        if self.data.name not in DATASETS:
            self.images = self.data.checksum
        self._keys: dict[Architecture, str] = {}
        self._measured: dict[Architecture, dict[str, float]] = {}
        self._sizes: dict[Architecture, dict[str, float]] = {}
        self._trainings: dict[Architecture, Training] = {}

    def _ask(
        self,
        objective: Query | str | Sequence[Query | str] | None,
        report: Query | str | None,
        constraints: Constraint | str | Sequence[Constraint | str] | None,
    ) -> None:
        """Takes what is asked for, by the rules of tables."""
        recipe, splits = self.recipe, [split for split in SPLITS if split in self.data.images]
        where = hardware(self._device)
        columns = [
            *curve_columns(splits, recipe.data, self.seeds, recipe.epochs),
            *size_columns(recipe.data),
            *network_columns(recipe.data, where, recipe.epochs),
        ]
        tested = "test_accuracy" if "test" in splits else ""
        self.columns = MeasuredColumns(self.name, self.space.name, columns, tested)
        questions = Questions.of(self.columns, None, objective, report, constraints)
        self.queries, self.report = questions.queries, questions.report
        self.objectives = questions.objectives
        if questions.constraints:
            self.constraints = questions.constraints
        self.epochs = self._last = questions.epochs or recipe.epochs
        self.fidelities = questions.common or tuple(range(1, self._last + 1))
        reported = self.columns.column(self.report)
        self.reported = None
        if reported.name != self.objectives[0].name:
            self.reported = Objective(reported.name, reported.unit, reported.maximize)
        asked = [*self.queries, self.report, *(bound.query for bound in self.constraints)]
        self._asked = frozenset(self.columns.column(query).name for query in asked)
        if ENERGY in self._asked:
            EnergyMeter(self._device)

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
        epoch = self._last if epoch is None else epoch
        training = self.training(architecture, epoch)
        values = tuple(self._value(query, architecture, training, epoch) for query in self.queries)
        loss = training.curves.get("valid_loss")
        if loss is not None and np.isnan(loss[:, epoch - 1]).any():
            values = (math.nan,) * len(values)
        violation = self._violation(
            lambda query: self._value(query, architecture, training, query.epoch or epoch),
            {*self.columns.columns} if epoch == self._last else {*SIZES, *NETWORK},
        )
        row = self._row(architecture)
        return Evaluation(values, self._cost(training, epoch, since), epoch, row, violation)

    def _value(
        self, query: Query, architecture: Architecture, training: Training, epoch: int
    ) -> float:
        """What is asked for of an architecture, after an epoch."""
        name = self.columns.column(query).name
        if name in SIZES:
            return float(getattr(training, name))
        if name in NETWORK:
            return self._network(architecture)[name]
        if name != ENERGY:
            curves = {**training.curves, **(training.metrics or {})}
            return float(curves[name][:, epoch - 1].mean())
        assert training.energy is not None
        joules = math.fsum(training.energy[:epoch]) / len(self.seeds)
        if not joules > 0:
            raise TrainingError(
                f"The energy of {counted(epoch, 'epoch')} of {self.space.to_string(architecture)} was "
                f"not measured: they took less time than the machine's counter needs for a step."
            )
        return joules

    def _violation(self, value: Callable[[Query], float], known: Collection[str]) -> float:
        """By how much constraints are violated; NaN if they are not, and some are not known yet."""
        violation, untold = 0.0, False
        for bound in self.constraints:
            if self.columns.column(bound.query).name in known:
                violation += float(bound.violation(np.array(value(bound.query))))
            else:
                untold = True
        return math.nan if untold and violation == 0 else violation

    def _row(self, architecture: Architecture) -> int:
        """The index of the trained architecture in the space, -1 in one that is too large."""
        trained = trained_as(self.space, architecture, self.recipe, self.build)
        fits = self.space.size <= np.iinfo(np.int64).max
        return int(self.space.index(trained)) if fits else -1

    def entry(self, architecture: Architecture) -> tuple[int, float]:
        """What is known of an architecture that was not trained.

        Returns:
            The index of the trained architecture in the space, as evaluations have it; and by how
            much its parameters and multiply-adds violate the constraints, NaN if only a training or
            a measurement would tell.
        """

        def of_size(query: Query) -> float:
            return self._size(architecture)[self.columns.column(query).name]

        try:
            violation = self._violation(of_size, SIZES)
        except TrainingError:  # a user's function that fails will do so in training too
            violation = math.nan
        return self._row(architecture), violation

    def _size(self, architecture: Architecture) -> dict[str, float]:
        """Parameters and multiply-adds."""
        built = trained_as(self.space, architecture, self.recipe, self.build)
        if built not in self._sizes:
            self._sizes[built] = size_of(self.space, built, self.recipe, self.data, self.build)
        return self._sizes[built]

    def report_value(self, architecture: Architecture) -> float:
        """The reported value after the training, NaN if there is none.

        It comes of the training that the search paid for, unless that ended early.
        """
        if self.reported is None:
            return math.nan
        last = self.report.epoch or self._last
        return self._value(self.report, architecture, self.training(architecture, last), last)

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
        if result is None or not self._suffices(result, epochs):
            result = self._kept(file, built)  # another process may have trained it meanwhile
        if result is None or not self._suffices(result, epochs):
            if result is not None and result.epochs > epochs:
                epochs = result.epochs  # what was known stays known
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
                watch=self.watch,
                metrics=any(map(_is_metric, self._asked)),
                joules=EnergyMeter(self._device).joules if ENERGY in self._asked else None,
            )
            _write(file, self._key(built), result, self.space.to_string(built))
            if epochs == last:
                file.with_suffix(".pt").unlink(missing_ok=True)
        self._trainings[built] = result
        return result

    def _suffices(self, training: Training, epochs: int) -> bool:
        """Whether a training is long enough, and measured all that is asked for."""
        metrics = training.metrics is not None or not any(map(_is_metric, self._asked))
        energy = training.energy is not None or ENERGY not in self._asked
        return training.epochs >= epochs and metrics and energy

    def _network(self, architecture: Architecture) -> dict[str, float]:
        """The metrics of ``NETWORK``, measured once on each kind of machine."""
        built = trained_as(self.space, architecture, self.recipe, self.build)
        if built not in self._measured:
            self._measured[built] = self._kept_network(built)
        return self._measured[built]

    def _kept_network(self, built: Architecture) -> dict[str, float]:
        where = hardware(self._device)
        file = self._file(built)
        file = file.with_name(f"{file.stem}-{content_checksum(where)[:8]}.json")
        of, text = f"{self._key(built)} on {where}", self.space.to_string(built)
        try:
            entry = read_entry(file, of)
            if entry is not None:
                known = {name: float(entry[name]) for name in NETWORK}
                check_possible(file, {}, known, {})
                return known
        except TableFileError as error:
            tell(error, f"{text} is measured again.")
        what = self.space, built, self.recipe, self.data, self.build, self._device
        known = measure_network(*what)
        write_entry(file, of, {"architecture": text, "hardware": where, **known})
        return known

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


def _is_metric(name: str) -> bool:
    """Whether a column is of a metric that versions before did not know."""
    return name.partition("_")[2] in CLASSIFICATION


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
    if training.energy is not None:
        entry["energy"] = training.energy.tolist()
    if training.metrics is not None:
        entry["metrics"] = {name: values.tolist() for name, values in training.metrics.items()}
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
            energy=np.array(entry["energy"], float) if "energy" in entry else None,
            metrics=(
                {name: np.array(values, float) for name, values in entry["metrics"].items()}
                if "metrics" in entry
                else None
            ),
        )
        shape = (len(seeds), training.epochs)
        fits = training.seeds == seeds and entry["architecture"] == architecture
        curves = {**training.curves, **(training.metrics or {})}
        fits &= all(values.shape == shape for values in curves.values())
        fits &= all(values.shape == shape[1:] for values in training.seconds.values())
        fits &= training.energy is None or training.energy.shape == shape[1:]
        fits &= {"train_accuracy", "valid_accuracy"} <= set(training.curves)
        fits &= {"train", "valid"} <= set(training.seconds)
    except (ValueError, KeyError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise TableFileError(f"{file} is damaged, or of other seeds or another architecture.")
    sizes = {"parameters": training.parameters, "flops": training.flops}
    energy = {} if training.energy is None else {ENERGY: training.energy}
    check_possible(file, curves, training.seconds, {**sizes, **energy})
    return training
