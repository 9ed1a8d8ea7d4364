"""TransNAS-Bench-101: two spaces of networks, each trained for seven tasks on images of rooms.

Duan, Chen, Xu, Chen, Liang, Zhang and Li, "TransNAS-Bench-101: Improving transferability and
generalizability of cross-task neural architecture search", CVPR 2021 (arXiv 2105.11871). MIT.

Read from the official ``transnas-bench_v10141024.pth``, which holds both spaces and the values after
each epoch. Or from a CSV file of one space, with the architectures in the benchmark's syntax in the
column ``architecture``, and a column of validation values at the end of training for each task.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import TableFileError
from nasbench_lab.spaces import SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo, Task
from nasbench_lab.tables.rows import Rows, write_rows
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from tabular_data._csv_columns import header_of, is_parquet, parsed_architectures, read_columns
from tabular_data._origins import origin
from tabular_data._transnas_records import SYNTAX, is_official, read_records

Floats = NDArray[np.float64]

MICRO, MACRO = "transnas-micro", "transnas-macro"
"""The names of the spaces, and of their tables."""

OFFICIAL_FILE = "transnas-bench_v10141024.pth"
ARCHITECTURE = "architecture"

TASKS = {
    "class_object": ("accuracy", "Which of 75 objects there are: top-1 accuracy."),
    "class_scene": ("accuracy", "Which of 47 scenes it is: top-1 accuracy."),
    "room_layout": ("negative_loss", "The layout of a room: minus the loss."),
    "jigsaw": ("accuracy", "Which of 1,000 orders 9 pieces are in: top-1 accuracy."),
    "segmentsemantic": ("accuracy", "Which of 17 classes a pixel is of: accuracy over pixels."),
    "normal": ("ssim", "Surface normals: structural similarity."),
    "autoencoder": ("ssim", "The image itself: structural similarity."),
}
"""For each task the quantity that its networks are judged by, and what that is."""


class Quantity(NamedTuple):
    """A quantity that was measured.

    Args:
        name: Its name here.
        unit: Its unit.
        maximize: Whether more is better.
    """

    name: str
    unit: str
    maximize: bool = True


QUANTITIES = {
    "top1": Quantity("accuracy", "%"),
    "top5": Quantity("top5_accuracy", "%"),
    "acc": Quantity("accuracy", "%"),
    "mIoU": Quantity("mean_iou", "%"),
    "ssim": Quantity("ssim", "1"),
    "neg_loss": Quantity("negative_loss", "1"),
    "loss": Quantity("loss", "1", False),
    "l1_loss": Quantity("l1_loss", "1", False),
}
"""Quantities by their official names, which come after the split as in ``valid_top1``."""

SPLITS = ("train", "valid", "test")

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


def recognise(path: Path) -> str | None:
    """Names a table of the official file, or that of a CSV file with a column for each task.

    A CSV file with a mapping file of the user's beside it is left to that.
    """
    if is_official(path):
        return MICRO
    try:
        if path.suffix == ".toml" or path.with_suffix(".toml").exists() or not path.is_file():
            return None
        if is_parquet(path) or not {ARCHITECTURE, *TASKS} <= set(header_of(path)):
            return None
        with open(path, "rb") as file:
            first = SYNTAX.search(file.read(_HEAD).decode("latin1"))
        return MACRO if first and first[1] == "basic" else MICRO
    except Exception:  # the content may be anything
        return None


class _Content(NamedTuple):
    """What a file holds of a space.

    Args:
        texts: The architectures, ``n``.
        place: Names a row.
        columns: Columns and their values, ``(n, epochs)``.
        description: What was measured, and what not.
        missing: What of the file is not kept, or not there.
    """

    texts: list[str]
    place: Rows
    columns: dict[Column, Floats]
    description: str
    missing: tuple[str, ...] = ()


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of a file into an empty folder.

    The official file holds both spaces; of these, the name of the table says which: the networks if
    it ends in ``transnas-macro``, else the cells.

    Raises:
        TableFileError: The file is damaged, or holds something else.
    """
    name, official = recognise(path) or MICRO, is_official(path)
    if official and options.name and options.name.endswith(MACRO):
        name = MACRO
    if options.name in _KINDS and options.name != name:
        raise TableFileError(f"{path} is of {_KINDS[name]}: expected the name {name} or another.")
    space = get_space(name)
    content = (_of_official if official else _of_csv)(path, space, options)
    architectures = parsed_architectures(space, content.texts, content.place)
    held = {column.name for column in content.columns}
    tasks = {}
    for task, (quantity, _) in TASKS.items():
        valid, test = f"{task}_valid_{quantity}", f"{task}_test_{quantity}"
        if valid not in held:
            raise TableFileError(f"{path}: it has no validation values of {quantity} for {task!r}.")
        tasks[task] = Task(valid, test if test in held else valid)
    info = TableInfo(
        name=options.name or name,
        space=name,
        description=(
            f"TransNAS-Bench-101: {len(architectures):,} {_KINDS[name]}, each trained once for each of "
            f"seven tasks on images of rooms. {content.description}"
        ),
        citation=_CITATION,
        licence="MIT",
        objective=tasks["class_object"].objective,
        report=tasks["class_object"].report,
        source=origin(path, path.stem),
        tasks=tasks,
        missing=content.missing,
    )
    values = {column: partial(np.asarray, one) for column, one in content.columns.items()}
    write_rows(folder, info, architectures, values, content.place)
    options.progress(len(architectures), len(architectures))


