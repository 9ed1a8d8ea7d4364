"""What a training measures, as the columns of tables: what searches see is named alike on both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial

from nasbench_lab.errors import QueryError
from nasbench_lab.tables.columns import Column, Query, TableInfo, found_column, ranges

CLASSIFICATION = {
    "macro_f1": "mean over classes of the F1 score",
    "macro_precision": "mean over classes of the precision",
    "macro_recall": "mean over classes of the recall",
    "top5_accuracy": "how often the right class is among the five with the highest scores",
}
"""What is measured of a split, after each epoch and in per cent, besides accuracy and loss."""

NETWORK = {
    "latency": (
        "ms",
        "median time of repeated passes over a single image, after warm-up, on {where}",
    ),
    "peak_memory": (
        "MB",
        "the most memory that the tensors of one network take in a step of its training, without the "
        "data, on {where}",
    ),
}
"""What is measured of a network that was not trained: unit and description."""

SIZES = {"parameters": "millions", "flops": "millions of multiply-adds for one image"}
"""What is counted of a network."""

ENERGY = "train_energy"
"""The energy of the training up to an epoch, without validation."""

MEASURED = (*NETWORK, ENERGY)
"""What is measured of one network after the other, when nothing else should run."""

METRICS = (*CLASSIFICATION, *MEASURED)
"""What the recipe of a table may ask for besides what every table of ours has."""

_SPLITS = {
    "train": "of the augmented images of the epoch, as they were trained on",
    "valid": "of the validation images, after the epoch",
    "test": "of the test images, after the epoch",
}


def metric_names(splits: Iterable[str], metrics: Collection[str] = CLASSIFICATION) -> set[str]:
    """The names of the columns of metrics of ``CLASSIFICATION``."""
    return {
        f"{split}_{name}"
        for split in splits
        for name in CLASSIFICATION
        if split != "train" and name in metrics
    }


def curve_columns(
    splits: Iterable[str],
    dataset: str,
    seeds: Sequence[int],
    epochs: int,
    metrics: Collection[str] = CLASSIFICATION,
) -> list[Column]:
    """Accuracy, loss and metrics of the splits, for each seed and epoch."""
    column = partial(
        Column, dataset=dataset, trials=tuple(seeds), epochs=tuple(range(1, epochs + 1))
    )
    columns = []
    for split in splits:
        about = _SPLITS[split]
        columns += [
            column(f"{split}_accuracy", "accuracy", "%", True, split, description=about),
            column(f"{split}_loss", "loss", "1", False, split, description=about),
        ]
        if split != "train":
            columns += [
                column(f"{split}_{name}", name, "%", True, split, description=f"{what}, {about}")
                for name, what in CLASSIFICATION.items()
                if name in metrics
            ]
    return columns


def size_columns(dataset: str) -> list[Column]:
    """Parameters and multiply-adds."""
    return [
        Column(name, name, "M", False, dataset=dataset, trials=("exact",), description=about)
        for name, about in SIZES.items()
    ]


def network_columns(
    dataset: str, where: str, epochs: int, metrics: Collection[str] = METRICS
) -> list[Column]:
    """What is measured of a network, and the energy of its training.

    Args:
        dataset: The data set.
        where: On what it is measured.
        epochs: Of a whole training.
        metrics: Which columns are wanted.
    """
    measured = partial(Column, maximize=False, dataset=dataset, trials=("measured",))
    columns = [
        measured(name, name, unit, description=about.format(where=where))
        for name, (unit, about) in NETWORK.items()
        if name in metrics
    ]
    if ENERGY in metrics:
        about = f"energy of training one network up to the epoch, without validation, on {where}"
        last = tuple(range(1, epochs + 1))
        columns.append(measured(ENERGY, ENERGY, "J", epochs=last, description=about))
    return columns


class MeasuredColumns:
    """What real training can answer, asked as a table is.

    Args:
        name: Of the benchmark.
        space: The name of its space.
        columns: What is measured.
        report: What is reported by default; empty if there are no test data.
    """

    def __init__(self, name: str, space: str, columns: Iterable[Column], report: str) -> None:
        self.name = name
        self.info = TableInfo(name, space, "", "", "", "valid_accuracy", report)
        self.columns = {column.name: column for column in columns}

    def column(self, query: Query | str) -> Column:
        """The one column that a query means.

        Raises:
            QueryError: No column or several fit; the message lists the columns.
        """
        return found_column(self.columns, Query.of(query), repr(self.name))

    def check(self, query: Query | str) -> None:
        """Refuses a query that a training cannot answer.

        Raises:
            QueryError: It does not measure that, or not after that epoch, or of one seed alone.
        """
        query = Query.of(query)
        column = self.column(query)
        if query.epoch is not None and query.epoch not in (column.epochs or ()):
            holds = f"epochs {ranges(column.epochs)}" if column.epochs else "one value"
            raise QueryError(
                f"{column.name!r} of {self.name!r} has {holds}, not epoch {query.epoch}."
            )
        if query.trial != "mean":
            raise QueryError(
                f"{self.name!r} answers with the mean over its seeds, not with the trial "
                f"{query.trial!r}."
            )
