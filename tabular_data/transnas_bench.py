"""TransNAS-Bench-101: two spaces of networks, each trained for seven tasks on images of rooms.

Duan, Chen, Xu, Chen, Liang, Zhang and Li, "TransNAS-Bench-101: Improving transferability and
generalizability of cross-task neural architecture search", CVPR 2021 (arXiv 2105.11871). MIT.

Read from a CSV file of one space, with the architectures in the benchmark's syntax in the
column ``architecture``, and a column of validation values at the end of training for each task.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from nasbench_lab.errors import TableFileError
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo, Task
from nasbench_lab.tables.rows import Rows, write_rows
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from tabular_data._csv_columns import header_of, is_parquet, parsed_architectures, read_columns
from tabular_data._origins import origin

MICRO, MACRO = "transnas-micro", "transnas-macro"
"""The names of the spaces, and of their tables."""

ARCHITECTURE = "architecture"


class Measured(NamedTuple):
    """What the networks of a task are judged by; more is better.

    Args:
        quantity: The quantity.
        unit: Its unit.
        description: What the networks do, and what the quantity is.
    """

    quantity: str
    unit: str
    description: str


TASKS = {
    "class_object": Measured("accuracy", "%", "Which of 75 objects there are: top-1 accuracy."),
    "class_scene": Measured("accuracy", "%", "Which of 47 scenes it is: top-1 accuracy."),
    "room_layout": Measured("negative_loss", "1", "The layout of a room: minus the loss."),
    "jigsaw": Measured("accuracy", "%", "Which of 1,000 orders 9 pieces are in: top-1 accuracy."),
    "segmentsemantic": Measured("accuracy", "%", "17 classes of pixels: accuracy over pixels."),
    "normal": Measured("ssim", "1", "Surface normals: structural similarity."),
    "autoencoder": Measured("ssim", "1", "The image itself: structural similarity."),
}
"""The tasks."""

_CITATION = """@inproceedings{duan2021transnas,
  title = {{TransNAS-Bench-101}: Improving Transferability and Generalizability of Cross-Task Neural
           Architecture Search},
  author = {Duan, Yawen and Chen, Xin and Xu, Hang and Chen, Zewei and Liang, Xiaodan and
            Zhang, Tong and Li, Zhenguo},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2021}
}"""

_KINDS = {MICRO: "cells", MACRO: "networks of 4 to 6 modules"}
"""What each table is of, in words."""
_HEAD = 1 << 16
_SYNTAX = re.compile(rb"64-[1-4]{4,6}-(basic)?")


def recognise(path: Path) -> str | None:
    """Names the table of a CSV file with a column for each task.

    A file with a mapping file of the user's beside it is left to that.
    """
    try:
        if path.suffix == ".toml" or path.with_suffix(".toml").exists() or not path.is_file():
            return None
        if is_parquet(path) or not {ARCHITECTURE, *TASKS} <= set(header_of(path)):
            return None
        with open(path, "rb") as file:
            first = _SYNTAX.search(file.read(_HEAD))
        return MACRO if first and first[1] else MICRO
    except Exception:  # the content may be anything
        return None


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of a file into an empty folder.

    Raises:
        TableFileError: The file is damaged, or holds something else.
    """
    name = recognise(path)
    if name is None:
        raise TableFileError(
            f"{path}: expected the columns {', '.join((ARCHITECTURE, *TASKS))} but it has others."
        )
    space = get_space(name)
    data = read_columns(path, [ARCHITECTURE], list(TASKS), path, space.size)
    place = Rows(str(path), data.place)
    architectures = parsed_architectures(space, data.texts[ARCHITECTURE], place)
    columns = {
        task: Column(
            f"{task}_valid_{measured.quantity}",
            measured.quantity,
            measured.unit,
            True,
            split="valid",
            dataset=task,
            trials=("one training",),
            description=measured.description,
        )
        for task, measured in TASKS.items()
    }
    tasks = {task: Task(column.name, column.name) for task, column in columns.items()}
    info = TableInfo(
        name=options.name or name,
        space=name,
        description=(
            f"TransNAS-Bench-101: {len(architectures):,} {_KINDS[name]}, each trained once for each of "
            f"seven tasks on images of rooms; one validation value at the end of training. No test "
            f"values, no training times, no learning curves."
        ),
        citation=_CITATION,
        licence="MIT",
        objective=tasks["class_object"].objective,
        report=tasks["class_object"].report,
        source=origin(path, path.stem),
        tasks=tasks,
    )
    values = {column: lambda t=task: data.numbers[t] for task, column in columns.items()}
    write_rows(folder, info, architectures, values, place)
    options.progress(len(architectures), len(architectures))


FORMAT = FileFormat(
    name="TransNAS-Bench-101",
    tables={
        name: f"a CSV file of the {kind}: {ARCHITECTURE}, and a value for each of the 7 tasks"
        for name, kind in _KINDS.items()
    },
    recognise=recognise,
    convert=convert,
)
"""The format of both spaces."""
