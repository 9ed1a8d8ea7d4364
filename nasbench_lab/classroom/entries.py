"""What students have handed in: one file each, or a folder each."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nasbench_lab.errors import AlgorithmFileError, ExperimentError, MissingSourceError
from nasbench_lab.user_code.code import Code

MODULE = "graded_search"
"""The module of a file that stands alone: its own name may be that of a module that it imports."""


@dataclass(frozen=True)
class Entry:
    """What a student has handed in.

    Args:
        student: Their name: that of the file or folder.
        path: The file, or folder.
        code: The file with the search, and what it imports of the student's own folder.
        checksums: Of each file.
        error: What is wrong with it, where there is no code.
    """

    student: str
    path: Path
    code: Code | None
    checksums: dict[str, str]
    error: str = ""

    @property
    def own(self) -> tuple[str, ...]:
        """The files and folders that are the student's."""
        return (str(self.path),)

    def shown(self, text: str) -> str:
        """A text in which the student's files have the names that they know them by."""
        folder = self.path if self.path.is_dir() else self.path.parent
        return text.replace(f"{folder}/", "").replace(f"{folder.resolve()}/", "")

    def lines(self, text: str) -> list[str]:
        """The lines of the student's files that a text names, such as ``ada.py:12  return x``."""
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*.py"))
        found = []
        for named, number in re.findall(r"([^\s(]*\.py), line (\d+)", text):
            for file in files:
                if not str(file).endswith(named):
                    continue
                lines = file.read_bytes().decode(errors="replace").splitlines()
                if 0 < int(number) <= len(lines):
                    found.append(f"{file.name}:{number}    {lines[int(number) - 1].strip()}")
        return list(dict.fromkeys(found))


def entries_in(folder: Path) -> list[Entry]:
    """What is handed in, by the names of the students.

    Each ``.py`` file of the folder is a student's, and each folder in it that has ``.py`` files.
    Names that begin with a dot or an underscore are passed over.

    Raises:
        MissingSourceError: There is no such folder.
        ExperimentError: Nothing is in it, or two entries have one name.
    """
    if not folder.is_dir():
        raise MissingSourceError(f"There is no folder {folder} with what students have handed in.")
    entries = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir() and any(path.glob("*.py")):
            entries.append(_of_folder(path.resolve()))
        elif path.suffix == ".py" and path.is_file():
            entries.append(_of_file(path.resolve(), path.stem))
    if not entries:
        raise ExperimentError(
            f"Nothing is handed in: {folder} holds neither .py files nor folders with them."
        )
    names = [entry.student.casefold() for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ExperimentError(
            f"Two entries of {folder} have one name: {', '.join(twice)}. Rename one of the two."
        )
    return entries


def _of_file(file: Path, student: str) -> Entry:
    """A file that stands alone: what else lies in its folder is others'."""
    try:
        code = Code.of(file)
    except AlgorithmFileError as error:
        return Entry(student, file, None, {file.name: _checksum(file)}, str(error))
    (main,) = (source for source in code.sources if source.module == code.main)
    alone = Code(MODULE, (replace(main, module=MODULE),))
    return Entry(student, file, alone, alone.checksums)


def _of_folder(folder: Path) -> Entry:
    files = sorted(folder.glob("*.py"))
    checksums = {file.name: _checksum(file) for file in files}
    searching = files if len(files) == 1 else [file for file in files if _has_search(file)]
    if len(searching) != 1:
        names = ", ".join(file.name for file in searching or files)
        problem = f"Expected one file with a class that has a method ask, but got: {names}."
        return Entry(folder.name, folder, None, checksums, problem)
    try:
        code = Code.of(searching[0])
    except AlgorithmFileError as error:
        return Entry(folder.name, folder, None, checksums, str(error))
    own = tuple(one for one in code.sources if Path(one.path).resolve().is_relative_to(folder))
    return Entry(folder.name, folder, Code(code.main, own), checksums)


def _checksum(file: Path) -> str:
    """The SHA-256 of a file; empty if it cannot be read, which is told elsewhere."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _has_search(file: Path) -> bool:
    """Whether a file defines a class with a method ``ask``, or cannot be read."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return True  # it is told what is wrong with it
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "ask"
        for cls in ast.walk(tree)
        if isinstance(cls, ast.ClassDef)
        for node in cls.body
    )


# Random generators that are not the search's own

_OF_THEIR_OWN = {"Generator", "PCG64", "Random", "SeedSequence", "SystemRandom", "default_rng"}
_TORCH = ("torch.rand", "torch.multinomial", "torch.bernoulli", "torch.normal", "torch.manual_seed")


def lines_that_draw(code: Code, module: str) -> list[str]:
    """The places of a student's files that name a function of a global generator.

    Args:
        code: The files.
        module: ``random``, ``numpy.random`` or ``torch``.
    """
    places = []
    for source in code.sources:
        if source.content is None:
            continue
        tree = ast.parse(source.content)
        names = dict(_imports(tree))
        for node in ast.walk(tree):
            said = _dotted(node, names)
            if said is None or said.rpartition(".")[2] in _OF_THEIR_OWN:
                continue
            starts = _TORCH if module == "torch" else (f"{module}.",)
            if said.startswith(starts) and said.count(".") == (2 if "." in module else 1):
                places.append(f"{source.path}, line {getattr(node, 'lineno', 0)}")
    return list(dict.fromkeys(places))


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that imports give, and what each stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, whole
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """What an expression such as ``np.random.rand`` stands for; None if it is no such."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value, names)) is not None:
        return f"{before}.{node.attr}"
    return None