def _column(
    task: str, split: str, quantity: Quantity, epochs: tuple[int, ...] | None = None
) -> Column:
    judged, description = TASKS[task]
    return Column(
        f"{task}_{split}_{quantity.name}",
        quantity.name,
        quantity.unit,
        quantity.maximize,
        split=split,
        dataset=task,
        trials=("one training",),
        epochs=epochs,
        description=description if judged == quantity.name else "",
    )


def _of_csv(path: Path, space: SearchSpace, _: ImportOptions) -> _Content:
    data = read_columns(path, [ARCHITECTURE], list(TASKS), path, space.size)
    quantities = {quantity.name: quantity for quantity in QUANTITIES.values()}
    return _Content(
        data.texts[ARCHITECTURE],
        Rows(str(path), data.place),
        {
            _column(task, "valid", quantities[judged]): data.numbers[task]
            for task, (judged, _) in TASKS.items()
        },
        "One validation value at the end of training. No test values, no training times, no learning "
        "curves.",
    )


def _of_official(path: Path, space: SearchSpace, options: ImportOptions) -> _Content:
    metrics = {f"{s}_{name}": (s, one) for s in SPLITS for name, one in QUANTITIES.items()}
    kind = "macro" if space.name == MACRO else "micro"
    records = read_records(path, kind, frozenset(metrics), options)
    texts, columns, missing = list(records), {}, [_LEFT_OUT]
    for task in TASKS:
        curves = [records[text].get(task, {}) for text in texts]
        lengths = {len(values) for one in curves for values in one.values()}
        if len(lengths) > 1:
            raise TableFileError(
                f"{path}: expected as many epochs of {task!r} for all architectures but got "
                f"{', '.join(map(str, sorted(lengths)))}."
            )
        if absent := sum(not one for one in curves):
            missing.append(
                f"{task} has no values for {absent:,} of the {len(texts):,} architectures."
            )
        for metric, (split, quantity) in metrics.items():
            if not any(metric in one for one in curves):
                continue
            (n,) = lengths
            values = np.full((len(texts), n), np.nan)
            for row, one in enumerate(curves):
                values[row] = one.get(metric, np.nan)
            epochs = tuple(range(1, n + 1)) if options.curves else (n,)
            columns[_column(task, split, quantity, epochs)] = values[:, -len(epochs) :]
    return _Content(
        texts,
        Rows(str(path), lambda row: f"record {texts[row]}"),
        columns,
        f"Values {'after each epoch' if options.curves else 'at the end'} on training, validation and "
        f"test data.",
        tuple(missing),
    )


_LEFT_OUT = (
    "Times, parameters and FLOPs are left out, as neither the file nor its authors' API has their "
    "units."
)

_CSV = "or a CSV file with a column for each of the 7 tasks"

FORMAT = FileFormat(
    name="TransNAS-Bench-101",
    tables={
        MICRO: f"{OFFICIAL_FILE}, {_CSV}",
        MACRO: f"{OFFICIAL_FILE} (with --name {MACRO}), {_CSV}",
    },
    recognise=recognise,
    convert=convert,
    official=(OFFICIAL_FILE,),
)
"""The format of both spaces."""
