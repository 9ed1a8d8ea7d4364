"""The API of the size search space."""

from __future__ import annotations

from nasbench_lab.compat._api import printer
from nasbench_lab.compat.nats_bench._base import NATSBench

ALL_BASE_NAMES = ["NATS-sss-v1_0-50262"]


class NATSsize(NATSBench):
    """The size search space: numbers of channels. Arguments as for ``create``."""

    _search_space_name = "size"
    _full_train_epochs = 90
    _table_name = "nats-sss"
    _space = "nats-sss"
    _base_name = ALL_BASE_NAMES[-1]

    @classmethod
    def _shown_splits(cls, dataset: str) -> list[tuple[str, str]]:
        shown = super()._shown_splits(dataset)
        return [*shown, ("test", "ori-test")] if dataset == "cifar10-valid" else shown


print_information = printer(NATSsize)
