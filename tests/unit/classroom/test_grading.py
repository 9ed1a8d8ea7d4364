import html
import json
import math
import pickle
import re
import signal
import subprocess
import sys
import threading

import pytest
from classes import CLIMBER, LINE, MISTAKES, SAMPLER, class_of_thirty, hand_in, with_line
from waiting import wait_for

import nasbench_lab as lab
from nasbench_lab import stats
from nasbench_lab.classroom import grading
from nasbench_lab.classroom.entries import entries_in, lines_that_draw
from nasbench_lab.classroom.grading import Rules, grade
from nasbench_lab.errors import ExperimentError, MissingSourceError
from nasbench_lab.user_code.code import Code

pytestmark = pytest.mark.long

CORA, DIGITS = "nas-bench-graph/cora", "nb201-digits"
SEEDS = [1234567, 7654321]
RULES = Rules(time_limit=0.5, wall_limit=100_000.0)
"""One that never ends is ended by its processor time; whoever ends takes a small part of that."""


def graded(folder, output, **options):
    settings = {"budget": 10, "seeds": SEEDS, "rules": RULES, "n_jobs": 2, **options}
    if not {"benchmarks", "hidden"} & set(settings):
        settings["benchmarks"] = [CORA]
    return grade(folder, ["random_search"], output=output, **settings)


def of(grades):
    return {line.name: line for line in grades.lines}


# A class with every mistake


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    hand_in(folder / "handed_in", {"ada": CLIMBER, "ben": CLIMBER, **MISTAKES})
    return graded(folder / "handed_in", folder / "out", benchmarks=[CORA], hidden=[DIGITS]), folder


def test_one_that_fails_stops_nobody(classroom):
    lines = of(classroom[0])
    assert set(lines) == {"random_search", "ada", "ben", *MISTAKES}
    found = {name: len(line.found) for name, line in lines.items()}
    nothing = dict.fromkeys(("syntax", "raises", "endless", "reads_table"), 0)
    assert found == dict.fromkeys(lines, 4) | nothing


WRONG = {
    "syntax": "4 runs: syntax.py cannot be imported: SyntaxError: expected ':' (syntax.py, line 7)",
    "raises": "4 runs: KeyError: 'missing' (raises.py, line 7, in ask)",
    "endless": "4 runs: it used more than its 0.5 s of processor time (endless.py, line 7, in ask)",
    "reads_table": "(reads_table.py, line 7, in ask); a search learns",
    "prints": "It prints 'sampling' (prints.py, line 7, in ask)",
    "global_draw": "It drew from random (global_draw.py, line 7). Use self.rng",
}


@pytest.mark.parametrize("name", WRONG)
def test_the_note_of_a_student_names_their_line(classroom, name):
    grades, folder = classroom
    note = (folder / "out" / "notes" / f"{name}.md").read_text()
    assert note == grades.note(of(grades)[name])
    assert WRONG[name] in note
    others = {"ada", "ben", *MISTAKES} - {name}
    assert not any(f"{other}.py" in note for other in others)
    assert str(folder) not in note
    if name not in ("prints", "global_draw"):
        line = MISTAKES[name].splitlines()[LINE - 1].strip()
        assert f"{name}.py:{LINE}    {line}" in note


def test_runs_of_students_are_those_of_compare(classroom):
    grades, folder = classroom
    named = {name: f"{folder / 'handed_in' / name}.py:Climber" for name in ("ada", "ben")}
    result = lab.compare(named, [CORA, DIGITS], budget=10, seeds=SEEDS, n_jobs=1)
    for name in named:
        for label, table in ("nas-bench-graph/cora", CORA), ("hidden table 1", DIGITS):
            traces = [run.trace for run in result.runs if run.cell[:2] == (table, name)]
            expected = [
                stats.final_value(trace, lab.load_benchmark(table), "valid_regret")
                for trace in traces
            ]
            assert of(grades)[name].of(label) == expected


def test_what_students_may_see_has_neither_seeds_nor_hidden_tables(classroom):
    _, folder = classroom
    files = [file for file in (folder / "out").rglob("*") if file.is_file()]
    public = [file for file in files if "private" not in file.parts]
    assert {file.name for file in public} >= {"grades.csv", "leaderboard.html", "ada.md"}
    for file in public:
        text = file.read_text()
        assert DIGITS not in text.replace("load_benchmark('nb201-digits')", "")
        assert not any(str(seed) in text for seed in SEEDS)


