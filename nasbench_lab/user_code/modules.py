"""Which modules of a user's own a Python file imports.

They are found by reading, without executing anything: all imports in the file and in the modules that
are found, also within functions. What is installed is not the user's.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.machinery import (
    ExtensionFileLoader,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from nasbench_lab import plug_ins
from nasbench_lab.errors import AlgorithmFileError


@dataclass(frozen=True)
class Source:
    """One module of a user's.

    Args:
        module: Its name, as the user's files import it.
        label: The file as messages and manifests name it: relative to the folder of the main file.
        path: Where the file lies, or the folder of a package that has no ``__init__.py``.
        package: Whether it is a package.
        content: The text of the file; None for a folder and for compiled code.
        compiled: The SHA-256 of a file of compiled code, which is loaded from where it lies.
    """

    module: str
    label: str
    path: str
    package: bool = False
    content: bytes | None = None
    compiled: str | None = None

    @property
    def folder(self) -> str:
        """The folder of a package."""
        return self.path if self.content is None else str(Path(self.path).parent)

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the file; None for a folder."""
        return self.compiled if self.content is None else hashlib.sha256(self.content).hexdigest()


class Search:
    """Finds the user's modules that a file imports, and those that these import.

    Args:
        folder: The folder of the main file, where modules are looked for first.
        more: Folders that are looked in next, before ``sys.path``.
    """

    def __init__(self, folder: Path | None, more: Sequence[str]) -> None:
        importlib.invalidate_caches()  # files may be younger than a folder's time tells
        self.folder = folder
        own = [] if folder is None else [str(folder), *more]
        self.path = [*own, *(str(Path(entry).resolve()) for entry in sys.path)]
        self.home = own[-1] if own else None
        self.found: dict[str, Source] = {}
        self.places: dict[str, list[str]] = {}
        self.installed: set[str] = set()

    def sources(self) -> tuple[Source, ...]:
        """What was found; each package is before those that it holds."""
        return tuple(self.found[name] for name in sorted(self.found))

    def add(self, name: str) -> bool:
        """Takes a module and the packages that it is in; says whether it is one of the user's."""
        path, parts = self.path, name.split(".")
        for end in range(1, len(parts) + 1):
            whole = ".".join(parts[:end])
            if whole not in self.found and not self._find(whole, path):
                return False
            path = self.places[whole]
        return True

    def take(self, source: Source, places: list[str]) -> None:
        """Takes a module, and what it imports."""
        self.found[source.module], self.places[source.module] = source, places
        if source.content is not None:
            try:
                tree = ast.parse(source.content)
            except (SyntaxError, ValueError, RecursionError):
                return  # it is told when the module is imported
            package = source.module if source.package else source.module.rpartition(".")[0]
            for name in imported(tree, package):
                if name.endswith(".*"):
                    self._add_all(name[:-2])
                else:
                    self.add(name)

    def take_package(self, name: str, folder: Path) -> None:
        """Takes a folder as the package of a name."""
        init = folder / "__init__.py"
        if init.is_file():
            self.take(self._source(name, init, package=True), [str(folder)])
        else:
            self.take(Source(name, "", str(folder), package=True), [str(folder)])

    def _find(self, name: str, path: list[str]) -> bool:
        top = name.partition(".")[0]
        if top in self.installed or not path or (top == name and _is_installed_module(name)):
            return False
        spec = _spec(name, path)
        if spec is None:
            return False
        places = list(spec.submodule_search_locations or ())
        if any(map(is_installed, [spec.origin] if spec.has_location else places)):
            return False
        if not spec.has_location or spec.origin is None:
            self.take(Source(name, "", places[0], package=True), places)
        elif isinstance(spec.loader, SourceFileLoader):
            self.take(self._source(name, Path(spec.origin), bool(places)), places)
        elif isinstance(spec.loader, ExtensionFileLoader | SourcelessFileLoader):
            if not self._is_near(spec.origin):
                # Compiled packages work under their own name only.
                self.installed.add(top)
                for one in [one for one in self.found if one.partition(".")[0] == top]:
                    del self.found[one]
                return False
            self.take(self._source(name, Path(spec.origin), bool(places), compiled=True), places)
        else:
            return False
        return True

    def _add_all(self, package: str) -> None:
        """Takes all modules in a package, or in the main file's folder."""
        if package and not self.add(package):
            return
        folders = self.places[package] if package else [str(self.folder)] if self.folder else []
        for folder in folders:
            for file in sorted(Path(folder).glob("*.py")):
                if file.stem.isidentifier() and file.stem != "__init__":
                    self.add(f"{package}.{file.stem}".lstrip("."))

    def _is_near(self, path: str) -> bool:
        return self.home is not None and Path(path).is_relative_to(self.home)

    def _source(self, name: str, file: Path, package: bool, *, compiled: bool = False) -> Source:
        label = "/".join(name.split(".")) + ("/__init__.py" if package else file.suffix)
        if self._is_near(str(file)):
            label = Path(os.path.relpath(file, self.folder)).as_posix()
        try:
            content = file.read_bytes()
        except OSError as error:
            raise AlgorithmFileError(f"Cannot read {file}: {error.strerror}.") from error
        if compiled:
            digest = hashlib.sha256(content).hexdigest()
            return Source(name, label, str(file), package, compiled=digest)
        return Source(name, label, str(file), package, content)


