"""The code of a user's own algorithm, taken once.

``Code.of`` reads the file of an algorithm and the files of the user's that it imports, also within
functions. What runs afterwards, in whatever process, is what was read then; the files may change or
vanish meanwhile. Modules that are installed are not part of it.

The modules of each code are kept under names of their own. So two folders that both have a
``helper.py`` never mix, and neither do two versions of one file.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import os
import pkgutil
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import (
    ExtensionFileLoader,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.metadata import entry_points
from importlib.util import decode_source, find_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from nasbench_lab.errors import AlgorithmFileError

USER_MODULE = "nasbench_lab_user_"
"""How the names begin under which modules of users' files are kept."""

GROUPS = ("nasbench_lab.algorithms", "nasbench_lab.tables")
"""The entry points of plug-ins, whose packages are no code of the user's."""


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
    def sha256(self) -> str | None:
        """The SHA-256 of the file; None for a folder."""
        return self.compiled if self.content is None else hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Code:
    """The sources of an algorithm's file, and of the user's modules that it imports.

    Args:
        main: The name of the main file's module; empty if there are only modules that others import.
        sources: All modules, each package before those that it holds.
    """

    main: str
    sources: tuple[Source, ...]

    @classmethod
    def of(cls, path: Path | str) -> Code:
        """Reads a file and all of the user's that it imports.

        Raises:
            AlgorithmFileError: It cannot be read, or is no Python.
        """
        file = Path(path).expanduser().resolve()
        try:
            content = file.read_bytes()
            tree = ast.parse(content)
        except OSError as error:
            raise AlgorithmFileError(f"Cannot read {path}: {error.strerror}.") from error
        except (SyntaxError, ValueError, RecursionError) as error:  # such as a byte 0
            if isinstance(error, SyntaxError):
                error.filename = str(file)
            raise _refused(path, error) from error
        levels = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        above = _packages_above(file, max(levels, default=0))
        search = _Search(file.parent, [str(folder.parent) for folder in above[:1]])
        name = ""
        for folder in above:
            name = f"{name}.{_plain(folder.name)}".lstrip(".")
            search.take_package(name, folder)
        main = f"{name}.{_plain(file.stem)}".lstrip(".")
        search.take(Source(main, file.name, str(file), content=content), [])
        return cls(main, search.sources())

    @classmethod
    def of_modules(cls, names: Sequence[str]) -> Code:
        """Reads those of some modules that are the user's, and what they import."""
        search = _Search(None, [])
        for name in names:
            search.add(name)
        return cls("", search.sources())

    @property
    def file(self) -> str:
        """The main file."""
        return next(one.path for one in self.sources if one.module == self.main)

    @cached_property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each file."""
        return {one.label: one.sha256 for one in self.sources if one.sha256 is not None}

    @cached_property
    def name(self) -> str:
        """The name under which the modules are kept; every process derives the same."""
        said = [[self.main], *([s.module, s.label, s.path, s.sha256 or ""] for s in self.sources)]
        digest = hashlib.sha256(repr(said).encode()).hexdigest()[:12]
        return f"{USER_MODULE}{self.main.rpartition('.')[2]}_{digest}"

    def __reduce__(self) -> tuple[object, ...]:
        # Without the checksums: who receives the sources computes them itself.
        return Code, (self.main, self.sources)

    def load(self) -> ModuleType:
        """The main file's module; it is executed when it is first asked for.

        Raises:
            AlgorithmFileError: It cannot be executed; the message says where.
        """
        with self.named():
            try:
                return self.module(self.main)
            except (Exception, SystemExit) as error:
                raise _refused(self.file, error, self) from error

    def module(self, name: str) -> ModuleType:
        """One of the modules, by the name that the user's files know it by."""
        if self.name not in _FINDER.codes:
            _FINDER.codes[self.name] = self
            holder = ModuleType(self.name)
            holder.__path__ = []
            sys.modules[self.name] = holder
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
        return importlib.import_module(f"{self.name}.{name}")

    @contextmanager
    def named(self) -> Iterator[None]:
        """Lets others find the modules by their own names in the block, such as ``pickle``."""
        names = [source.module for source in self.sources]
        held = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        finder = _ByOwnName(self)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(held)

    def name_for_good(self) -> None:
        """Lets others find the modules by their own names from now on."""
        sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, _ByOwnName)]
        for source in self.sources:
            sys.modules.pop(source.module, None)
        sys.meta_path.insert(0, _ByOwnName(self))


