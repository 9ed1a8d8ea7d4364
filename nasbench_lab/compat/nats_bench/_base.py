"""The common part of the APIs of both search spaces of NATS-Bench."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nasbench_lab.compat import _sources
from nasbench_lab.compat._api import MetaAPI, refuse_reload
from nasbench_lab.compat._errors import NoFileError, OfficialAssertionError
from nasbench_lab.compat._sources import KEYS, META, Opened, Source
from nasbench_lab.errors import MissingSourceError, QueryError, TableFileError
from nasbench_lab.tables.table import Table

_COMMENT = (
    "In this dict, train-loss/accuracy/time is the metric on the {part} of CIFAR-10. The "
    "test-loss/accuracy/time is the performance of the CIFAR-10 test set after training on the "
    "{part} by {{}} epochs. The per-time and total-time indicate the per epoch and total time "
    "costs, respectively."
)


class NATSBench(MetaAPI):
    """The common part of both search spaces."""

    _comments: ClassVar[Mapping[str, str]] = {
        "cifar10-valid": _COMMENT.format(part="train set"),
        "cifar10": _COMMENT.format(part="train+valid sets"),
    }
    _metric_text = "loss = {loss:.3f} & top1 = {accuracy:.2f}%"
    _search_space_name: ClassVar[str]
    _full_train_epochs: ClassVar[int]
    _table_name: ClassVar[str]
    _space: ClassVar[str]
    _base_name: ClassVar[str]

    def __init__(
        self,
        file_path_or_dict: Source = None,
        fast_mode: bool = False,
        verbose: bool = True,
    ) -> None:
        opened = self._open(file_path_or_dict, fast_mode, verbose)
        if opened.table.info.space != self._space:
            raise TableFileError(
                f"{opened.table.name!r} is a table over {opened.table.info.space!r}, where "
                f"{type(self).__name__} needs one over {self._space!r}."
            )
        super().__init__(opened.table, opened.filename, verbose)
        self._fast_mode = fast_mode
        self._archive_dir = opened.directory
        self._own_dir = opened.directory
        self.evaluated_indexes: set[int] = set()
        if opened.directory is not None:
            self._loaded_rows.clear()
            self._avaliable_hps.clear()
        else:
            self.evaluated_indexes.update(self._records.evaluated)
        self._say(
            f"Created {type(self).__name__} with {len(self.evaluated_indexes)}/{len(self)} "
            f"architectures."
        )

    def _open(self, source: Source, fast_mode: bool, verbose: bool) -> Opened:
        if source is None:
            return self._open_default(fast_mode, verbose)
        if isinstance(source, Table):
            return _of_table(source, fast_mode)
        if isinstance(source, Mapping):
            for key in KEYS:
                if key not in source:
                    raise QueryError(
                        f"Expected a dictionary with {', '.join(KEYS)}; {key} is not in it."
                    )
            return Opened(_sources.from_dict(source, (), torch=False), None, None)
        if not isinstance(source, str | os.PathLike):
            raise QueryError(
                f"Expected a path, the name of a table, a Table or a dictionary but got "
                f"{type(source).__name__}."
            )
        path = Path(source).expanduser()
        if not path.exists():
            table = _sources.installed(str(source))
            if table is None:
                raise NoFileError(
                    f"{str(source)!r} is neither a file nor a directory, and no imported table has "
                    f"this name."
                )
            return _of_table(table, fast_mode)
        if (table := _sources.open_table_folder(path)) is not None:
            return _of_table(table, fast_mode)
        if path.is_dir() != fast_mode:
            wanted = "a directory" if fast_mode else "a file"
            raise QueryError(
                f"Expected {wanted} with fast_mode={fast_mode} but got {path}. Set "
                f"fast_mode={not fast_mode} for it."
            )
        if fast_mode and not (path / META).is_file():
            raise MissingSourceError(f"Expected {META} in {path}, but it is not there.")
        table = _sources.from_file(path, verbose=verbose)
        return Opened(table, path.name, str(path) if fast_mode else None)

    def _open_default(self, fast_mode: bool, verbose: bool) -> Opened:
        if (table := _sources.installed(self._table_name)) is not None:
            return _of_table(table, fast_mode)
        home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".torch")
        name = f"{self._base_name}-simple" if fast_mode else f"{self._base_name}.pickle.pbz2"
        if not (home / name).exists():
            raise NoFileError(
                f"There is neither a table {self._table_name!r} nor {home / name}. Import the "
                f"official file once, or give its path."
            )
        opened = self._open(home / name, fast_mode, verbose)
        return opened._replace(filename=None) if fast_mode else opened  # as officially

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.evaluated_indexes)}/{len(self)} architectures, "
            f"fast_mode={self.fast_mode}, file={self.filename})"
        )

    @property
    def search_space_name(self) -> str:
        return self._search_space_name

    @property
    def fast_mode(self) -> bool:
        return self._fast_mode

    @property
    def archive_dir(self) -> str | None:
        return self._archive_dir

    @property
    def full_train_epochs(self) -> int:
        return self._full_train_epochs

    @property
    def full_epochs_in_paper(self) -> int:
        return self._full_train_epochs

    @property
    def is_size(self) -> bool:
        return self._search_space_name == "size"

    @property
    def is_topology(self) -> bool:
        return self._search_space_name == "topology"

    def reset_archive_dir(self, archive_dir: str | None) -> None:
        self._archive_dir = archive_dir

    def reset_fast_mode(self, fast_mode: bool) -> None:
        self._fast_mode = fast_mode

    def reload(self, archive_root: str | None = None, index: int | None = None) -> None:
        """Makes one or all records available that ``fast_mode`` has not read yet.

        Raises:
            ReadOnlyError: The archive is not that of the API.
            OfficialAssertionError: The archive has no record of an architecture.
        """
        self._say(f"Call reload with archive_root={archive_root} and index={index}")
        archive_root = self.archive_dir if archive_root is None else archive_root
        if archive_root is None:
            raise QueryError("Expected archive_root, as this API was not made from a directory.")
        if self._own_dir is None or Path(archive_root).absolute() != Path(self._own_dir).absolute():
            refuse_reload()
        for number in range(len(self)) if index is None else [index]:
            if not 0 <= number < len(self):
                raise QueryError(f"Expected an index from 0 to {len(self) - 1} but got {number}.")
            row = self._records.rows.get(number)
            if row is None:
                raise OfficialAssertionError(
                    f"{archive_root} has no record of architecture {number}, which would be in "
                    f"{number:06d}.pickle.pbz2."
                )
            self._loaded_rows[int(number)] = row
            self.arch2infos_dict.renew(int(number))
            self.evaluated_indexes.add(int(number))
            self._avaliable_hps.update(self._hps(row))

    def _prepare_info(self, index: int) -> None:
        if index in self._loaded_rows:
            if index not in self.evaluated_indexes:
                raise QueryError(f"Architecture {index} is loaded, but not in evaluated_indexes.")
        elif self._fast_mode:
            if self._archive_dir is None:
                raise QueryError("Expected an archive_dir in fast_mode.")
            self.reload(self._archive_dir, index)

    def simulate_train_eval(
        self,
        arch: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str = "12",
        account_time: bool = True,
    ) -> tuple[float, Any, float, float]:
        """Simulates training and validating an architecture.

        Args:
            arch: An argument of ``query_index_by_arch``.
            dataset: ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
            iepoch: The epoch to train to, counted from 0; None for the last. Some records have no
                validation accuracy before the end; then test data leak in, and there is a warning.
            hp: The schedule.
            account_time: Whether the time is charged to ``used_time``.

        Returns:
            Validation accuracy (%), latency (s), seconds that it took, ``used_time``.
        """
        if self.verbose:
            print(f"Call simulate_train_eval with {arch=}, {dataset=}, {iepoch=}, {hp=}")
        return self._simulate(arch, dataset, iepoch, hp, hp, account_time)

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None = None,
        param_max: float | None = None,
        hp: str = "12",
        enforce_all: bool | None = None,
    ) -> tuple[int, Any]:
        """The evaluated architecture with the highest mean accuracy within limits.

        Args:
            dataset: The data set.
            metric_on_set: ``"valid"``, ``"test"``, ``"train"`` or an official split.
            flop_max: Millions.
            param_max: Millions.
            hp: The schedule.
            enforce_all: Whether architectures that are not evaluated yet count too; None for yes in
                fast mode.

        Returns:
            Its index and accuracy (%); -1 and None if there is none.
        """
        self._say(
            f"Call find_best with {dataset=}, {metric_on_set=}, {flop_max=}, {param_max=}, {hp=}"
        )
        if enforce_all is None:
            enforce_all = self._fast_mode
        if enforce_all and not self._fast_mode:
            raise OfficialAssertionError(
                "enforce_all=True is for fast_mode=True; otherwise all are evaluated anyway."
            )
        indexes = range(len(self)) if enforce_all else sorted(self.evaluated_indexes)
        return self._best(indexes, dataset, metric_on_set, flop_max, param_max, hp)

    def clear_params(self, index: int, hp: str | None = None) -> None:
        """Only checks its arguments, as a table has no weights."""
        if index in self._loaded_rows:
            super().clear_params(index, hp)
        else:
            warnings.warn(f"Architecture {index} is not loaded; nothing to clear.", stacklevel=2)

    def _not_evaluated(self, index: int) -> None:
        warnings.warn(
            f"Architecture {index} is not evaluated: the file has no record of it.", stacklevel=3
        )


def _of_table(table: Table, fast_mode: bool) -> Opened:
    return Opened(table, table.name, str(table.folder) if fast_mode else None)
