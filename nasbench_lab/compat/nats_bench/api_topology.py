"""The API of the topology search space."""

from __future__ import annotations

from typing import Any

from nasbench_lab.compat._api import printer
from nasbench_lab.compat._cells import CellStrings
from nasbench_lab.compat.nats_bench._base import NATSBench
from nasbench_lab.spaces.nb201 import unique_string

ALL_BASE_NAMES = ["NATS-tss-v1_0-3ffb9"]


class NATStopology(NATSBench, CellStrings):
    """The topology search space: cells. Arguments as for ``create``."""

    _search_space_name = "topology"
    _full_train_epochs = 200
    _table_name = "nats-tss"
    _space = "nb201"
    _base_name = ALL_BASE_NAMES[-1]

    def get_unique_str(self, arch: Any) -> str:
        """A string that is equal for cells that are isomorphic by the paper's method."""
        return unique_string(
            self._records.table.space.from_string(self[self.query_index_by_arch(arch)])
        )


print_information = printer(NATStopology)
