"""The errors of the drop-ins, each also of the type that the official classes raise."""

from __future__ import annotations

from nasbench_lab.errors import MissingSourceError, NasbenchLabError, QueryError


class OfficialKeyError(NasbenchLabError, KeyError):
    """A record lacks a data set, schedule or epoch; the official API raises KeyError."""

    def __str__(self) -> str:  # KeyError would show the message in quotation marks
        return str(self.args[0]) if self.args else ""


class OfficialIndexError(NasbenchLabError, IndexError):
    """A record lacks all trainings; the official API raises IndexError."""


class OfficialAssertionError(NasbenchLabError, AssertionError):
    """An argument is wrong; the official API raises AssertionError."""


class ReadOnlyError(NasbenchLabError, NotImplementedError):
    """An official method would change the loaded data or train; a drop-in only reads a table."""


class NoFileError(MissingSourceError, QueryError):
    """There is no file of this path, and no table of this name."""


class OfficialBehaviourWarning(UserWarning):
    """The official API misleads here; the drop-in does the same and warns once."""
