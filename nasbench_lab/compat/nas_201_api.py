"""Drop-in replacement for the package ``nas_201_api`` (``nas-bench-201`` 2.1), without PyTorch.

There are three differences. An API reads a converted table, so it cannot reload archives.
``show(-1)``, which fails officially, works. An unknown schedule or a missing record is a
``ValueError``; the official code fails with an undefined name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nasbench_lab.compat import _records, _sources
from nasbench_lab.compat._api import MetaAPI, refuse_reload
from nasbench_lab.compat._cells import CellStrings
from nasbench_lab.compat._errors import OfficialAssertionError, OfficialKeyError, ReadOnlyError
from nasbench_lab.compat._sources import KEYS, Opened, Source
from nasbench_lab.errors import MissingSourceError, QueryError, TableFileError
from nasbench_lab.tables.table import Table

__all__ = ["ArchResults", "NASBench201API", "ResultsCount"]

NAS_BENCH_201_API_VERSION = "v2.0"
ALL_BENCHMARK_FILES = ["NAS-Bench-201-v1_0-e61699.pth", "NAS-Bench-201-v1_1-096897.pth"]

_SCHEDULES = ("12", "200")


class ResultsCount(_records.ResultsCount):
    """One trial: the training of an architecture with one seed. Means are NumPy numbers."""

    __slots__ = ()

    _epoch_error = OfficialAssertionError
    _time_error = OfficialKeyError

    @staticmethod
    def mean(values: Sequence[Any]) -> Any:
        """The mean as a NumPy number."""
        return np.mean(values)


class ArchResults(_records.ArchResults):
    """All trials of an architecture with one schedule: a view of the table."""

    results_class = ResultsCount

    def _agreed(self, costs: list[float], seeds: list[int]) -> list[float]:
        return costs  # this API has no correction of costs that differ between trials

    def show(self, is_print: bool = False) -> NoReturn:
        """Fails, as it does officially."""
        raise ReadOnlyError("Use the API's show or query_info_str_by_arch instead.")


class _NoFileAssertionError(MissingSourceError, OfficialAssertionError):
    """There is no file of this path, and no table of this name."""


class NASBench201API(MetaAPI, CellStrings):
    """The API of NAS-Bench-201.

    Args:
        file_path_or_dict: An official ``.pth`` file; the name, folder or object of an imported
            table; a dictionary in the official form; or None for the imported table
            ``"nas-bench-201"``, else the official file in ``$TORCH_HOME``.
        verbose: Whether each call is printed.
    """

    _results_class = ArchResults
    _index_error = OfficialAssertionError
    _metric_text = "loss = {loss:.3f}, top1 = {accuracy:.2f}%"
    _falls_back = False

    def __init__(self, file_path_or_dict: Source = None, verbose: bool = True) -> None:
        opened = self._open(file_path_or_dict, verbose)
        if opened.table.info.space != "nb201":
            raise TableFileError(
                f"{opened.table.name!r} is a table over {opened.table.info.space!r}, where "
                f"NASBench201API needs one over 'nb201'."
            )
        super().__init__(opened.table, opened.filename, verbose)
        self._avaliable_hps = set(_SCHEDULES)
        self.evaluated_indexes: list[int] = self._records.evaluated

    def _open(self, source: Source, verbose: bool) -> Opened:
        if source is None:
            if (table := _sources.installed("nas-bench-201")) is not None:
                return Opened(table, table.name, None)
            home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".torch")
            source = home / ALL_BENCHMARK_FILES[-1]
        if isinstance(source, Table):
            return Opened(source, source.name, None)
        if isinstance(source, Mapping):
            for key in KEYS:
                if key not in source:
                    raise OfficialAssertionError(
                        f"Expected a dictionary with {', '.join(KEYS)}; {key} is not in it."
                    )
            table = _sources.from_dict(source, ("less", "full"), torch=True)
            return Opened(table, None, None)
        if not isinstance(source, str | os.PathLike):
            raise QueryError(
                f"Expected a path, the name of a table, a Table or a dictionary but got "
                f"{type(source).__name__}."
            )
        path = Path(source).expanduser()
        if (table := _sources.open_table_folder(path)) is not None:
            return Opened(table, table.name, None)
        if path.is_file():
            return Opened(_sources.from_file(path, verbose=verbose), path.name, None)
        if (table := _sources.installed(str(source))) is not None:
            return Opened(table, table.name, None)
        raise _NoFileAssertionError(
            f"{str(source)!r} is no file, and no imported table has this name. Import the official "
            f"file once, or give its path."
        )

    def __repr__(self) -> str:
        return (
            f"NASBench201API({len(self.evaluated_indexes)}/{len(self)} architectures, "
            f"file={self.filename})"
        )

    def _hps(self, row: int) -> list[str]:
        return list(_SCHEDULES)

    def _hp_name(self, hp: object) -> object:
        return hp  # here officially 12 is not "12"

    def reload(self, archive_root: str | None = None, index: int | None = None) -> None:
        """Refuses, as an API over a table reads from that table only.

        Raises:
            ReadOnlyError: Always.
        """
        refuse_reload()

    def simulate_train_eval(
        self, arch: Any, dataset: str, hp: str = "12", account_time: bool = True
    ) -> tuple[float, Any, float, float]:
        """Simulates training and validating an architecture.

        Args:
            arch: An argument of ``query_index_by_arch``.
            dataset: ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
            hp: The schedule. The latency is that of schedule 12, as officially.
            account_time: Whether the time is charged to ``used_time``.

        Returns:
            Validation accuracy (%), latency (s), seconds that it took, ``used_time``.
        """
        if self.verbose:
            print(f"Call simulate_train_eval with {arch=}, {dataset=}, {hp=}")
        return self._simulate(arch, dataset, None, hp, "12", account_time)

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        FLOP_max: float | None = None,  # noqa: N803 (the official name)
        Param_max: float | None = None,  # noqa: N803
        hp: str = "12",
    ) -> tuple[int, Any]:
        """The architecture with the highest mean accuracy within limits.

        Args:
            dataset: The data set.
            metric_on_set: ``"valid"``, ``"test"``, ``"train"`` or an official split.
            FLOP_max: Millions.
            Param_max: Millions.
            hp: The schedule.

        Returns:
            Its index and accuracy (%); -1 and None if there is none.
        """
        self._say(
            f"Call find_best with {dataset=}, {metric_on_set=}, {FLOP_max=}, {Param_max=}, {hp=}"
        )
        return self._best(self.evaluated_indexes, dataset, metric_on_set, FLOP_max, Param_max, hp)

    def _counted(self) -> Any:
        return range(len(self))

    def _not_evaluated(self, index: int) -> None:
        print(f"Find this arch-index : {index}, but this arch is not evaluated.")
