"""The code of a user's algorithm: which files it is made of, and that nothing else runs."""

import hashlib
import pickle
import py_compile
import sys
import traceback

import pytest

from nasbench_lab.errors import AlgorithmFileError
from nasbench_lab.registry import algorithm_class, load_benchmark, make_algorithm
from nasbench_lab.running.search import run
from nasbench_lab.testing import check_algorithm
from nasbench_lab.user_code.code import Code

DIGITS = "nb201-digits"

MINE = """
from nasbench_lab import SearchAlgorithm
{top}

class Mine(SearchAlgorithm):
    def ask(self):
        {inside}
        return self.trial(({value},) * 6)
"""


def write(folder, **files):
    """Writes files, of which ``a__b`` is a/b.py and ``a__init`` a/__init__.py; gives the first."""
    names = [name.replace("__", "/").replace("/init", "/__init__") for name in files]
    paths = [folder / f"{name}.py" for name in names]
    for path, text in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return paths[0]


def mine(top="", inside="pass", value="3"):
    return MINE.format(top=top, inside=inside, value=value)


def option(path, name="Mine"):
    """The option that the algorithm of a file asks for everywhere."""
    trace = run(f"{path}:{name}", DIGITS, 1)
    (found,) = set(trace.architecture[0].tolist())
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    path, finders = list(sys.path), len(sys.meta_path)
    before = {name: module for name, module in sys.modules.items() if "helper" in name}
    yield
    assert sys.path == path
    assert len(sys.meta_path) <= finders + 1  # the one finder of all codes
    after = {name: module for name, module in sys.modules.items() if "helper" in name}
    assert {k: v for k, v in after.items() if not k.startswith("nasbench_lab_user_")} == {
        k: v for k, v in before.items() if not k.startswith("nasbench_lab_user_")
    }


PACKAGE = {"pkg__init": "", "pkg__helper": "from pkg.inner import VALUE"}

IMPORTS = {
    "at the top": (
        mine("import helper", value="helper.VALUE"),
        {"helper": "VALUE = 3"},
    ),
    "within a function": (
        mine(inside="import helper", value="helper.VALUE"),
        {"helper": "VALUE = 3"},
    ),
    "by way of another": (
        mine("from helper import VALUE", value="VALUE"),
        {"helper": "import inner\nVALUE = inner.VALUE", "inner": "VALUE = 3"},
    ),
    "by way of another, in both functions": (
        mine(inside="from helper import value", value="value()"),
        {"helper": "def value():\n    import inner\n    return inner.VALUE", "inner": "VALUE = 3"},
    ),
    "a package": (
        mine("import pkg.helper", value="pkg.helper.VALUE"),
        {**PACKAGE, "pkg__inner": "VALUE = 3"},
    ),
    "a package, by another name": (
        mine("import pkg.helper as helper", value="helper.VALUE"),
        {**PACKAGE, "pkg__inner": "VALUE = 3"},
    ),
    "a module from a package": (
        mine(inside="from pkg import helper", value="helper.VALUE"),
        {**PACKAGE, "pkg__inner": "VALUE = 3"},
    ),
    "relative imports in a package": (
        mine("import pkg", value="pkg.value()"),
        {
            "pkg__init": "from . import helper\nfrom .sub.deep import value",
            "pkg__helper": "VALUE = 3",
            "pkg__sub__init": "",
            "pkg__sub__deep": "def value():\n    from ..helper import VALUE\n    return VALUE",
        },
    ),
    "all of a package": (
        mine("from pkg import *", value="helper.VALUE"),
        {"pkg__init": "__all__ = ['helper']", "pkg__helper": "VALUE = 3"},
    ),
    "a folder without __init__.py": (
        mine("from pkg.sub import helper", value="helper.VALUE"),
        {"pkg__sub__helper": "VALUE = 3"},
    ),
    "relative imports of the file itself": (
        mine("from .helper import VALUE", value="VALUE"),
        {"helper": "from . import inner\nVALUE = inner.VALUE", "inner": "VALUE = 3"},
    ),
    "a circle": (
        mine("import helper\nVALUE = 3", value="helper.value()"),
        {"helper": "def value():\n    import mine\n    return mine.VALUE"},
    ),
    "by a text": (
        mine("from importlib import import_module", value="import_module('pkg.helper').VALUE"),
        {"pkg__init": "", "pkg__helper": "VALUE = 3"},
    ),
    "by a text that is put together": (
        mine("import importlib", "one = 'helper'", "importlib.import_module(f'pkg.{one}').VALUE"),
        {"pkg__init": "", "pkg__helper": "VALUE = 3"},
    ),
    "by a name that is computed": (
        mine(inside="name = 'hel' + 'per'", value="__import__(name).VALUE"),
        {"helper": "VALUE = 3"},
    ),
    "a package that imports whatever is in it": (
        mine("import pkg", value="pkg.VALUES['helper']"),
        {
            "pkg__init": "import importlib, pkgutil\nVALUES = {}\n"
            "for one in pkgutil.iter_modules(__path__):\n"
            "    module = importlib.import_module(f'{__name__}.{one.name}')\n"
            "    VALUES[one.name] = module.VALUE",
            "pkg__helper": "VALUE = 3",
            "pkg__other": "VALUE = 0",
        },
    ),
    "by a name in its package": (
        mine("import pkg", value="pkg.VALUE"),
        {
            "pkg__init": "from importlib import import_module\n"
            "VALUE = import_module('.helper', __package__).VALUE",
            "pkg__helper": "VALUE = 3",
        },
    ),
    "where it may be missing": (
        mine("try:\n    import helper_x\nexcept ImportError:\n    from helper import helper_x"),
        {"helper": "try:\n    import pkg.nothing\nexcept ImportError:\n    helper_x = 3"},
    ),
}


