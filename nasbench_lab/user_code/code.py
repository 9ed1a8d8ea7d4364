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
import pickle
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import (
    ExtensionFileLoader,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import spec_from_file_location, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

from nasbench_lab.bounded_files import read_whole
from nasbench_lab.errors import AlgorithmFileError, text_of
from nasbench_lab.files import nearest_file, refuse_utf16
from nasbench_lab.user_code.modules import Search, Source

USER_MODULE = "nasbench_lab_user_"
"""How the names begin under which modules of users' files are kept."""


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
            content = read_whole(file)
            refuse_utf16(content)
            tree = ast.parse(content)
        except OSError as error:
            problem = f"{error.strerror}.{nearest_file(file)}"
            raise AlgorithmFileError(f"Cannot read {path}: {problem}") from error
        except UnicodeError as error:
            raise AlgorithmFileError(f"Cannot read {path}: {error}.") from error
        except (SyntaxError, ValueError, RecursionError) as error:  # such as a byte 0
            if isinstance(error, SyntaxError):
                error.filename = str(file)
            raise _refused(path, error) from error
        levels = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        above = _packages_above(file, max(levels, default=0))
        search = Search(file.parent, [str(folder.parent) for folder in above[:1]])
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
        search = Search(None, [])
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
        found = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        # Without what another thread lets be found now.
        modules = {
            name: module
            for name, module in found.items()
            if not getattr(module, "__name__", "").startswith(USER_MODULE)
        }
        finder = _ByOwnName(self)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(modules)

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
    where = ""
    if places:
        last = places[-1]
        where = f" ({last.filename}, line {last.lineno}, in {last.name})"
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({error.filename}, line {error.lineno})"
        error = type(error)(error.msg)
    return AlgorithmFileError(
        f"{path} cannot be imported: {type(error).__name__}: {text_of(error)}{where}"
    )


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
            # Whatever lies on the disk now is no part of the code.
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        places = [source.folder] if source.package else None
        if source.sha256 is None:  # a folder without __init__.py
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = places
            return spec
        loader = _compiled(fullname, source) if source.compiled else _Loader(fullname, code, source)
        return spec_from_file_location(
            fullname, source.path, loader=loader, submodule_search_locations=places
        )


_FINDER = _Finder()


class _Loader(SourceFileLoader):
    """Executes a module's source as it was read."""

    def __init__(self, fullname: str, code: Code, source: Source) -> None:
        super().__init__(fullname, source.path)
        self.code, self.source = code, source

    def exec_module(self, module: ModuleType) -> None:
        known = {**vars(builtins), "__import__": _import_of(self.code)}
        module.__dict__["__builtins__"] = known
        super().exec_module(module)

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source.content or b"", self.source.path, "exec", dont_inherit=True)

    def get_data(self, path: str) -> bytes:
        """The content of the file, or of another one, such as data beside it."""
        read = path == self.source.path and self.source.content is not None
        return self.source.content or b"" if read else super().get_data(path)


def _compiled(fullname: str, source: Source) -> ExtensionFileLoader | SourcelessFileLoader:
    try:
        digest = hashlib.sha256(Path(source.path).read_bytes()).hexdigest()
    except OSError as error:
        raise AlgorithmFileError(f"Cannot read {source.path}: {error.strerror}.") from error
    if digest != source.compiled:
        raise AlgorithmFileError(f"{source.path} has changed since the algorithm was taken.")
    kind = SourcelessFileLoader if source.path.endswith(".pyc") else ExtensionFileLoader
    return kind(fullname, source.path)


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


Taken = TypeVar("Taken")


def sent(taken: object) -> bytes:
    """An object as it is sent to other processes, with classes and functions of no file in it."""
    from joblib.externals.loky.backend.reduction import dumps

    return bytes(dumps(taken))


def received(
    kind: Callable[[Any, Code, dict[str, str]], Taken],
    data: bytes,
    code: Code,
    definitions: dict[str, str],
) -> Taken:
    """What was ``sent`` to this process, once the modules that it needs are known here.

    Args:
        kind: The class that holds it with its code, such as ``LiveClass``.
        data: What was sent.
        code: The user's modules that it refers to.
        definitions: The checksums of what it is made of.
    """
    if code.sources:
        code.name_for_good()
    return kind(pickle.loads(data), code, definitions)
