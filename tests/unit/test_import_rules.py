"""Every part of the framework has its place in the import rules of ``pyproject.toml``."""

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import nasbench_lab

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
CONTRACTS = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]


def test_every_package_and_module_is_named_in_one_layer():
    (layers,) = (one["layers"] for one in CONTRACTS if one["type"] == "layers")
    named = [name for layer in layers for name in layer.split(" | ")]
    assert sorted(named) == sorted(m.name for m in pkgutil.iter_modules(nasbench_lab.__path__))


@pytest.mark.parametrize("package", ["algorithms", "tabular_data"])
def test_what_may_be_imported_is_an_allow_list(package):
    (contract,) = (one for one in CONTRACTS if one.get("source_modules") == [package])
    assert "nasbench_lab.*" in contract["forbidden_modules"]
    allowed = {one.partition(" -> ")[2] for one in contract["ignore_imports"]}
    folder = Path(nasbench_lab.__file__).parents[1] / package
    imports = r"^ *from (nasbench_lab[\w.]*) import (.+)$"
    for file in folder.rglob("*.py"):
        for module, names in re.findall(imports, file.read_text("utf-8"), re.M):
            full = f"{module}.{names}" if module == "nasbench_lab" else module
            parts = full.split(".")
            rooms = {".".join(parts[:2]), f"{'.'.join(parts[:2])}.**"}
            assert rooms & allowed, f"{file} imports {full}"