def code_behind(module: str) -> Code | None:
    """The code that a module was loaded from; None for a module that is not kept here."""
    return _FINDER.codes.get(module.partition(".")[0])


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _packages_above(file: Path, level: int) -> list[Path]:
    """The folders that are packages to a file with relative imports of a level, outermost first."""
    folders = list(file.parents)
    count = level
    while 0 < level <= count < len(folders) and (folders[count] / "__init__.py").is_file():
        count += 1
    return folders[:count][::-1]


def _refused(
    path: Path | str, error: BaseException, code: Code | None = None
) -> AlgorithmFileError:
    """The error of a file that cannot be imported, with the last place in the user's files."""
    paths = {source.path for source in code.sources} if code is not None else set()
    places = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in paths
    ]
    where = f" ({places[-1].filename}, line {places[-1].lineno})" if places else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({error.filename}, line {error.lineno})"
        error = type(error)(error.msg)
    return AlgorithmFileError(f"{path} cannot be imported: {type(error).__name__}: {error}{where}")


# Which modules are the user's


class _Search:
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
    """The modules that an expression may name: one, or all in the package that it begins with."""
    first: ast.expr = name
    if isinstance(name, ast.JoinedStr) and name.values:
        first = name.values[0]
    elif isinstance(name, ast.BinOp):
        first = name.left
    text = first.value if isinstance(first, ast.Constant) else ""
    if not isinstance(text, str):
        return
    if text.startswith("."):
        text = f"{package}{text}" if not text.startswith("..") else ""
    yield text if first is name and text else f"{text.rpartition('.')[0]}.*"


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
    names = {e.module.partition(".")[0] for group in GROUPS for e in entry_points(group=group)}
    found = [Path(__file__).parent]
    found += [Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib")]
    for name in sorted(names):
        spec = find_spec(name)
        found += [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return tuple(folder.resolve() for folder in found)


# How they are loaded


class _Finder(MetaPathFinder):
    """Finds the modules of all codes under the names that they are kept by."""

    def __init__(self) -> None:
        self.codes: dict[str, Code] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, _, name = fullname.partition(".")
        code = self.codes.get(root)
        if code is None:
            return None
        source = next((one for one in code.sources if one.module == name), None)
        if source is None:
            return None
        if source.compiled is not None:
            return _compiled(fullname, source)
        loader = _SourceLoader(code, source)
        spec = spec_from_loader(fullname, loader, is_package=source.package)
        if spec is not None and source.content is not None:
            spec.origin, spec.has_location = source.path, True
        return spec


_FINDER = _Finder()


class _SourceLoader(Loader):
    """Executes a module's source as it was read."""

    def __init__(self, code: Code, source: Source) -> None:
        self.code, self.source = code, source

    def exec_module(self, module: ModuleType) -> None:
        if self.source.content is None:
            return
        module.__dict__["__builtins__"] = {
            **vars(builtins),
            "__import__": _import_of(self.code),
        }
        code = compile(self.source.content, self.source.path, "exec", dont_inherit=True)
        exec(code, module.__dict__)

    def get_source(self, fullname: str) -> str | None:
        """The source, for tracebacks where the file is gone."""
        return None if self.source.content is None else decode_source(self.source.content)


def _compiled(fullname: str, source: Source) -> ModuleSpec | None:
    try:
        digest = hashlib.sha256(Path(source.path).read_bytes()).hexdigest()
    except OSError as error:
        raise AlgorithmFileError(f"Cannot read {source.path}: {error.strerror}.") from error
    if digest != source.compiled:
        raise AlgorithmFileError(f"{source.path} has changed since the algorithm was taken.")
    kind = SourcelessFileLoader if source.path.endswith(".pyc") else ExtensionFileLoader
    return importlib.util.spec_from_file_location(
        fullname, source.path, loader=kind(fullname, source.path)
    )


def _import_of(code: Code) -> Any:
    """What ``import`` does in the modules of a code: first it looks among these."""
    own = {source.module.partition(".")[0] for source in code.sources}

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in own:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        try:
            found = importlib.import_module(f"{code.name}.{name}")
            if fromlist:  # of which some may be modules
                builtins.__import__(found.__name__, globals, locals, fromlist)
            if any(isinstance(one, _ByOwnName) and one.code == code for one in sys.meta_path):
                importlib.import_module(name)  # where compiled code looks for what it imports
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith(f"{code.name}."):
                raise
            missing = error.name.removeprefix(f"{code.name}.")
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing) from None
        return found if fromlist else sys.modules[f"{code.name}.{top}"]

    return import_


class _ByOwnName(MetaPathFinder, Loader):
    """Finds the modules of one code under the names that the user's files know them by."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.names = {source.module for source in code.sources}
        self.specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in self.names else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = self.code.module(spec.name)
        self.specs[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It was executed under the name that it is kept by.
        module.__spec__ = self.specs[module.__name__]
