"""A result has runs of one version of an algorithm's code, whatever is edited meanwhile."""

import importlib
import json
import linecache
import subprocess
import sys
from dataclasses import replace

import pytest

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.errors import ExperimentError, TableFileError
from nasbench_lab.experiment.differences import differences
from nasbench_lab.registry import algorithm_class
from nasbench_lab.results.parts import write_shard
from nasbench_lab.results.result import Result, merged
from nasbench_lab.running.comparison import compare

pytestmark = pytest.mark.long

DIGITS = "nb201-digits"
SHORT = {"benchmarks": DIGITS, "budget": 1, "n_jobs": 1}

EDITS = """
import os
from pathlib import Path
from nasbench_lab import SearchAlgorithm
import helper

STEP = 0

class Edits(SearchAlgorithm):
    def ask(self):
        for name in ("mine.py", "helper.py", "late.py"):
            file = Path(__file__).with_name(name)
            text = file.read_text().replace("STEP = 0", "STEP = 1")
            new = file.with_name(f"{name}.{os.getpid()}")
            new.write_text(text)
            os.replace(new, file)
        from late import step
        return self.trial((STEP, helper.STEP, step(), 0, 0, 0))
"""


def write_edits(folder):
    (folder / "helper.py").write_text("STEP = 0")
    (folder / "late.py").write_text("STEP = 0\ndef step():\n    return STEP")
    file = folder / "mine.py"
    file.write_text(EDITS)
    return f"{file}:Edits"


def asked(result):
    """The different architectures that runs asked for first."""
    return {tuple(run.trace.architecture[0].tolist()) for run in result.runs}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_all_runs_are_of_the_code_that_was_there_at_the_start(tmp_path, n_jobs):
    spec, folder = write_edits(tmp_path), tmp_path / "r"
    before = {f"{name}.py": (tmp_path / f"{name}.py").read_text() for name in ("mine", "late")}
    result = compare([spec], DIGITS, budget=1, seeds=24, n_jobs=n_jobs, folder=folder)
    assert len(result.runs) == 24
    assert asked(result) == {(0,) * 6}
    (entry,) = Result.open(folder).experiment.algorithms
    assert list(entry.code) == ["helper.py", "late.py", "mine.py"]
    assert [dict(run.code) for run in Result.open(folder).runs] == [entry.code] * 24
    assert (tmp_path / "mine.py").read_text() != before["mine.py"]
    # The workers, which stay, run another code now.
    assert asked(compare([spec], DIGITS, budget=1, seeds=24, n_jobs=n_jobs)) == {(1, 1, 1, 0, 0, 0)}


def write_mine(folder, *, value=3, helper="pick", top="import helper", inside="pass"):
    folder.mkdir(exist_ok=True)
    (folder / "helper.py").write_text(f"def {helper}():\n    return ({value},) * 6\n")
    (folder / "mine.py").write_text(
        f"from nasbench_lab import SearchAlgorithm\n{top}\n\nclass Mine(SearchAlgorithm):\n"
        f"    def ask(self):\n        {inside}\n        return self.trial(helper.pick())\n"
    )
    return f"{folder / 'mine.py'}:Mine"


def lose_a_part(folder):
    max((folder / "runs").iterdir()).unlink()


@pytest.mark.parametrize(
    "imports",
    [{"top": "", "inside": "import helper"}, pytest.param({}, marks=pytest.mark.slow)],
)
def test_what_was_begun_does_not_go_on_with_another_helper(tmp_path, imports):
    spec, folder = write_mine(tmp_path, **imports), tmp_path / "r"
    whole = compare([spec], **SHORT, seeds=4, folder=folder)
    lose_a_part(folder)
    write_mine(tmp_path, value=0, **imports)
    with pytest.raises(ExperimentError, match=r"algorithms Mine: helper\.py has changed\. Give"):
        compare([spec], **SHORT, seeds=4, folder=folder)
    assert len(Result.open(folder).runs) == 3
    write_mine(tmp_path, **imports)
    assert asked(compare([spec], **SHORT, seeds=4, folder=folder)) == asked(whole) == {(3,) * 6}


