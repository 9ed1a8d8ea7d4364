"""The common part of the drop-ins for ``nats_bench`` and ``nas_201_api``: queries by official index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from nasbench_lab.compat._errors import ReadOnlyError
from nasbench_lab.compat._held import remap_dataset_set_names
from nasbench_lab.compat._records import ArchResults
from nasbench_lab.compat._trials import Trials
from nasbench_lab.errors import QueryError

__all__ = ["MetaAPI", "printer", "refuse_reload", "remap_dataset_set_names"]


class MetaAPI(Trials):
    """An API with the methods of the official ``NASBenchMetaAPI``; arguments as for ``Held``."""

    def query_by_arch(self, arch: Any, hp: str) -> str | None:
        """The older name of ``query_info_str_by_arch``."""
        return self.query_info_str_by_arch(arch, hp)

    def query_info_str_by_arch(self, arch: Any, hp: str = "12") -> str | None:
        """A text about an architecture with a schedule; None if it has no record."""
        self._say(f"Call query_info_str_by_arch with arch={arch} and hp={hp}")
        index = self._index(arch)
        self._prepare_info(index)
        if index not in self._loaded_rows:
            self._not_evaluated(index)
            return None
        if hp not in self._schedules(index):
            raise QueryError(self._wrong_hp(index, hp))
        return "\n".join(self.describe(self._results(index, hp), f"arch-index={index}"))

    def _not_evaluated(self, index: int) -> None:
        raise NotImplementedError

    @classmethod
    def describe(cls, results: ArchResults, extra: str | None = None) -> list[str]:
        """The lines of the official text about the results with one schedule."""
        names = results.get_dataset_names()
        lines = [results.arch_str, f"datasets : {names}, extra-info : {extra}"]
        for dataset in names:
            costs = results.get_compute_costs(dataset)
            latency = costs["latency"]
            shown = f"{latency * 1000:.2f}" if latency is not None and latency > 0 else None
            lines.append(
                f"{dataset:14s} FLOP={costs['flops']:6.2f} M, Params={costs['params']:.3f} MB, "
                f"latency={shown} ms."
            )
            parts = []
            for label, setname in [("train", "train"), *cls._shown_splits(dataset)]:
                info = results.get_metrics(dataset, setname)
                text = cls._metric_text.format(loss=info["loss"], accuracy=info["accuracy"])
                parts.append(f"{label} : [{text}]")
            lines.append(f"{dataset:14s} {', '.join(parts)}")
        return lines

    _metric_text: ClassVar[str]

    @classmethod
    def _shown_splits(cls, dataset: str) -> list[tuple[str, str]]:
        if dataset == "cifar10-valid":
            return [("valid", "x-valid")]
        if dataset == "cifar10":
            return [("test ", "ori-test")]
        return [("valid", "x-valid"), ("test", "x-test")]

    def show(self, index: int = -1) -> None:
        """Prints the results of an architecture, or of all that were loaded."""
        if index >= len(self):
            print(f"This index ({index}) is out of range (0~{len(self)}).")
            return
        if index >= 0:
            if index not in self.evaluated_indexes:
                self._prepare_info(index)
            if index not in self.evaluated_indexes:
                print(f"The {index}-th architecture has not been evaluated or not saved.")
            else:
                self._show_one(index)
            return
        print(self)
        indexes = sorted(self.evaluated_indexes)
        for i, number in enumerate(indexes):
            print(
                f"\n{'-' * 10} The ({i:5d}/{len(indexes):5d}) {number:06d}-th architecture! {'-' * 10}"
            )
            print(f"arch : {self._records.string(number)}")
            self._show_one(number)

    def _show_one(self, index: int) -> None:
        for hp in self._schedules(index):
            results = self._results(index, hp)
            print(f"{'>' * 40} {results.get_total_epoch():03d} epochs {'>' * 40}")
            print("\n".join(self.describe(results)))
        print(f"{'<' * 40}------------{'<' * 40}")


def printer(api: type[MetaAPI]) -> Callable[..., list[str]]:
    """The official function ``print_information`` of an API."""

    def print_information(
        information: ArchResults, extra_info: str | None = None, show: bool = False
    ) -> list[str]:
        """The lines of the official text about the results with one schedule."""
        lines = api.describe(information, extra_info)
        if show:
            print("\n".join(lines))
        return lines

    return print_information


def refuse_reload(*_: object) -> NoReturn:
    """Refuses, as the source of an API is fixed when it is made."""
    raise ReadOnlyError(
        "An API over an imported table reads from that table only. To read another archive, make a "
        "new API from its path."
    )
