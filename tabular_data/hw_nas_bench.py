"""HW-NAS-Bench: costs of the cells of NAS-Bench-201 on six devices.

Li, Yu, Fu, Zhang, Zhao, You, Yu, Wang and Lin, "HW-NAS-Bench: Hardware-aware neural architecture
search benchmark", ICLR 2021 (arXiv 2103.10584). MIT. Read from ``HW-NAS-Bench-v1_0.pickle``, part
``nasbench201``; the part ``fbnet`` is left alone.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.errors import InvalidArchitectureError, TableFileError
from nasbench_lab.files import sha256
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.pickles.reader import CONTAINERS, NUMBERS, read_pickle
from nasbench_lab.tables.sources import FileFormat, ImportOptions
from nasbench_lab.tables.table import Table

OFFICIAL_FILE = "HW-NAS-Bench-v1_0.pickle"
NAME = "hw-nas-bench"
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")

# (unit, method, description). The authors state ms and mJ, but no unit for the arithmetic intensity.
# Its values (0.98 to 27.6 on CIFAR-10) fit operations per byte: with numbers of 8 bits or more, no
# layer reaches 27 operations per bit.
METRICS = {
    "edgegpu_latency": ("ms", "measured", "on an NVIDIA Jetson TX2"),
    "edgegpu_energy": ("mJ", "measured", "on an NVIDIA Jetson TX2"),
    "raspi4_latency": ("ms", "measured", "on a Raspberry Pi 4"),
    "edgetpu_latency": ("ms", "measured", "on a Google Edge TPU; none where it does not compile"),
    "pixel3_latency": ("ms", "measured", "on a Google Pixel 3"),
    "eyeriss_latency": ("ms", "estimated", "of the accelerator Eyeriss"),
    "eyeriss_energy": ("mJ", "estimated", "of the accelerator Eyeriss"),
    "eyeriss_arithmetic_intensity": ("ops/byte", "estimated", "of the accelerator Eyeriss"),
    "fpga_latency": ("ms", "measured", "on a Xilinx ZC706"),
    "fpga_energy": ("mJ", "measured", "on a Xilinx ZC706"),
}

# This value replaces a latency if the Edge TPU's compiler refuses the network; see
# GATECH-EIC/HW-NAS-Bench, issue 11.
_NOT_COMPILED = {"edgetpu_latency": -1}

_CITATION = """@inproceedings{li2021hwnasbench,
  title = {{HW-NAS-Bench}: Hardware-Aware Neural Architecture Search Benchmark},
  author = {Li, Chaojian and Yu, Zhongzhi and Fu, Yonggan and Zhang, Yongan and Zhao, Yang and
            You, Haoran and Yu, Qixuan and Wang, Yue and Lin, Yingyan},
  booktitle = {International Conference on Learning Representations},
  year = {2021}
}"""

_KEYS = (b"nasbench201", b"edgegpu_latency")
_CHUNK, _SEARCHED = 1 << 20, 1 << 26


def recognise(path: Path) -> str | None:
    """Names the table if the file is a pickle with the benchmark's keys."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb") as file:
            chunk = file.read(_CHUNK)
            if chunk[:1] not in (b"\x80", b"(", b"}"):  # a protocol, or a dict of old protocols
                return None
            wanted, tail = set(_KEYS), b""
            while chunk and wanted and file.tell() <= _SEARCHED:
                wanted -= {key for key in wanted if key in tail + chunk}
                tail, chunk = chunk[-len(max(_KEYS, key=len)) :], file.read(_CHUNK)
            return None if wanted else NAME
    except (OSError, ValueError):
        return None


def convert(path: Path, folder: Path, options: ImportOptions) -> None:
    """Writes the table of an official file into an empty folder.

    Row ``i`` is the architecture of official index ``i``, by the file's own ``arch_str``.

    Raises:
        TableFileError: The file is damaged, hostile, or holds something else.
    """
    content = read_pickle(path, {**NUMBERS, **CONTAINERS})
    part = content.get("nasbench201") if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise TableFileError(
            f"{path}: expected a dict with the key 'nasbench201', as in {OFFICIAL_FILE}, but got "
            f"{_short(content)}."
        )
    records: dict[str, Any] = {dataset: part.get(dataset) for dataset in DATASETS}
    for dataset, metrics in records.items():
        if not isinstance(metrics, dict):
            raise TableFileError(
                f"{path}: expected a dict of metrics for {dataset!r} in 'nasbench201' but got "
                f"{_short(metrics)}."
            )
    space = get_space("nb201")
    official_order = _official_order(path, records)
    n = len(official_order)
    row_of_index = np.full(space.size, -1, dtype=np.int32)
    row_of_index[official_order] = np.arange(n)

    missing = []
    if n < space.size:
        missing.append(f"{space.size - n:,} of the {space.size:,} cells are not in the file.")
    columns: dict[Column, Any] = {}
    for dataset, metrics in records.items():
        for metric, (unit, how, description) in METRICS.items():
            if metric not in metrics:  # the README of the first release prints nine of the ten
                missing.append(f"The file has no {metric} for {dataset}.")
                continue
            column = Column(
                f"{dataset}.{metric}",
                metric,
                unit,
                maximize=metric == "eyeriss_arithmetic_intensity",
                dataset=dataset,
                trials=(how,),
                description=description,
            )
            columns[column] = _numbers(path, dataset, metric, metrics[metric], n)
            if absent := int(np.isnan(columns[column]).sum()):
                missing.append(f"{column.name} has no value for {absent:,} of the {n:,} cells.")
            options.progress(len(columns), len(DATASETS) * len(METRICS))
    objective = "cifar10.edgegpu_latency"
    if objective not in {column.name for column in columns}:
        raise TableFileError(f"{path}: 'nasbench201' has no edgegpu_latency for 'cifar10'.")
    digest = sha256(path)
    info = TableInfo(
        name=options.name or NAME,
        space="nb201",
        description=(
            f"HW-NAS-Bench: latency and energy of {n:,} cells of NAS-Bench-201 in its networks for "
            f"three data sets, on an edge GPU, a Raspberry Pi 4, an Edge TPU, a Pixel 3 and an "
            f"FPGA (measured) and on the accelerator Eyeriss (estimated). It holds no accuracy: "
            f"the same latency is searched on and reported. Its columns are meant to be added to a "
            f"table of accuracies over the same space."
        ),
        citation=_CITATION,
        licence="MIT",
        objective=objective,
        report=objective,
        source={
            "version": f"{path.name} {digest[:8]}",
            "file": path.name,
            "sha256": digest,
            "bytes": path.stat().st_size,
        },
        missing=tuple(missing),
        details={"networks": {name: _configuration(part) for name, part in records.items()}},
        joins=("nats-tss", "nas-bench-201"),
    )
    Table.write(
        folder,
        info,
        columns,
        row_of_index,
        extra={"official_order": official_order},
        place=lambda row: f"{path}, record {row}",
    )