def test_the_table_is_sorted_and_tests_against_the_algorithm(classroom):
    grades, _ = classroom
    frame = grades.to_frame()
    assert list(frame["rank"]) == sorted(frame["rank"])
    assert frame.set_index("name").loc["ada", "runs"] == 4
    last = frame[frame["runs"] == 0]
    assert set(last["place"]) == {5}
    assert set(frame["kind"]) == {"student", "baseline"}
    (reference,) = frame[frame["kind"] == "baseline"].to_dict(orient="records")
    assert reference["name"] == "random_search"
    assert reference["against random_search"] == ""


def test_the_page_loads_nothing_and_has_every_student(classroom):
    page = html.unescape((classroom[1] / "out" / "leaderboard.html").read_text())
    assert all(f">{name}<" in page for name in ("ada", "ben", *MISTAKES))
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_what_is_graded_is_not_graded_again(classroom, monkeypatch):
    before, folder = classroom
    began = []
    run_all = grading._run_all

    def noted(work, entry, *rest):
        began.append(entry.student)
        run_all(work, entry, *rest)

    monkeypatch.setattr(grading, "_run_all", noted)
    options = {"benchmarks": [CORA], "hidden": [DIGITS]}
    again = graded(folder / "handed_in", folder / "out", **options)
    assert began == []
    assert again.to_frame().equals(before.to_frame())
    # What a killed grading has not kept, and what has been handed in anew, is graded.
    (folder / "out" / "private" / "students" / "ada.json").unlink()
    (folder / "handed_in" / "raises.py").write_text(SAMPLER)
    again = graded(folder / "handed_in", folder / "out", **options)
    assert sorted(began) == ["ada", "raises"]
    assert of(again)["ada"].values == of(before)["ada"].values
    assert len(of(again)["raises"].found) == 4
    assert not of(again)["raises"].wrongs
    with pytest.raises(ExperimentError, match="holds another grading"):
        graded(folder / "handed_in", folder / "out", **options, budget=11)


# Those who try more


TRICKS = {
    "exits": (with_line("os._exit(0)"), r"os\._exit\(0\)"),
    "starts": (with_line("os.system('true')"), "os.system"),
    "hoards": (with_line("bytearray(4 << 30)"), "MemoryError"),
    "dies": (with_line("ctypes.string_at(0)", "ctypes"), "Segmentation fault"),
    "imports": (with_line("import ada"), "No module named 'ada'"),
    "hides": (
        with_line('exec(\'try: open(__file__.replace("hides", "ada"))\\nexcept: pass\')'),
        "ada.py",
    ),
    "writes": (with_line("open(__file__, 'a')"), "working folder only"),
    "tuples": (with_line("return self.trial((99,) * 4)"), "99"),
    "babbles": (
        with_line(
            "[os.write(i, b'{') for i in range(3, 30) if os.path.exists(f'/proc/self/fd/{i}')]"
        ),
        ".",
    ),
}


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    if not sys.platform.startswith("linux"):
        pytest.skip("limits of memory, and the numbers of open files, are those of Linux")
    folder = tmp_path_factory.mktemp("tricks")
    hand_in(folder / "in", {"ada": CLIMBER, **{name: text for name, (text, _) in TRICKS.items()}})
    return of(graded(folder / "in", folder / "out", seeds=[3], budget=3)), folder


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_end_the_run_of_who_tries_them(tried, name):
    line = tried[0][name]
    assert line.found == []
    (wrong,) = line.wrongs
    assert re.search(TRICKS[name][1], wrong)
    if name not in ("tuples", "babbles", "imports"):
        assert f"{name}.py, line {LINE}" in wrong or "writes.py, line" in wrong


def test_tricks_change_nothing_for_others(tried):
    lines, folder = tried
    assert len(lines["ada"].found) == 1
    assert not lines["ada"].wrongs
    assert (folder / "in" / "writes.py").read_text() == TRICKS["writes"][0]


def test_one_that_waits_is_ended_by_real_time(tmp_path):
    hand_in(tmp_path / "in", {"waits": with_line("time.sleep(10**6)", "time")})
    rules = Rules(wall_limit=0.5)
    grades = graded(tmp_path / "in", tmp_path / "out", seeds=[1], rules=rules)
    (wrong,) = of(grades)["waits"].wrongs
    assert re.fullmatch(
        r"it was not finished after 0\.5 s of real time( \(.* line \d+, in .*\))?", wrong
    )


