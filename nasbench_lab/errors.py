"""The errors of nasbench-lab.

Each inherits from ``NasbenchLabError`` and from the built-in error that it refines, so that both
``except NasbenchLabError`` and, say, ``except ValueError`` catch it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class NasbenchLabError(Exception):
    """Base of all errors that nasbench-lab raises on purpose."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`` Did you mean …?`` with the known name that is nearest, if one is near; else nothing.

    Of a name with parts, such as ``nas-bench-graph/cora``, the last part may be near too. Capitals
    are taken for small letters.
    """
    spelled: dict[str, str] = {}
    for one in names:
        for part in (one, one.rpartition("/")[2]):
            spelled.setdefault(part.lower(), one)
    near = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.5)
    return f" Did you mean {spelled[near[0]]!r}?" if near else ""


_MOST_NAMES = 200


def short(text: str, most: int = 200) -> str:
    """A text that a message quotes, cut in its middle if it is long."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … ({len(text):,} characters) … {text[-most // 4 :]}"


def quoted(value: object, most: int = 200) -> str:
    """A value as a message quotes it: what Python writes for it, cut if it is long."""
    if isinstance(value, str):
        return repr(short(value, most))
    try:
        return short(repr(value), most)
    except ValueError:  # a whole number of thousands of digits
        return f"{type(value).__name__} without end"


def text_of(error: BaseException, most: int = 2000) -> str:
    """What an error says, cut if it is long, also where the error fails to say it.

    What cannot be printed, or would move the cursor of a terminal, is written as an escape.
    """
    try:
        text = short(str(error), most)
    except Exception:
        return f"{type(error).__name__} without a text"
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


class UnknownNameError(NasbenchLabError, ValueError):
    """A table, algorithm, space, column or hyperparameter of this name does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known, self.hint = kind, name, sorted(known), hint
        name = short(name)
        names = [short(one, 100) for one in self.known[:_MOST_NAMES]]
        guess = did_you_mean(name, names)
        more = f" and {len(self.known) - len(names):,} more" if self.known[_MOST_NAMES:] else ""
        super().__init__(
            f"Unknown {kind} {name!r}.{guess} Known: {', '.join(names) or 'none'}{more}."
            f"{' ' + hint if hint else ''}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return UnknownNameError, (self.kind, self.name, self.known, self.hint)


class InvalidArchitectureError(NasbenchLabError, ValueError):
    """An architecture or its string is not of the space it is used with."""


class SpaceError(NasbenchLabError, ValueError):
    """A search space that cannot be: no options, or conditions that never hold."""


class AbsentEntryError(NasbenchLabError, LookupError):
    """The architecture is of the space, but the table holds no entry for it."""


class QueryError(NasbenchLabError, ValueError):
    """A question that the table cannot answer, or that names more than one column."""


class ShadowedPackageError(NasbenchLabError, ImportError):
    """A package of nasbench-lab that something else of its name hides."""


class BudgetError(NasbenchLabError, ValueError):
    """A budget that is absent, not positive, or in a unit that the benchmark does not know."""


class TableFileError(NasbenchLabError, ValueError):
    """A file of a table is truncated, damaged, or not what it claims to be."""

    outdated = False
    """Whether the table is sound, but in the layout of another version of nasbench-lab."""


class UnsafeFileError(TableFileError):
    """A data file asks for code to be run; nothing of it was."""


class MissingSourceError(NasbenchLabError, FileNotFoundError):
    """What a table is made from is not on this machine."""


class MissingPackageError(NasbenchLabError, ImportError):
    """An optional package that is needed here is not installed."""


class DataFolderError(NasbenchLabError, OSError):
    """The data or result folder cannot be read or written."""


class AlgorithmError(NasbenchLabError, RuntimeError):
    """A search algorithm broke the rules of ask and tell, or failed."""

    traceback = ""
    """All that Python said of the algorithm's own error, also if that was in another process."""


class BenchmarkError(NasbenchLabError, RuntimeError):
    """A benchmark gave an answer that cannot be."""


class DataError(NasbenchLabError, ValueError):
    """Images or signals of a user's own that cannot be trained on: shapes, types, labels, keys."""


class TrainingError(NasbenchLabError, RuntimeError):
    """A training that cannot be done as asked: no such device, too little memory, no seeds."""


class RecipeError(NasbenchLabError, ValueError):
    """A recipe file that is absent, no TOML, or has a setting that is unknown or impossible."""


class ExperimentError(NasbenchLabError, ValueError):
    """An experiment that makes no sense: no seeds, or two things of one name."""


class FigureError(NasbenchLabError, ValueError):
    """A figure that cannot look as asked: no such colour, limits that are none."""


class WorkerError(NasbenchLabError, RuntimeError):
    """A process that was at work was ended by something else, such as a lack of memory."""

    at_work: Sequence[tuple[str, str]] = ()
    """What each process noted that it was at, and what it wrote when it died, or nothing."""


class AlgorithmWarning(UserWarning):
    """A search algorithm does what it should not, or failed in some runs of a comparison."""


class AlgorithmFileError(NasbenchLabError, ValueError):
    """An algorithm named as ``path/to/file.py:ClassName`` cannot be loaded."""


class HyperparameterError(NasbenchLabError, ValueError):
    """A hyperparameter's value is outside what the algorithm can work with."""


class PredictorError(NasbenchLabError, ValueError):
    """What a predictor is to learn from, or to predict, does not fit together."""


class UnsuitedError(HyperparameterError):
    """An algorithm cannot search a benchmark: no networks of its space, no images, no scores."""
