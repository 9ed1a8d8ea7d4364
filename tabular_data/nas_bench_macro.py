"""NAS-Bench-Macro: 6,561 networks of 8 layers, each trained three times on CIFAR-10.

Su, Huang, Li, You, Wang, Qian, Zhang and Xu, "Prioritized architecture sampling with Monto-Carlo tree
search", CVPR 2021 (arXiv 2103.11922). Apache-2.0.

Read from the authors' ``nas-bench-macro_cifar10.json``. It has accuracies on test data only, so it
has no search by default: one that sees them names the task ``search-on-test``.
"""

from __future__ import annotations

import math
import re
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_lab.errors import InvalidArchitectureError, TableFileError, quoted
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo, Task
from nasbench_lab.tables.rows import Rows, write_rows
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from tabular_data._json_columns import named_records
from tabular_data._origins import origin

NAME = "nas-bench-macro"
OFFICIAL_FILE = "nas-bench-macro_cifar10.json"
ON_TEST = "search-on-test"
"""The task of searches that see test data."""

_HEAD = re.compile(rb'\s*\{\s*"[0-2]{8}"\s*:\s*\{[^{}]*"test_acc"')
_ACCURACIES, _MEAN, _SIZES = "test_acc", "mean_acc", {"params": "parameters", "flops": "flops"}
_LARGEST = 1e15
_ROUNDED = 1e-3

_CITATION = """@inproceedings{su2021prioritized,
  title = {Prioritized Architecture Sampling with Monto-Carlo Tree Search},
  author = {Su, Xiu and Huang, Tao and Li, Yanxi and You, Shan and Wang, Fei and Qian, Chen and
            Zhang, Changshui and Xu, Chang},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2021}
}"""


def recognise(path: Path) -> str | None:
    """Names the table of the authors' file; one with a mapping file of the user's is left to that."""
    try:
        if path.with_suffix(".toml").exists() or not path.is_file():
            return None
        with open(path, "rb") as file:
            return NAME if _HEAD.match(file.read(1 << 12)) else None
    except (OSError, ValueError):
        return None


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of the file into an empty folder.

    Raises:
        TableFileError: The file is damaged, or holds something else.
    """
    space = get_space("nb-macro")
    texts, architectures = [], []
    accuracies: list[list[float]] = []
    sizes: dict[str, list[float]] = {size: [] for size in _SIZES}
    for text, record in islice(named_records(path), space.size + 1):
        try:
            architectures.append(space.from_string(text))
            accuracies.append(_accuracies(record, len(accuracies[0]) if accuracies else None))
            for size, values in sizes.items():
                values.append(_number(record, size, _LARGEST) / 1e6)
        except (InvalidArchitectureError, ValueError) as error:
            raise TableFileError(f"{path}, record {quoted(text, 100)}: {error}") from error
        texts.append(text)
    if not texts:
        raise TableFileError(f"{path} has no records.")
    trials = tuple(range(1, len(accuracies[0]) + 1))
    accuracy = Column(
        "test_accuracy",
        "accuracy",
        "%",
        True,
        split="test",
        dataset="cifar10",
        trials=trials,
        description="At the end of training, of each of the trainings.",
    )
    columns = {
        accuracy: partial(np.array, accuracies),
        **{
            Column(_SIZES[size], _SIZES[size], "M", False, dataset="cifar10"): partial(
                np.array, one
            )
            for size, one in sizes.items()
        },
    }
    info = TableInfo(
        name=options.name or NAME,
        space=space.name,
        description=(
            f"NAS-Bench-Macro: {len(texts):,} networks of 8 layers, each trained "
            f"{len(trials)} times on CIFAR-10. It has test accuracies only. A search on the task "
            f"{ON_TEST} sees those of one training and is judged by their mean, so its results say how "
            f"well it optimises, and nothing of how well its choice generalises."
        ),
        citation=_CITATION,
        licence="Apache-2.0",
        objective="",
        report=accuracy.name,
        source=origin(path, path.stem),
        tasks={ON_TEST: Task(accuracy.name, accuracy.name)},
        missing=("Validation accuracies, training times and learning curves are not in the file.",),
        trial="random",
    )
    place = Rows(str(path), lambda row: f"record {texts[row]}")
    write_rows(folder, info, np.array(architectures), columns, place)
    options.progress(len(texts), len(texts))


def _accuracies(record: Any, n: int | None) -> list[float]:
    """The accuracies of the trainings, in %; they agree with their mean."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object but got {quoted(record, 100)}.")
    given = record.get(_ACCURACIES)
    if not isinstance(given, list) or not given or len(given) != (n or len(given)):
        raise ValueError(
            f"expected a list of {n or 'some'} numbers as {_ACCURACIES!r} but got "
            f"{quoted(given, 100)}."
        )
    accuracies = [
        _number({f"{_ACCURACIES}[{i}]": one}, f"{_ACCURACIES}[{i}]", 100)
        for i, one in enumerate(given)
    ]
    mean = _number(record, _MEAN, 100)
    if abs(mean - sum(accuracies) / len(accuracies)) > _ROUNDED:
        raise ValueError(f"{_MEAN!r} is {mean:g}, which is not the mean of {_ACCURACIES!r}.")
    return accuracies


def _number(record: dict[str, Any], name: str, most: float) -> float:
    value: Any = record.get(name)
    if type(value) not in (int, float) or not 0 <= value <= most or not math.isfinite(value):
        raise ValueError(
            f"expected a number from 0 to {most:g} as {name!r} but got {quoted(value, 100)}."
        )
    return float(value)


FORMAT = FileFormat(
    name="NAS-Bench-Macro",
    tables={NAME: OFFICIAL_FILE},
    recognise=recognise,
    convert=convert,
    official=(OFFICIAL_FILE,),
)
"""The one file."""
