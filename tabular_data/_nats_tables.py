"""What the tables of NATS-Bench's form are called, hold and let a search see.

NAS-Bench-360 (Tu, Roberts, Khodak, Shen, Sala and Talwalkar, NeurIPS 2022, arXiv 2110.05668) has all
cells of NAS-Bench-201 on two data sets of its own, in files of this form (rtu715/NAS-Bench-360,
``precompute``).
"""

from __future__ import annotations

from typing import Any

from nasbench_lab.tables.columns import Task
from tabular_data._nats_collector import Collector
from tabular_data._nats_records import KEYS, SCORES
from tabular_data.nas_bench_macro import ON_TEST

ELSEWHERE = {
    "ninapro": ("nas-bench-360-ninapro", "gestures told by muscles' signals (NinaPro DB5)"),
    "darcyflow": (
        "nas-bench-360-darcyflow",
        "solutions of a differential equation (Darcy flow), as relative L2 errors, here the losses",
    ),
}
"""The table of a data set of NAS-Bench-360, and the data set in words."""

_CITATION = """@article{dong2022natsbench,
  title = {{NATS-Bench}: Benchmarking {NAS} Algorithms for Architecture Topology and Size},
  author = {Dong, Xuanyi and Liu, Lu and Musial, Katarzyna and Gabrys, Bogdan},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {44},
  number = {7},
  pages = {3634--3646},
  year = {2022}
}"""

_CITATION_360 = """@inproceedings{tu2022nasbench360,
  title = {{NAS-Bench-360}: Benchmarking Neural Architecture Search on Diverse Tasks},
  author = {Tu, Renbo and Roberts, Nicholas and Khodak, Mikhail and Shen, Junhong and Sala, Frederic
            and Talwalkar, Ameet},
  booktitle = {Advances in Neural Information Processing Systems, Datasets and Benchmarks},
  year = {2022}
}"""


def named(table: str, head: bytes) -> str:
    """The table of a file of cells by the first bytes of its records.

    Args:
        table: The table of NATS-Bench.
        head: Bytes of the file that name its data sets.
    """
    found = (name for key, (name, _) in ELSEWHERE.items() if key.encode() in head)
    return next(found, table) if table == "nats-tss" else table


def described(collector: Collector, table: str, what: str, curves: bool) -> dict[str, str]:
    """Name, description and citation of a table.

    Args:
        collector: What the file holds.
        table: The table of NATS-Bench.
        what: Its architectures, in words.
        curves: Whether the table has curves.
    """
    own = [ELSEWHERE[key] for key in collector.datasets if key in ELSEWHERE]
    if not own or set(collector.datasets).intersection(KEYS):
        return {
            "name": table,
            "description": (
                f"NATS-Bench, {what}: accuracies, losses and times after each epoch on CIFAR-10, "
                f"CIFAR-100 and ImageNet16-120. {note(curves)}"
            ),
            "citation": _CITATION,
        }
    return {
        "name": own[0][0],
        "description": (
            f"NAS-Bench-360, {what} on {' and '.join(text for _, text in own)}. The file has one set "
            f"of data besides the training data. It names them after the test data, and its authors' "
            f"guide after the validation data, so nothing says how well what is found generalises: a "
            f"search names the task that ends in {ON_TEST}. {note(curves)}"
        ),
        "citation": f"{_CITATION_360}\n\n{_CITATION}",
    }


def note(curves: bool) -> str:
    """A note for users of either benchmark."""
    text = (
        "Each schedule is a training of its own: the end of the 12-epoch schedule is not epoch 12 "
        "of a longer one. The times are the authors' estimates, the same in every epoch. Missing "
        "trials are missing."
    )
    return text if curves else f"{text} Imported without curves: only what was reached in the end."


def tasks(collector: Collector, schedules: tuple[str, str]) -> dict[str, Any]:
    """Objective, report and tasks of a table, as far as the file has them.

    As in the papers, a search sees the validation accuracy of a short schedule, and results are
    reported by the test accuracy of the longest, which on CIFAR-10 was trained on train and validation
    data. Of another data set with ``ori-test`` alone, a search sees that if it names the task.
    """
    short, long = schedules
    columns = collector.columns()
    task_by_dataset = {}
    for key, trained in KEYS.items():
        reports = {
            "cifar10-valid": ("cifar10.{}.ori-test.accuracy", "cifar10-valid.{}.ori-test.accuracy")
        }.get(key, (f"{key}.{{}}.x-test.accuracy",))
        objectives = [f"{key}.{s}.x-valid.accuracy" for s in (short, long)]
        told = [report.format(s) for report in reports for s in (long, short)]
        objective = next((name for name in objectives if name in columns), None)
        report = next((name for name in told if name in columns), None)
        if "x-valid" in trained.splits and objective and report:
            task_by_dataset[trained.dataset] = Task(objective, report)
    # A file without these columns can be queried, but a search needs a named objective.
    first = next(iter(task_by_dataset.values()), Task("", ""))
    for key in collector.datasets:
        what = "loss" if key in SCORES else "accuracy"
        ends = [f"{key}.{s}.ori-test.{what}" for s in (long, short)]
        alone = not any(f"{key}.{s}.x-valid.{what}" in columns for s in schedules)
        if key not in KEYS and alone and (end := next((e for e in ends if e in columns), None)):
            task_by_dataset[f"{key}-{ON_TEST}"] = Task(end, end)
    return {"objective": first.objective, "report": first.report, "tasks": task_by_dataset}
