"""The official classes of results. Means are NumPy numbers, other than in ``nats_bench``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from nasbench_lab.compat import _records, _results_count
from nasbench_lab.compat._api import MetaAPI as NASBenchMetaAPI
from nasbench_lab.compat._api import remap_dataset_set_names
from nasbench_lab.compat._errors import OfficialAssertionError, OfficialKeyError, ReadOnlyError
from nasbench_lab.compat._pickles import torch_load

__all__ = ["ArchResults", "NASBenchMetaAPI", "ResultsCount", "remap_dataset_set_names"]


class ResultsCount(_results_count.ResultsCount):
    """One trial: the training of an architecture with one seed. Means are NumPy numbers."""

    __slots__ = ()

    _epoch_error = OfficialAssertionError
    _time_error = OfficialKeyError
    _twice_error = OfficialAssertionError

    @staticmethod
    def mean(values: Sequence[Any]) -> Any:
        """The mean as a NumPy number."""
        return np.mean(values)

    @staticmethod
    def total(values: Sequence[Any]) -> Any:
        """The sum as a NumPy number."""
        return np.sum(values)


class ArchResults(_records.ArchResults):
    """All trials of an architecture with one schedule."""

    results_class = ResultsCount
    _state_error = OfficialAssertionError

    @staticmethod
    def _load(path: str) -> Any:
        """The content of a file that ``torch.save`` has written; weights become None."""
        return torch_load(path)

    def _agreed(self, costs: list[float], seeds: list[int]) -> list[float]:
        return costs  # this API has no correction of costs that differ between trials

    def show(self, is_print: bool = False) -> NoReturn:
        """Fails, as it does officially."""
        raise ReadOnlyError("Use the API's show or query_info_str_by_arch instead.")
