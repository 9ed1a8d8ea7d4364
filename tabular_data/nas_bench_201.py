"""NAS-Bench-201, from its ``.pth`` files, which are read without PyTorch.

Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible neural architecture search", ICLR
2020 (arXiv 2001.00326).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nasbench_lab.tables.columns import TableInfo
from nasbench_lab.tables.pickles.reader import errors_of
from nasbench_lab.tables.pickles.torch_files import torch_pickle
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from tabular_data._nats_collector import Collector
from tabular_data._nats_tables import note, tasks
from tabular_data._origins import origin
from tabular_data._spool import Spool
from tabular_data.nats_bench import collected, records_of, single

_NAMES = {"less": "12", "full": "200"}
"""The names of the schedules in the file."""

_CITATION = """@inproceedings{dong2020nasbench201,
  title = {{NAS-Bench-201}: Extending the Scope of Reproducible Neural Architecture Search},
  author = {Dong, Xuanyi and Yang, Yi},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}"""


def recognise(path: Path) -> str | None:
    """The table that a file holds."""
    try:
        if path.is_dir():
            return None
        with torch_pickle(path) as (_, stream):
            head = stream.read(1 << 20)
    except Exception:  # the content may be anything
        return None
    return single(head, "nas-bench-201", None)


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of a file into an empty folder."""
    with Spool(folder.parent) as spool:
        with errors_of(path), torch_pickle(path) as (file, stream):
            whole = records_of(stream, path, options, file.tell, spool, _NAMES)
        with collected(whole, spool, "nb201", path, folder) as collector:
            _write(collector, path, folder, options)


def _write(collector: Collector, path: Path, folder: Path, options: ImportOptions) -> None:
    def info(draft: TableInfo) -> TableInfo:
        return replace(
            draft,
            name=options.name or "nas-bench-201",
            description=(
                f"NAS-Bench-201: accuracies, losses and times after each epoch of 15,625 cells on "
                f"CIFAR-10, CIFAR-100 and ImageNet16-120. {note(options.curves)}"
            ),
            citation=_CITATION,
            licence="MIT",
            source=origin(path, path.stem),
            clock="official",
            **tasks(collector, ("12", "200")),
        )

    collector.write(folder, info, path)


FORMAT = FileFormat(
    name="NAS-Bench-201",
    tables={"nas-bench-201": "NAS-Bench-201-v1_1-096897.pth or NAS-Bench-201-v1_0-e61699.pth"},
    recognise=recognise,
    convert=convert,
    official=("NAS-Bench-201-v1_1-096897.pth", "NAS-Bench-201-v1_0-e61699.pth"),
)
"""The format of NAS-Bench-201."""