def _official_order(path: Path, records: dict[str, Any]) -> NDArray[np.int64]:
    """``(n,)`` indices in the space, by official index; the data sets must agree about them."""
    space = get_space("nb201")
    order: dict[int, int] = {}
    first = DATASETS[0]
    texts = _architectures(path, first, records[first])
    for other in DATASETS[1:]:
        others = _architectures(path, other, records[other])
        if len(others) != len(texts):
            raise TableFileError(
                f"{path}: 'config' has {len(texts):,} records for {first!r} but {len(others):,} "
                f"for {other!r}."
            )
        for index, (text, its) in enumerate(zip(texts, others, strict=True)):
            if text != its:
                raise TableFileError(
                    f"{path}: record {index} of 'config' is {reprlib.repr(text)} for {first!r} but "
                    f"{reprlib.repr(its)} for {other!r}."
                )
    for index, text in enumerate(texts):
        try:
            place = space.index(space.from_string(text))
        except InvalidArchitectureError as error:
            raise TableFileError(
                f"{path}: record {index} of 'config' of {first!r} is no cell: {str(error)[:300]}"
            ) from error
        if place in order:
            raise TableFileError(
                f"{path}: records {order[place]} and {index} of 'config' are both {text}."
            )
        order[place] = index
    return np.fromiter(order, dtype=np.int64)


def _configuration(metrics: dict[str, Any]) -> dict[str, Any]:
    """What all networks of a data set have in common beside their ``arch_str``.

    It is empty if they differ, or have more than a few words and numbers.
    """
    first, *others = ({**config, "arch_str": ""} for config in metrics["config"])
    plain = len(first) <= 20 and all(
        type(key) is str and type(value) in (str, int, float) and len(str(value)) <= 1000
        for key, value in first.items()
    )
    return first if plain and all(one == first for one in others) else {}


def _architectures(path: Path, dataset: str, metrics: dict[str, Any]) -> list[str]:
    configs = metrics.get("config")
    if not isinstance(configs, list | tuple) or not configs:
        raise TableFileError(
            f"{path}: expected a list of networks as 'config' of {dataset!r} but got "
            f"{_short(configs)}."
        )
    texts: list[str] = []
    for index, config in enumerate(configs):
        text = config.get("arch_str") if isinstance(config, dict) else None
        if not isinstance(text, str):
            raise TableFileError(
                f"{path}: expected a dict with the text 'arch_str' as record {index} of 'config' "
                f"of {dataset!r} but got {_short(config)}."
            )
        texts.append(text)
    return texts


def _numbers(path: Path, dataset: str, metric: str, content: object, n: int) -> NDArray[np.float64]:
    """``(n,)`` values by official index; NaN for a missing value."""
    if not isinstance(content, list | tuple):
        raise TableFileError(
            f"{path}: expected a list of numbers as {metric!r} of {dataset!r} but got "
            f"{_short(content)}."
        )
    if len(content) != n:
        raise TableFileError(
            f"{path}: {metric!r} of {dataset!r} has {len(content):,} records for {n:,} networks."
        )
    result = np.full(n, np.nan)
    refused = _NOT_COMPILED.get(metric)
    for index, value in enumerate(content):
        if value is None or (type(value) is float and value != value):
            continue
        # The upper bound refuses infinity, and whole numbers that are too large for a float.
        if type(value) not in (int, float) or not (0 <= value < 1e300 or value == refused):
            raise TableFileError(
                f"{path}: expected a number, not negative, as record {index} of {metric!r} of "
                f"{dataset!r} but got {_short(value)}."
            )
        if value != refused:
            result[index] = value
    return result


def _short(value: object) -> str:
    return f"{reprlib.repr(value)[:200]} ({type(value).__name__})"


FORMAT = FileFormat(
    name="HW-NAS-Bench",
    tables={NAME: OFFICIAL_FILE},
    recognise=recognise,
    convert=convert,
    official=(OFFICIAL_FILE,),
)
"""The one file."""