def _spec(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """Where a module is among some folders; the packages that it is in need not be imported."""
    places: list[str] = []
    for entry in path:
        finder = pkgutil.get_importer(entry)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is not None and spec.loader is not None:
            return spec
        places += (spec and spec.submodule_search_locations) or []
    if not places:
        return None
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = places
    return spec


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that code imports or may import; ``a.*`` for all that are in a package a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call):
            if _id(node.func) in ("import_module", "__import__") and node.args:
                yield from _computed(node.args[0], package)
        elif isinstance(node, ast.Assign) and "__all__" in map(_id, node.targets) and package:
            # What ``from package import *`` imports.
            texts = (n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant))
            yield from (f"{package}.{text}" for text in texts if isinstance(text, str))


def _id(expression: ast.expr) -> str:
    """The name that an expression ends with, such as ``b`` of ``a.b``."""
    return str(getattr(expression, "attr", getattr(expression, "id", "")))


def _computed(name: ast.expr, package: str) -> Iterator[str]:
    """The modules that an expression may name: one, or all in the packages that it may begin with."""
    text = name.value if isinstance(name, ast.Constant) else None
    if isinstance(text, str):
        yield f"{package}{text}" if text.startswith(".") else text
        return
    first = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
    first = first.left if isinstance(first, ast.BinOp) else first
    text = first.value if isinstance(first, ast.Constant) else None
    if isinstance(text, str) and "." in text.lstrip("."):
        yield f"{package if text.startswith('.') else ''}{text.rpartition('.')[0]}.*"
    else:
        yield from (".*", f"{package}.*")


def _is_installed_module(name: str) -> bool:
    """Whether a name is that of a loaded module that is not the user's, or of no file at all."""
    if name in sys.builtin_module_names or name in ("__main__", "__mp_main__"):
        return True
    module = sys.modules.get(name)
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    return is_installed(file) if file else not hasattr(module, "__path__")


def is_installed(path: str | None) -> bool:
    """Whether a file is of Python itself, of an installed package or of a plug-in."""
    if path is None or {"site-packages", "dist-packages"} & set(Path(path).parts):
        return True
    return any(Path(path).resolve().is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[Path, ...]:
    groups = plug_ins.ALGORITHMS, plug_ins.TABLES, plug_ins.SPACES
    entries = [entry for group in groups for entry in entry_points(group=group)]
    names = {entry.module.partition(".")[0] for entry in entries}
    folders = [Path(__file__).parents[1]]
    folders += [Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib")]
    for name in sorted(names):
        with suppress(ImportError, ValueError):  # a plug-in that is damaged
            spec = find_spec(name)
            folders += [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return tuple(folder.resolve() for folder in folders)
