"""The official dictionaries of results by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from typing import NoReturn

from nasbench_lab.compat._errors import OfficialKeyError, ReadOnlyError
from nasbench_lab.compat._records import ArchResults

BySchedules = dict[str, ArchResults]
Make = Callable[[int, Callable[[], None]], BySchedules]


def _refuse() -> NoReturn:
    raise ReadOnlyError(
        "Results cannot be put into an imported table. Keep them in a dictionary of your own."
    )


class ByIndex(MutableMapping[int, BySchedules]):
    """The official ``arch2infos_dict``: results by index, then by schedule.

    An API forgets an architecture that is deleted here; ``fast_mode`` reads it again.

    Args:
        rows: The row of the table of each architecture that is loaded; deleting changes it.
        make: Makes the results of an architecture, which call a function before they may change.
        forget: Called when answers of an API may be outdated.
        changed: Results that may have been changed.
    """

    def __init__(
        self,
        rows: dict[int, int],
        make: Make,
        forget: Callable[[], None],
        changed: Mapping[int, BySchedules] | None = None,
    ) -> None:
        self._rows, self._make, self._forget = rows, make, forget
        self.given = dict(changed or {})
        """The results that were given away, which are given again."""
        self.changeable = set(self.given)
        """The architectures whose results may have been changed: no answer may be kept of them."""

    def __getitem__(self, index: int) -> BySchedules:
        if index not in self.given:
            if index not in self._rows:
                self._lacks(index)
            self.given[index] = self._make(index, partial(self._change, index))
        return self.given[index]

    def _change(self, index: int) -> None:
        if index not in self.changeable:
            self.changeable.add(index)
            self._forget()

    def _lacks(self, index: object) -> NoReturn:
        raise OfficialKeyError(f"Architecture {index} is not loaded.")

    def __setitem__(self, index: int, results: object) -> NoReturn:
        _refuse()

    def __delitem__(self, index: int) -> None:
        if index not in self:
            self._lacks(index)
        del self._rows[index]
        self.renew(index)
        self._forget()

    def renew(self, index: int) -> None:
        """Lets go of changes, as the record was read anew."""
        if self.given.pop(index, None) is not None and index in self.changeable:
            self.changeable.remove(index)
            self._forget()

    def clear(self) -> None:
        for mapping in (self._rows, self.given, self.changeable):
            mapping.clear()
        self._forget()

    def __contains__(self, index: object) -> bool:
        return index in self._rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class BySchedule(MutableMapping[int, ArchResults]):
    """The results with one schedule by index, as in versions 1.x of ``nas-bench-201``.

    What is deleted here is missing here only.
    """

    def __init__(self, results: Mapping[int, Mapping[str, ArchResults]], hp: str) -> None:
        self._results, self._hp = results, hp
        self._deleted: set[int] = set()

    def __getitem__(self, index: int) -> ArchResults:
        if index in self._deleted:
            raise OfficialKeyError(f"Architecture {index} was deleted.")
        return self._results[index][self._hp]

    def __setitem__(self, index: int, results: object) -> NoReturn:
        _refuse()

    def __delitem__(self, index: int) -> None:
        self[index]
        self._deleted.add(index)

    def __iter__(self) -> Iterator[int]:
        return (index for index in self._results if index not in self._deleted)

    def __len__(self) -> int:
        return len(list(iter(self)))