def test_a_process_is_given_no_name_and_no_value_of_a_table(tmp_path, monkeypatch):
    starts = []

    class Noted(grading.StudentProcess):
        def __init__(self, start, wall_s):
            starts.append(start)
            super().__init__(start, wall_s)

    monkeypatch.setattr(grading, "StudentProcess", Noted)
    hand_in(tmp_path / "in", {"ada": SAMPLER})
    graded(tmp_path / "in", tmp_path / "out", hidden=[CORA], seeds=SEEDS[:1], budget=2)
    (start,) = starts
    assert len(pickle.dumps(start.problems)) < 2000 < len(lab.load_benchmark(CORA).table)
    assert start.problems[0].space == lab.load_benchmark(CORA).space
    assert not [field for field in vars(start.problems[0]).values() if CORA in str(field)]


# Searches that do more than ask and tell

MORE = {
    "random": f"import random\n{CLIMBER}",  # a file with the name of a module
    "stops": "from algorithms.learning_curve_stopping import LearningCurveStopping\n\n\n"
    "class Stops(LearningCurveStopping):\n    pass\n",
    "continues": "from algorithms.asha import ASHA\n\n\nclass Continues(ASHA):\n    pass\n",
    "works": "from nasbench_lab import Work\n"
    + SAMPLER.replace("Sampler", "Works").replace(
        "        return",
        "        self.done = not getattr(self, 'done', False)\n"
        "        if self.done:\n"
        "            return Work(seconds=2.0, architecture=self.space.sample(self.rng))\n"
        "        return",
    ),
}
CLASSES = {"random": "Climber", "stops": "Stops", "continues": "Continues", "works": "Works"}


def test_searches_that_stop_continue_or_work_run_as_in_compare(tmp_path):
    folder = hand_in(tmp_path / "in", MORE)
    options = {"benchmarks": [DIGITS], "seeds": SEEDS[:1], "budget": "100s", "rules": Rules()}
    grades = graded(folder, tmp_path / "out", **options)
    named = {name: f"{folder / name}.py:{cls}" for name, cls in CLASSES.items()}
    result = lab.compare(named, DIGITS, budget="100s", seeds=SEEDS[:1], n_jobs=1)
    for run in result.runs:
        line = of(grades)[run.algorithm]
        value = stats.final_value(run.trace, lab.load_benchmark(DIGITS), "valid_regret")
        assert line.of(DIGITS) == [value]
        assert not line.wrongs
        assert line.algorithm == CLASSES[run.algorithm]


# What is handed in


def test_a_folder_of_a_student_may_have_several_files(tmp_path):
    hand_in(tmp_path / "ada", {"search": f"import helper\n{CLIMBER}", "helper": "x = 1\n"})
    hand_in(tmp_path / "ben", {"one": CLIMBER, "two": SAMPLER})
    hand_in(tmp_path / "cyd", {"empty": ""})
    hand_in(tmp_path, {"dan": CLIMBER, "_template": SAMPLER})
    (tmp_path / "notes.txt").write_text("")
    ada, ben, cyd, dan = entries_in(tmp_path)
    assert {source.module for source in ada.code.sources} == {"search", "helper"}
    assert ben.code is None
    assert "one.py, two.py" in ben.error
    assert cyd.code is not None  # it is told when it is executed
    assert dan.student == "dan"
    assert set(ada.checksums) == {"search.py", "helper.py"}
    hand_in(tmp_path, {"Ada": CLIMBER})
    with pytest.raises(ExperimentError, match="one name: ada"):
        entries_in(tmp_path)


def test_a_student_may_have_the_name_of_an_algorithm(tmp_path):
    broken = MISTAKES["syntax"]
    folder = hand_in(tmp_path / "in", {"random_search": broken})
    grades = graded(folder, tmp_path / "out", seeds=[1], budget=2)
    baseline, student = grades.lines
    assert (baseline.rank, student.rank) == (1, 2)
    assert grades.to_frame()["kind"].tolist() == ["baseline", "student"]


def test_a_class_that_is_not_there_or_not_the_only_one_is_told(tmp_path):
    two = CLIMBER + SAMPLER.partition("\n")[2]
    hand_in(tmp_path / "in", {"two": two, "none": "x = 1\n"})
    grades = of(graded(tmp_path / "in", tmp_path / "out", seeds=[1], budget=2))
    assert "Climber, Sampler" in next(iter(grades["two"].wrongs))
    assert "such classes there are: none" in next(iter(grades["none"].wrongs))
    rules = Rules(class_name="Sampler")
    grades = of(graded(tmp_path / "in", tmp_path / "o2", seeds=[1], budget=2, rules=rules))
    assert len(grades["two"].found) == 1
    assert grades["two"].algorithm == "Sampler"


