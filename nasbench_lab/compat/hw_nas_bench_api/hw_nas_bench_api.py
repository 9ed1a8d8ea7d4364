"""The official class ``HWNASBenchAPI``: costs of the cells of NAS-Bench-201 on six devices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nasbench_lab.compat import _sources
from nasbench_lab.compat._errors import OfficialBehaviourWarning, OfficialKeyError, ReadOnlyError
from nasbench_lab.errors import AbsentEntryError, NasbenchLabError, QueryError, TableFileError
from nasbench_lab.tables.table import Table

_SPACE = "nasbench201"
_CLASSES = {"cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
_METRICS = (
    "edgegpu_latency",
    "edgegpu_energy",
    "raspi4_latency",
    "edgetpu_latency",
    "pixel3_latency",
    "eyeriss_latency",
    "eyeriss_energy",
    "eyeriss_arithmetic_intensity",
    "fpga_latency",
    "fpga_energy",
)
_NOT_COMPILED = "edgetpu_latency"
"""Here the official files say -1 if the Edge TPU's compiler refuses a network."""


class HWNASBenchAPI:
    """The API of HW-NAS-Bench.

    Args:
        file_path_or_dict: The official file, which is converted once; or the name, folder or object
            of an imported table; None for the imported table ``"hw-nas-bench"``.
        search_space: ``"nasbench201"``.

    Raises:
        NoFileError: There is no such file or table.
        QueryError: The space is another one.
        TableFileError: The table is of something else.
    """

    def __init__(
        self,
        file_path_or_dict: Table | str | os.PathLike[str] | None = None,
        search_space: str = _SPACE,
    ) -> None:
        if search_space != _SPACE:
            raise QueryError(
                f"Expected the search space {_SPACE!r} but got {search_space!r}; tables do not hold "
                f"the look-up tables of 'fbnet'."
            )
        self.search_space = search_space
        self._table = _sources.open_table(file_path_or_dict, "hw-nas-bench")
        columns = set(self._table.columns)
        self._datasets = [name for name in _CLASSES if f"{name}.edgegpu_latency" in columns]
        if self._table.info.space != "nb201" or not self._datasets:
            raise TableFileError(
                f"Table {self._table.name!r} has no costs of HW-NAS-Bench, so it cannot serve its "
                f"API."
            )
        self._warned = False

    @cached_property
    def HW_metrics(self) -> dict[str, dict[str, dict[str, list[Any]]]]:  # noqa: N802 (the official name)
        """All values: space, data set, metric, and a list by official index."""
        return {_SPACE: {dataset: self._content(dataset) for dataset in self._datasets}}

    @cached_property
    def _columns(self) -> dict[str, list[list[Any]]]:
        """The lists of ``HW_metrics`` in the order of ``_METRICS``, of each data set with all."""
        return {
            dataset: [content[metric] for metric in _METRICS]
            for dataset, content in self.HW_metrics[_SPACE].items()
            if content.keys() >= set(_METRICS)
        }

    @cached_property
    def _configs(self) -> dict[str, list[dict[str, Any]]]:
        return {name: content["config"] for name, content in self.HW_metrics[_SPACE].items()}

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """The row of each official index; -1 for none."""
        table = self._table
        return table.row(table.space.at(np.asarray(table.extra("official_order"))))

    @cached_property
    def _texts(self) -> list[str]:
        space = self._table.space
        return space.to_string(space.at(np.asarray(self._table.extra("official_order"))))

    def _content(self, dataset: str) -> dict[str, list[Any]]:
        content: dict[str, list[Any]] = {}
        for metric in _METRICS:
            if (name := f"{dataset}.{metric}") in self._table.columns:
                values = self._table.trials(name)[self._rows, 0]
                if metric == _NOT_COMPILED:
                    values[np.isnan(values)] = -1
                values[self._rows < 0] = np.nan
                content[metric] = values.tolist()
        networks: Any = self._table.info.details.get("networks", {})
        config = networks.get(dataset) or {
            "name": "infer.tiny",
            "C": 16,
            "N": 5,
            "arch_str": "",
            "num_classes": _CLASSES[dataset],
        }
        content["config"] = [{**config, "arch_str": text} for text in self._texts]
        return content

    def _absent(self, arch_index: int, dataname: str, metrics: Sequence[str]) -> NasbenchLabError:
        """The error for what is not there."""
        by_metric = self.HW_metrics[_SPACE].get(dataname)
        if by_metric is None:
            return OfficialKeyError(
                f"Expected one of {', '.join(self._datasets)} but got {dataname!r}."
            )
        for metric in metrics:
            if metric not in by_metric:
                return OfficialKeyError(f"The file has no {metric!r} for {dataname!r}.")
        n = min(len(by_metric[metric]) for metric in metrics)
        return AbsentIndexError(f"Expected an index from 0 to {n - 1} but got {arch_index}.")

    def _warn(self, arch_index: int) -> None:
        """Says once what an index below 0 is."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"The index {arch_index} counts from the end, as officially. query_index_by_arch "
                f"gives -1 for an unknown architecture: this is not that architecture.",
                OfficialBehaviourWarning,
                stacklevel=3,
            )

    def query_by_index(self, arch_index: int, dataname: str) -> dict[str, float]:
        """The costs of an architecture in ms and mJ.

        Args:
            arch_index: The official index.
            dataname: ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.

        Returns:
            Each metric, and ``average_hw_metric``, which is officially the product of all but the
            arithmetic intensity. ``edgetpu_latency`` is -1 where the network does not compile.

        Raises:
            OfficialKeyError: There is no such data set, or the file lacks a metric.
            AbsentIndexError: There is no such index.
        """
        try:
            values = [column[arch_index] for column in self._columns[dataname]]
        except (KeyError, IndexError):
            raise self._absent(arch_index, dataname, _METRICS) from None
        if arch_index < 0:
            self._warn(arch_index)
        # Written out, it takes half as long; scripts ask in loops. The order is the official one.
        gpu_ms, gpu_mj, raspi_ms, tpu_ms, pixel_ms, ey_ms, ey_mj, intensity, fpga_ms, fpga_mj = (
            values
        )
        product = gpu_ms * gpu_mj * raspi_ms * tpu_ms * pixel_ms * ey_ms * ey_mj * fpga_ms * fpga_mj
        return {
            "edgegpu_latency": gpu_ms,
            "edgegpu_energy": gpu_mj,
            "raspi4_latency": raspi_ms,
            "edgetpu_latency": tpu_ms,
            "pixel3_latency": pixel_ms,
            "eyeriss_latency": ey_ms,
            "eyeriss_energy": ey_mj,
            "eyeriss_arithmetic_intensity": intensity,
            "fpga_latency": fpga_ms,
            "fpga_energy": fpga_mj,
            "average_hw_metric": product,
        }

    def get_net_config(self, arch_index: int, dataname: str) -> dict[str, Any]:
        """The configuration from which the official code builds the network.

        Raises:
            OfficialKeyError: There is no such data set.
            AbsentIndexError: There is no such index.
        """
        try:
            config = self._configs[dataname][arch_index]
        except (KeyError, IndexError):
            raise self._absent(arch_index, dataname, ("config",)) from None
        if arch_index < 0:
            self._warn(arch_index)
        return config.copy()

    def get_op_lookup_tables(self) -> NoReturn:
        """Refuses, as only the space ``fbnet`` has such tables.

        Raises:
            ReadOnlyError: Always.
        """
        raise ReadOnlyError("Only the space 'fbnet' has look-up tables, which no table holds.")


class AbsentIndexError(AbsentEntryError, IndexError):
    """There is no architecture of this index; the official API raises IndexError."""