@pytest.mark.parametrize("case", IMPORTS)
def test_what_a_file_imports_is_taken_with_it(tmp_path, case):
    text, files = IMPORTS[case]
    path = write(tmp_path, mine=text, **files)
    code = Code.of(path)
    taken = {
        file.relative_to(tmp_path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in tmp_path.rglob("*.py")
    }
    assert code.checksums == taken
    cls = algorithm_class(f"{path}:Mine")
    copy = pickle.loads(pickle.dumps(code))
    for file in tmp_path.rglob("*.py"):
        file.write_text("raise RuntimeError('another version')")
    space = load_benchmark(DIGITS).space
    with code.named():
        assert cls(space).ask().architecture == (3,) * 6
    assert copy.load() is sys.modules[cls.__module__]
    assert copy.load().Mine is cls


def test_what_a_file_imports_may_vanish_before_it_is_imported(tmp_path):
    path = write(
        tmp_path, mine=mine(inside="import helper", value="helper.VALUE"), helper="VALUE = 3"
    )
    code = pickle.loads(pickle.dumps(Code.of(path)))
    for file in tmp_path.iterdir():
        file.unlink()
    cls = code.load().Mine
    assert cls(load_benchmark(DIGITS).space).ask().architecture == (3,) * 6


def test_folders_with_modules_of_one_name_do_not_mix(tmp_path):
    text = mine("import helper", "import late", "helper.VALUE + late.VALUE")
    paths = [
        write(tmp_path / str(n), mine=text, helper=f"VALUE = {n}", late=f"VALUE = {n}")
        for n in (1, 2)
    ]
    classes = [algorithm_class(f"{path}:Mine") for path in paths]
    space = load_benchmark(DIGITS).space
    assert [cls(space).ask().architecture[0] for cls in classes] == [2, 4]
    assert [option(path) for path in (*paths, *paths)] == [2, 4, 2, 4]


def test_a_module_of_the_same_name_that_is_loaded_already_is_another(tmp_path, monkeypatch):
    write(tmp_path / "elsewhere", helper="VALUE = 1")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    import helper

    path = write(tmp_path, mine=mine("import helper", value="helper.VALUE"), helper="VALUE = 3")
    assert option(path) == 3
    assert sys.modules["helper"] is helper
    assert helper.VALUE == 1
    del sys.modules["helper"]


def test_a_changed_module_is_another_code(tmp_path):
    path = write(tmp_path, mine=mine("import helper", value="helper.VALUE"), helper="VALUE = 3")
    assert option(path) == 3
    write(tmp_path, helper="VALUE = 4")
    assert option(path) == 4


def test_modules_on_the_path_of_python_are_the_users_unless_installed(tmp_path, monkeypatch):
    write(tmp_path / "lib", tools__helper="import numpy, json, pandas\nVALUE = 3")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    top = "import os, colorsys, numpy as np\nfrom algorithms.random_search import RandomSearch\n"
    path = write(tmp_path / "own", mine=mine(f"{top}from tools.helper import VALUE", value="VALUE"))
    assert list(Code.of(path).checksums) == ["mine.py", "tools/helper.py"]
    assert option(path) == 3


@pytest.mark.parametrize("coding", ["utf-8-sig", "latin-1"])
def test_sources_may_begin_with_a_mark_or_name_their_encoding(tmp_path, coding):
    first = "# -*- coding: latin-1 -*-\n" if coding == "latin-1" else ""
    path = tmp_path / "mine.py"
    path.write_text(first + mine("from helper import VALUE", value="VALUE"), encoding=coding)
    (tmp_path / "helper.py").write_text(f"{first}VALUE = len('äöü')", encoding=coding)
    assert option(path) == 3


def test_annotations_and_warnings_are_as_python_has_them(tmp_path):
    top = "class A:\n    x: int = 3\nassert A.__annotations__ == {'x': int}"
    assert option(write(tmp_path, mine=mine(top))) == 3


@pytest.mark.parametrize(
    ("helper", "words"),
    [
        ("x = 1\ndef broken(:\n", r"SyntaxError: .* \(.*helper\.py, line 2\)"),
        ("x = 1\n\n1 / 0\n", r"ZeroDivisionError: .* \(.*helper\.py, line 3, in <module>\)"),
        ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(.*helper\.py, line 2, in <module>\)"),
        (
            "import helper_of_none",
            r"ModuleNotFoundError: .*'helper_of_none' \(.*helper\.py, line 1",
        ),
        ("import pkg.none", r"ModuleNotFoundError: No module named 'pkg.none' \(.*helper\.py"),
    ],
)
def test_what_is_wrong_with_a_module_is_told_with_its_place(tmp_path, helper, words):
    path = write(tmp_path, mine=mine("import helper"), helper=helper, pkg__init="")
    for _ in range(2):
        with pytest.raises(AlgorithmFileError, match=rf"mine\.py cannot be imported: {words}"):
            run(f"{path}:Mine", DIGITS, 1)


@pytest.mark.parametrize("text", ["x = 1\nclass Broken(:\n", "x = '\0'", "(" * 5000])
def test_a_file_that_is_no_python_is_refused(tmp_path, text):
    with pytest.raises(AlgorithmFileError, match=r"mine\.py cannot be imported: .*Error: "):
        run(f"{write(tmp_path, mine=text)}:Mine", DIGITS, 1)


def test_a_traceback_shows_the_users_lines_where_the_file_is_gone(tmp_path):
    path = write(tmp_path, mine=mine("import helper", value="helper.value()"))
    write(tmp_path, helper="def value():\n    return [][0]  # of nothing")
    cls = algorithm_class(f"{path}:Mine")
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(IndexError) as caught:
        cls(load_benchmark(DIGITS).space).ask()
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (str(tmp_path / "helper.py"), 2)
    assert last.line == "return [][0]  # of nothing"


STATE = """
import pickle
from nasbench_lab import SearchAlgorithm
import helper

class Mine(SearchAlgorithm):
    def ask(self):
        state = self.__dict__.setdefault("state", helper.State())
        state.count += 1
        # As from a file that was written elsewhere, where the module has its own name.
        other = pickle.loads(b"chelper\\nState\\n.")
        assert other is helper.State
        return self.trial(self.space.sample(self.rng))
"""


def test_a_state_of_a_class_of_another_file_is_pickled(tmp_path):
    path = write(tmp_path, mine=STATE, helper="class State:\n    count = 0")
    check_algorithm(f"{path}:Mine")
    algorithm = make_algorithm(f"{path}:Mine", load_benchmark(DIGITS).space)
    with Code.of(path).named():
        algorithm.ask()
    assert pickle.loads(pickle.dumps(algorithm)).state.count == 1


def test_files_beside_the_code_are_found(tmp_path):
    inside = "from importlib import resources; from pathlib import Path"
    value = "int(resources.files('pkg').joinpath('three.txt').read_text())"
    near = "int((Path(__file__).parent / 'pkg' / 'three.txt').read_text())"
    files = {"pkg__init": "", "other": mine("import pkg", inside, near)}
    path = write(tmp_path, mine=mine("import pkg", inside, value), **files)
    (tmp_path / "pkg" / "three.txt").write_text("3")
    assert option(path) == option(tmp_path / "other.py") == 3


def test_compiled_modules_are_checked_when_they_are_loaded(tmp_path):
    path = write(tmp_path, mine=mine("import helper", value="helper.VALUE"), source="VALUE = 3")
    compiled = tmp_path / "helper.pyc"
    py_compile.compile(str(tmp_path / "source.py"), cfile=str(compiled))
    assert option(path) == 3
    write(tmp_path, source="VALUE = 4")
    py_compile.compile(str(tmp_path / "source.py"), cfile=str(compiled))
    code = Code.of(path)
    assert list(code.checksums) == ["helper.pyc", "mine.py"]
    compiled.write_bytes(compiled.read_bytes() + b"\n")
    with pytest.raises(AlgorithmFileError, match=r"helper\.pyc has changed since"):
        code.load()


def test_a_package_above_the_file_is_part_of_its_code(tmp_path):
    path = write(
        tmp_path / "project",
        lab__searches__mine=mine("from ..common import VALUE", value="VALUE"),
        lab__init="",
        lab__searches__init="",
        lab__common="from lab.searches.mine import SearchAlgorithm\nVALUE = 3",
    )
    assert option(path) == 3
    assert list(Code.of(path).checksums) == [
        "../__init__.py",
        "../common.py",
        "__init__.py",
        "mine.py",
    ]
