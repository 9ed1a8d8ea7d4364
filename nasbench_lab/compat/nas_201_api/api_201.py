"""The official class of the API of NAS-Bench-201, also with the arguments of versions 1.x."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from nasbench_lab.compat import _sources
from nasbench_lab.compat._api import MetaAPI, printer, refuse_reload
from nasbench_lab.compat._by_index import BySchedule
from nasbench_lab.compat._cells import CellStrings
from nasbench_lab.compat._errors import OfficialAssertionError
from nasbench_lab.compat._rows import Info
from nasbench_lab.compat._sources import KEYS, Opened, Source
from nasbench_lab.compat.nas_201_api.api_utils import ArchResults
from nasbench_lab.errors import MissingSourceError, QueryError, TableFileError
from nasbench_lab.tables.table import Table

ALL_BENCHMARK_FILES = ["NAS-Bench-201-v1_0-e61699.pth", "NAS-Bench-201-v1_1-096897.pth"]
ALL_ARCHIVE_DIRS = ["NAS-Bench-201-v1_1-archive"]

_SCHEDULES = ("12", "200")
_UNSET: Any = object()
"""Stands for an argument that was not given."""


class _NoFileAssertionError(MissingSourceError, OfficialAssertionError):
    """There is no file of this path, and no table of this name."""


class NASBench201API(MetaAPI, CellStrings):
    """The API of NAS-Bench-201.

    In versions 1.x of the official package, methods had ``use_12epochs_result=False`` in place of
    ``hp="12"``. Both are taken, by name and by position. Without either, the schedule is that of
    version 2, 12 epochs, and a warning says once that it was 200 in versions 1.x.

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

    # Versions 1.x

    def _schedule(self, hp: Any, use_12epochs_result: bool | None) -> Any:
        """The schedule that the arguments of either version mean."""
        if isinstance(hp, bool):  # by position, in the place of use_12epochs_result
            hp, use_12epochs_result = _UNSET, hp
        if use_12epochs_result is not None:
            return "12" if use_12epochs_result else "200"
        if hp is not _UNSET:
            return hp
        self._warn(
            "schedule",
            "No schedule was given, which means 12 epochs, as since version 2.0 of nas-bench-201; "
            "in versions 1.x it meant 200. Say hp='12' or hp='200'.",
        )
        return "12"

    @cached_property
    def arch2infos_less(self) -> BySchedule:
        """The results with 12 epochs by index, as in versions 1.x."""
        return BySchedule(self.arch2infos_dict, "12")

    @cached_property
    def arch2infos_full(self) -> BySchedule:
        """The results with 200 epochs by index, as in versions 1.x."""
        return BySchedule(self.arch2infos_dict, "200")

    def query_by_arch(
        self, arch: Any, hp: Any = _UNSET, use_12epochs_result: bool | None = None
    ) -> str | None:
        """A text about an architecture; only versions 1.x have a default, which is 200 epochs."""
        if hp is _UNSET and use_12epochs_result is None:
            hp = "200"
        return super().query_by_arch(arch, self._schedule(hp, use_12epochs_result))

    def query_info_str_by_arch(
        self, arch: Any, hp: Any = "12", use_12epochs_result: bool | None = None
    ) -> str | None:
        return super().query_info_str_by_arch(arch, self._schedule(hp, use_12epochs_result))

    def query_meta_info_by_index(
        self, arch_index: int, hp: Any = _UNSET, use_12epochs_result: bool | None = None
    ) -> ArchResults:
        hp = self._schedule(hp, use_12epochs_result)
        results = super().query_meta_info_by_index(arch_index, hp)
        assert isinstance(results, ArchResults)
        return results

    def query_by_index(
        self,
        arch_index: int,
        dataname: str | None = None,
        hp: Any = _UNSET,
        use_12epochs_result: bool | None = None,
    ) -> Any:
        hp = self._schedule(hp, use_12epochs_result)
        return super().query_by_index(arch_index, dataname, hp)

    def get_more_info(
        self,
        index: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: Any = _UNSET,
        is_random: bool | int = True,
        use_12epochs_result: bool | None = None,
    ) -> Info:
        hp = self._schedule(hp, use_12epochs_result)
        return super().get_more_info(index, dataset, iepoch, hp, is_random)

    def get_net_param(
        self,
        index: int,
        dataset: str,
        seed: int | None,
        hp: Any = _UNSET,
        use_12epochs_result: bool | None = None,
    ) -> Any:
        hp = self._schedule(hp, use_12epochs_result)
        return super().get_net_param(index, dataset, seed, hp)

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
        hp: Any = _UNSET,
        use_12epochs_result: bool | None = None,
    ) -> tuple[int, Any]:
        """The architecture with the highest mean accuracy within limits.

        Args:
            dataset: The data set.
            metric_on_set: ``"valid"``, ``"test"``, ``"train"`` or an official split.
            FLOP_max: Millions.
            Param_max: Millions.
            hp: The schedule.
            use_12epochs_result: Whether the schedule is that of 12 epochs, as in versions 1.x.

        Returns:
            Its index and accuracy (%); -1 and None if there is none.
        """
        hp = self._schedule(hp, use_12epochs_result)
        self._say(
            f"Call find_best with {dataset=}, {metric_on_set=}, {FLOP_max=}, {Param_max=}, {hp=}"
        )
        return self._best(self.evaluated_indexes, dataset, metric_on_set, FLOP_max, Param_max, hp)

    def _counted(self) -> Any:
        return range(len(self))

    def _not_evaluated(self, index: int) -> None:
        print(f"Find this arch-index : {index}, but this arch is not evaluated.")


print_information = printer(NASBench201API)
