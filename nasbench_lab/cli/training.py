"""What the options of commands that train say, and a note of it in the result folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_lab.errors import ExperimentError, TableFileError
from nasbench_lab.trainer import need_torch

if TYPE_CHECKING:
    from nasbench_lab.results.result import Result
    from nasbench_lab.trainer.benchmark import TrainingBenchmark

CHECKPOINT_S = 10.0
"""The least seconds between two checkpoints of a training: so much is lost if it is killed."""

NOTE = "training.json"
"""The file of a result folder that says how its benchmarks train."""

DEFAULT_DATA = "digits"


@dataclass(frozen=True)
class TrainingOptions:
    """What is trained, and on what; as the options of commands say it."""

    space: str
    data: str = DEFAULT_DATA
    build: str | None = None
    epochs: int | None = None
    trials: int = 1
    data_folder: Path | None = None

    def benchmark(self, device: str, **more: Any) -> TrainingBenchmark:
        """The benchmark that trains it; ``more`` as of ``TrainingBenchmark``.

        Raises:
            MissingPackageError: PyTorch is not installed.
            NasbenchLabError: Of the kind that fits, if an option names what is not there.
        """
        need_torch()
        from nasbench_lab.registry import find_space
        from nasbench_lab.trainer.benchmark import TrainingBenchmark
        from nasbench_lab.trainer.data import image_data
        from nasbench_lab.trainer.recipe import usual_recipe

        searched = find_space(self.space)
        images = image_data(self.data, self.data_folder)
        recipe = usual_recipe(images.name)
        return TrainingBenchmark(
            searched,
            recipe if self.epochs is None else recipe.replace(epochs=self.epochs),
            data=images,
            build=self.build,
            seeds=range(self.trials),
            device=device,
            checkpoint_every_s=CHECKPOINT_S,
            **more,
        )

    def note(self, folder: Path, benchmark: str) -> None:
        """Notes it in a result folder, under the name of its benchmark.

        Raises:
            DataFolderError: The folder cannot be written.
        """
        from nasbench_lab.files import atomic_file

        options = {
            **asdict(self),
            "space": _absolute(self.space),
            "data": _absolute(self.data),
            "build": None if self.build is None else _absolute(self.build),
            "data_folder": None if self.data_folder is None else str(self.data_folder.absolute()),
        }
        notes = {**_notes(folder), benchmark: options}
        with atomic_file(folder / NOTE) as path:
            path.write_text(json.dumps(notes, indent=1) + "\n", "utf-8")


def noted_benchmark(
    folder: Path, result: Result, name: str, device: str, data_folder: Path | None
) -> TrainingBenchmark:
    """The benchmark of a result that trains, made again as its folder notes it.

    Args:
        folder: The result folder.
        result: The result in it.
        name: The benchmark.
        device: Where it is to train.
        data_folder: The folder of the data's files, if it is elsewhere now.

    Raises:
        ExperimentError: Nobody noted how it trains, or its code or data are others now.
        TableFileError: The note is damaged.
    """
    options = _notes(folder).get(name)
    if options is None:
        raise ExperimentError(
            f"{folder} does not say how {name!r} trains, so its networks cannot be trained here. That "
            f"is noted at the end of the commands search and compare --train. In Python: "
            f"nasbench_lab.validation.validate_search(benchmark, …)."
        )
    try:
        folder_of_files = options.pop("data_folder")
        files = Path(folder_of_files) if folder_of_files and data_folder is None else data_folder
        taken = TrainingOptions(**options, data_folder=files)
    except (AttributeError, KeyError, TypeError) as error:
        raise TableFileError(
            f"{folder / NOTE} is damaged. Give the command that made the result again."
        ) from error
    benchmark = taken.benchmark(device)
    made = {run.table for run in result.runs if run.benchmark == name}
    if made != {benchmark.fingerprint}:
        raise ExperimentError(
            f"{name!r} trains something else now than in {folder}: the data, the code of the networks, "
            f"or the version of PyTorch have changed. Put them back as they were, or search anew."
        )
    return benchmark


def _notes(folder: Path) -> dict[str, Any]:
    """What a folder notes, by benchmark."""
    from nasbench_lab.files import read_text

    try:
        notes = json.loads(read_text(folder / NOTE))
        if not isinstance(notes, Mapping):
            raise TypeError("it is no object")
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, OSError) as error:
        raise TableFileError(
            f"{folder / NOTE} is damaged ({error}). Take it away, and give the command that made the "
            f"result again."
        ) from error
    return dict(notes)


def _absolute(text: str) -> str:
    """A name, or a file with its whole path: ``/path/to/file.py:NAME``."""
    file, colon, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    return (
        f"{Path(file).expanduser().absolute()}{colon}{name}"
        if colon or file.endswith(".npz")
        else text
    )