def test_a_helper_that_is_new_or_gone_is_told(tmp_path):
    spec, folder = write_mine(tmp_path), tmp_path / "r"
    compare([spec], **SHORT, seeds=2, folder=folder)
    (tmp_path / "helper.py").rename(tmp_path / "other.py")
    text = (tmp_path / "mine.py").read_text().replace("import helper", "import other as helper")
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ExperimentError) as caught:
        compare([spec], **SHORT, seeds=2, folder=folder)
    for words in ("helper.py is only there", "mine.py has changed", "other.py is only here"):
        assert f"algorithms Mine: {words}" in str(caught.value)


def test_results_of_two_versions_are_not_joined(tmp_path):
    results = {}
    for name, value in (("one", 3), ("other", 0)):
        spec = write_mine(tmp_path / name, value=value)
        results[name] = compare([spec], **SHORT, seeds=[value])
    with pytest.raises(ExperimentError, match=r"cannot be joined.*Mine: helper\.py has changed"):
        merged(results)
    again = compare([write_mine(tmp_path / "again")], **SHORT, seeds=[7])
    joined = merged({"one": results["one"], "again": again})
    joined.save(tmp_path / "joined")
    opened = Result.open(tmp_path / "joined")
    assert [run.code for run in opened.runs] == [results["one"].runs[0].code] * 2


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"mine.py": "0"}, r"mine\.py has changed; more\.py is only there"),
        ({}, r"mine\.py is only there; more\.py is only there"),
    ],
)
def test_a_part_that_ran_other_code_is_refused(tmp_path, other, words):
    spec = write_mine(tmp_path)
    result = compare([spec], **SHORT, seeds=2)
    (algorithm,) = result.experiment.algorithms
    changed = replace(algorithm, code={"mine.py": "1", "more.py": "2"})
    experiment = replace(result.experiment, algorithms=(changed,))
    good, bad = [replace(run, code={"mine.py": "1", "more.py": "2"}) for run in result.runs]
    Result(experiment, [good]).save(tmp_path / "r")
    write_shard(tmp_path / "r", experiment, "000-000-000001", [replace(bad, code=other)])
    with pytest.raises(TableFileError, match=rf"000-000-000001\.parquet .*Mine ran in it.*{words}"):
        Result.open(tmp_path / "r")


def test_what_earlier_versions_noted_is_the_main_file(tmp_path):
    code = {"mine.py": "1", "helper.py": "2"}
    there = {"name": "Mine", "algorithm": "Mine", "file": "C:\\old\\mine.py", "sha256": "1"}
    here = {"name": "Mine", "algorithm": "Mine", "file": "/new/mine.py", "code": code}
    assert differences({"algorithms": [there]}, {"algorithms": [here]}) == [
        "algorithms Mine: helper.py is only here"
    ]


def test_files_of_one_name_in_one_comparison_have_their_own_helpers(tmp_path):
    specs = {str(n): write_mine(tmp_path / str(n), value=n) for n in (1, 2)}
    for n_jobs in (1, 2):
        result = compare(specs, DIGITS, budget=1, seeds=4, n_jobs=n_jobs)
        assert asked(result) == {(1,) * 6, (2,) * 6}
        for label in result.algorithms:
            (trace, *_) = result.traces(DIGITS, label)
            assert str(trace.architecture[0, 0]) == label


# Classes