def test_what_cannot_be_graded_is_refused(tmp_path):
    with pytest.raises(MissingSourceError, match="no folder"):
        graded(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExperimentError, match="Nothing is handed in"):
        graded(tmp_path / "empty", tmp_path / "out")
    folder = hand_in(tmp_path / "in", {"ada": SAMPLER})
    with pytest.raises(ExperimentError, match="outside of"):
        graded(folder, folder / "out")
    with pytest.raises(ExperimentError, match="at least one table"):
        graded(folder, tmp_path / "out", benchmarks=[])
    with pytest.raises(ExperimentError, match="to grade by"):
        Rules(metric="hypervolume")


DRAWS = [
    ("import random\nx = random.random()", "random", [2]),
    ("import random as r\nx = 1\nr.shuffle([])", "random", [3]),
    ("from random import choice\nx = choice([1])", "random", [2]),
    ("import numpy as np\nx = np.random.rand(3)", "numpy.random", [2]),
    ("from numpy import random\nrandom.seed(1)", "numpy.random", [2]),
    ("import numpy as np\nrng = np.random.default_rng(1)\nrng.random()", "numpy.random", []),
    ("import random\nx = random.Random(1).random()", "random", []),
    ("import torch\nx = torch.randn(3)\ny = torch.zeros(3)", "torch", [2]),
]


@pytest.mark.parametrize(("text", "module", "lines"), DRAWS)
def test_lines_that_draw(text, module, lines, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(text)
    expected = [f"{file}, line {line}" for line in lines]
    assert lines_that_draw(Code.of(file), module) == expected


# Seeds that are drawn, and gradings that are killed


def test_seeds_are_drawn_once_and_differ_between_gradings(tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": SAMPLER})
    drawn = []
    for name in ("a", "b", "a"):
        graded(folder, tmp_path / name, seeds=2, budget=2)
        drawn.append(
            json.loads((tmp_path / name / "private" / "settings.json").read_text())["drawn"]
        )
    assert drawn[0] == drawn[2] != drawn[1]
    assert all(len(set(one)) == 2 for one in drawn)


def test_an_interrupted_grading_ends_those_at_work(tmp_path):
    folder = hand_in(tmp_path / "in", {"ada": SAMPLER, "endless": MISTAKES["endless"]})

    def stop(*_):
        raise KeyboardInterrupt

    options = {
        "seeds": [1],
        "budget": 2,
        "n_jobs": 2,
        "rules": Rules(time_limit=100_000.0, wall_limit=100_000.0),
    }
    with pytest.raises(KeyboardInterrupt):
        graded(folder, tmp_path / "out", **options, progress=stop)
    assert not [t for t in threading.enumerate() if "ThreadPool" in t.name]
    assert not (tmp_path / "out" / "private" / "students" / "endless.json").exists()


@pytest.mark.slow
def test_thirty_files_and_a_kill_in_between(tmp_path):
    folder = hand_in(tmp_path / "in", class_of_thirty())
    command = [sys.executable, "-m", "nasbench_lab.cli", "grade", folder, "-a", "random_search"]
    command += ["--hidden", DIGITS, "--budget", "30", "--seeds", "6", "--time-limit", "5"]
    command += ["--wall-limit", "100000", "--jobs", "2", "--output", tmp_path / "out"]
    kept = tmp_path / "out" / "private" / "students"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: len(list(kept.glob("*.json"))) > 3, process)
        process.send_signal(signal.SIGKILL)
    n = len(list(kept.glob("*.json")))
    assert 3 < n < 30
    subprocess.run(command, check=True, capture_output=True)
    drawn = json.loads((tmp_path / "out" / "private" / "settings.json").read_text())["drawn"]
    rules = Rules(time_limit=5.0, wall_limit=100_000.0)
    options = {"hidden": [DIGITS], "budget": 30, "seeds": drawn, "rules": rules}
    whole = graded(folder, tmp_path / "whole", **options)
    written = (tmp_path / "out" / "grades.csv").read_text().splitlines()
    assert len(written) == 1 + 31
    lines = of(whole)
    assert sum(not line.found for line in lines.values()) == 4
    assert not math.isfinite(lines["endless"].of("hidden table 1")[0])
    names = [line.name for line in whole.lines]
    assert [row.split(",")[1] for row in written[1:]] == names
