"""Plug-ins that are broken, and folders that hide the packages of nasbench-lab."""

import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = {
    "nasbench_lab.algorithms": "cannot_be_imported",
    "nasbench_lab.tables": "cannot_be_imported",
    "nasbench_lab.spaces": "cannot_be_imported:make",
}
CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def install(folder, name, entries, **modules):
    """Makes a distribution with entry points, as pip leaves one in a folder of sys.path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line for group, value in entries.items() for line in (f"[{group}]", f"{name} = {value}")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)


def python(code, folder):
    """Runs code as a notebook of a folder would, whose modules come first."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"],
        capture_output=True,
        text=True,
        cwd=folder,
    )


def command(*arguments):
    return f"from nasbench_lab.cli import main\nsys.argv = {['nasbench-lab', *arguments]!r}\nmain()"


@pytest.mark.parametrize(
    "text",
    [
        "import sys; sys.exit(3)",
        pytest.param("raise OSError('no such device')", marks=pytest.mark.slow),
    ],
)
def test_a_broken_plug_in_is_left_out_with_one_warning(tmp_path, text):
    install(tmp_path, "broken", BROKEN, cannot_be_imported=text)
    done = python(command("draw", CELL, "--output", "cell.svg"), tmp_path)
    assert (done.returncode, (tmp_path / "cell.svg").exists()) == (0, True), done.stderr
    assert done.stderr.count("The plug-in 'broken' of nasbench_lab.spaces (broken 1.0)") == 1
    for kind in ("algorithms", "tables"):
        done = python(command("list", kind, "--json"), tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("is left out") <= 1
        assert '"' in done.stdout


def test_a_sound_plug_in_beside_a_broken_one_is_there(tmp_path):
    install(tmp_path, "broken", BROKEN)
    space = (
        "from nasbench_lab.spaces import Decision, SearchSpace\n"
        "def make():\n    return SearchSpace('pair', [Decision('a', 'xy')])\n"
    )
    install(tmp_path, "sound", {"nasbench_lab.spaces": "sound_space:make"}, sound_space=space)
    done = python(command("list", "spaces", "--json"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"sound"' in done.stdout
    assert '"broken"' not in done.stdout


def test_an_algorithm_that_cannot_be_imported_is_left_out_of_the_list(tmp_path):
    package = tmp_path / "their_searches"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bad.py").write_text("import something_that_is_not_installed\n")
    install(tmp_path, "theirs", {"nasbench_lab.algorithms": "their_searches"})
    done = python(command("list", "algorithms", "--json"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "'bad' cannot be imported" in done.stderr
    assert '"gp_bo"' in done.stdout
    assert '"bad"' not in done.stdout


@pytest.mark.parametrize(
    ("name", "kind"), [("algorithms", "folder"), ("tabular_data", "folder"), ("algorithms", "file")]
)
def test_what_hides_a_package_is_named(tmp_path, name, kind):
    hiding = tmp_path / f"{name}.py" if kind == "file" else tmp_path / name / "__init__.py"
    hiding.parent.mkdir(exist_ok=True)
    hiding.write_text("raise RuntimeError('code of the folder was run')")
    code = "import nasbench_lab as lab\nlab.run('random_search', 'nas-bench-graph/cora', 3)"
    done = python(code, tmp_path)
    assert done.returncode == 1
    assert "code of the folder was run" not in done.stderr
    last = done.stderr.strip().rpartition("\n")[2]
    assert "ShadowedPackageError" in last
    assert str(Path(hiding).resolve()) in last
    assert "Rename that" in last


def test_a_folder_without_code_hides_nothing(tmp_path):
    (tmp_path / "algorithms").mkdir()
    (tmp_path / "algorithms" / "notes.txt").write_text("mine")
    code = "import nasbench_lab as lab\nlab.run('random_search', 'nas-bench-graph/cora', 3)"
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