@pytest.fixture
def imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module
    for name in ("mine", "helper"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_class_is_taken_from_its_file(tmp_path, imported, n_jobs):
    spec = write_mine(tmp_path)
    cls = imported("mine").Mine
    result = compare([cls], DIGITS, budget=1, seeds=4, n_jobs=n_jobs, folder=tmp_path / "r")
    by_path = compare([spec], **SHORT, seeds=4)
    assert result.experiment == by_path.experiment
    assert compare([algorithm_class(spec)], **SHORT, seeds=4).experiment == by_path.experiment
    write_mine(tmp_path, value=0)
    # The module in memory is of before, the file of now.
    with pytest.raises(ExperimentError, match=r"Mine: helper\.py has changed"):
        compare([cls], DIGITS, budget=1, seeds=4, n_jobs=n_jobs, folder=tmp_path / "r")
    assert asked(compare([cls], DIGITS, budget=1, seeds=4, n_jobs=n_jobs)) == {(0,) * 6}


SCRIPT = """
import json
import linecache
import sys
from nasbench_lab import SearchAlgorithm
from nasbench_lab.running.comparison import compare
{top}

def pick():
    {inside}
    return helper.pick()

class Mine(SearchAlgorithm):
    def ask(self):
        return self.trial(pick())

if __name__ == "__main__":
    result = compare([Mine], "nb201-digits", budget=1, seeds=4, n_jobs=2, folder="r")
    {then}
    print(json.dumps([[t.architecture.tolist() for t in result.traces("nb201-digits", "Mine")],
        list(result.experiment.algorithms[0].code)]))
"""


def run_script(folder, **parts):
    parts = {"top": "import helper", "inside": "pass", "then": "pass", **parts}
    (folder / "script.py").write_text(SCRIPT.format(**parts))
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "imports", [pytest.param({}, marks=pytest.mark.slow), {"top": "", "inside": "import helper"}]
)
def test_a_class_of_a_script_is_sent_with_what_it_imports(tmp_path, imports):
    write_mine(tmp_path)
    again = (
        "open('helper.py', 'w').write('def pick():\\n\\n    return (1,) * 6\\n')\n"
        "    import importlib, helper; importlib.reload(helper)\n"
        "    result = compare([Mine], 'nb201-digits', budget=1, seeds=4, n_jobs=2)"
    )
    done = run_script(tmp_path, then=again, **imports)
    assert done.returncode == 0, done.stderr
    traces, code = json.loads(done.stdout)
    # The workers of before have the other helper, and are sent the new one.
    assert traces == [[[1] * 6]] * 4
    assert code == ["Mine", "pick", "helper.py"]
    assert asked(Result.open(tmp_path / "r")) == {(3,) * 6}
    lose_a_part(tmp_path / "r")
    done = run_script(tmp_path, **imports)
    assert done.returncode == 1
    assert "algorithms Mine: helper.py has changed." in done.stderr
    write_mine(tmp_path)
    done = run_script(tmp_path, **imports)
    assert done.returncode == 0, done.stderr
    done = run_script(tmp_path, **{**imports, "inside": "import helper, os"})
    assert "algorithms Mine: pick has changed." in done.stderr


def test_a_module_that_is_older_in_memory_than_on_disk_is_refused(tmp_path, imported):
    write_mine(tmp_path)
    helper = imported("helper")

    class Local(SearchAlgorithm):
        def ask(self):
            return self.trial(helper.pick())

    assert asked(compare([Local], **SHORT, seeds=2)) == {(3,) * 6}
    write_mine(tmp_path, value=12)
    with pytest.raises(ExperimentError, match=r"helper\.py has changed since Python imported it"):
        compare([Local], **SHORT, seeds=2)
    importlib.reload(helper)
    write_mine(tmp_path, value=12)
    with pytest.raises(Exception, match="not of"):
        compare([Local], **SHORT, seeds=2)


def test_a_class_knows_the_source_of_what_it_uses():
    def pick():
        return (3,) * 6

    several = [pick]

    class Base(SearchAlgorithm):
        def ask(self):
            return self.trial(several[0]())

    class Local(Base):
        pass

    (entry,) = compare([Local], **SHORT, seeds=1).experiment.algorithms
    name = "test_a_class_knows_the_source_of_what_it_uses.<locals>"
    assert {f"{name}.{one}" for one in ("Base", "Local", "pick")} <= set(entry.code)
    assert entry.file is None


def cell(text, names):
    """Runs a text as a notebook runs a cell."""
    file = f"<cell {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), names)


def test_a_class_of_a_notebook_is_told_apart_by_its_cells():
    names = {"__name__": "__main__", "SearchAlgorithm": SearchAlgorithm}
    pick = "def pick():\n    return (3,) * 6\n"
    mine = "class Mine(SearchAlgorithm):\n    def ask(self):\n        return self.trial(pick())\n"
    experiments = []
    for text in (pick, mine, f"\n# Once more.\n{mine}", pick.replace("3", "0")):
        cell(text, names)
        if "Mine" in names:
            experiments.append(compare([names["Mine"]], **SHORT, seeds=1).experiment)
    one, same, other = experiments
    assert list(one.algorithms[0].code) == ["Mine", "pick"]
    assert one.differences(same) == []
    assert one.differences(other) == ["algorithms Mine: pick has changed"]
