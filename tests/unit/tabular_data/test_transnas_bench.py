"""TransNAS-Bench-101: files written by the tests in the form of the real ones, and these if there."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from nasbench_lab.errors import MissingSourceError, TableFileError, UnknownNameError
from nasbench_lab.registry import import_file, load_benchmark, open_table
from nasbench_lab.running.transfer import agreement_of, study_transfer, tasks_of_family
from nasbench_lab.spaces import get_space
from tabular_data.transnas_bench import FORMAT, TASKS, recognise

pytestmark = pytest.mark.long

REAL = Path(__file__).parents[4] / "shared" / "data" / "transnas"
NEEDS_REAL = pytest.mark.skipif(not REAL.exists(), reason=f"needs the real data in {REAL}")
HEADER = ("architecture", *sorted(TASKS))


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


def values(n, seed=0):
    """Values in the ranges of the tasks, some of which agree."""
    rng = np.random.default_rng(seed)
    good = rng.random(n)
    found = {}
    for i, (task, measured) in enumerate(TASKS.items()):
        value = (1 - i / 7) * good + (i / 7) * rng.random(n)
        scale = {"%": 90, "1": -1 if measured.quantity == "negative_loss" else 0.7}
        found[task] = scale[measured.unit] * value
    return found


def write(path, texts, found):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for i, text in enumerate(texts):
            rows.writerow([text, *(repr(float(found[task][i])) for task in HEADER[1:])])
    return path


def all_of(space, path, seed=0):
    """A file of all architectures, in an order of its own."""
    space = get_space(space)
    order = np.random.default_rng(seed).permutation(space.size)
    texts, found = space.to_string(space.at(order)), values(space.size, seed)
    return write(path, texts, found), texts, found


@pytest.mark.parametrize("name", ["transnas-micro", "transnas-macro"])
def test_every_value_is_read_for_its_task(name, tmp_path):
    path, texts, found = all_of(name, tmp_path / "any name.csv")
    table = import_file(path)
    assert table.name == table.space.name == name
    assert len(table) == table.space.size == len(texts)
    assert table.info.missing == ()
    assert list(table.info.tasks) == list(TASKS)
    architectures = table.space.from_string(texts)
    for task, measured in TASKS.items():
        benchmark = load_benchmark(f"{name}/{task}")
        column = table.column(benchmark.first_objective)
        assert (column.quantity, column.unit) == (measured.quantity, measured.unit)
        assert (column.split, column.dataset, column.maximize) == ("valid", task, True)
        assert column.name == benchmark.report.metric
        assert table.query(architectures, column.name).tolist() == found[task].tolist()
        assert table.optimum(column.name) == found[task].max()
        assert (benchmark.clock, benchmark.epochs) == ("evaluations", None)
    with pytest.raises(UnknownNameError, match="mean 'segmentsemantic'"):
        load_benchmark(f"{name}/segmentation")


def test_tasks_are_a_family_and_agree_over_all_cells(tmp_path):
    path, _, found = all_of("transnas-micro", tmp_path / "cells.csv")
    import_file(path)
    tasks = tasks_of_family("transnas-micro")
    assert tasks == [f"transnas-micro/{task}" for task in TASKS]
    agreement = agreement_of(tasks)
    # Cells that are the same network count each, as the benchmark trained them each.
    for one, other in ((0, 1), (2, 6)):
        names = list(TASKS)[one], list(TASKS)[other]
        expected = spearmanr(found[names[0]], found[names[1]])[0]
        assert agreement.iloc[one, other] == pytest.approx(expected)


def test_before_the_import_both_are_known_and_say_what_they_need():
    for name in FORMAT.tables:
        with pytest.raises(MissingSourceError, match=r"architecture.*nasbench-lab import PATH"):
            open_table(name)
        with pytest.raises(MissingSourceError, match="nasbench-lab import PATH"):
            tasks_of_family(name)


SMALL = get_space("transnas-micro").to_string(get_space("transnas-micro").at(np.arange(40)))


def garbled(tmp_path, change, texts=SMALL):
    path = write(tmp_path / "micro.csv", texts, values(len(texts)))
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines))
    return path


def replaced(line, old, new):
    def change(lines):
        assert old in lines[line - 1]
        lines[line - 1] = lines[line - 1].replace(old, new, 1)

    return change


def cut(lines):
    lines[-1] = lines[-1][:40]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(3, SMALL[1], "64-41414-4_00_001"), r"line 3: Expected a cell such as 64-41414-1"),
        (replaced(3, SMALL[1], "64-112314-basic"), r"line 3: Expected a cell such as 64-41414-1"),
        (replaced(5, SMALL[3], SMALL[0]), r"line 2 and line 5 are the same architecture"),
        (
            replaced(4, ",0.", ",many 0."),
            r"line 4: expected a finite number in 'autoencoder'.*many",
        ),
        (replaced(4, ",0.", ",1e999"), r"line 4: expected a finite number in 'autoencoder'"),
        (replaced(6, ",0.", ",,0."), r"line 6: it has 9 cells instead of 8"),
        (cut, r"line 41: it has \d cells? instead of 8"),
        (lambda lines: lines.__setitem__(slice(1, None), []), "no rows"),
    ],
)
def test_damage_is_told_with_its_line(change, message, tmp_path):
    path = garbled(tmp_path, change)
    with pytest.raises(TableFileError, match=message) as error:
        import_file(path)
    assert str(path) in str(error.value) or "no rows" in message


def test_an_impossible_accuracy_is_refused(tmp_path):
    found = values(40)
    found["jigsaw"][7] = 101
    path = write(tmp_path / "micro.csv", SMALL, found)
    with pytest.raises(TableFileError, match=r"line 9: expected a value of accuracy in % from 0"):
        import_file(path)


def test_a_part_says_what_is_missing_and_searches_move_in_it(tmp_path):
    table = import_file(write(tmp_path / "micro.csv", SMALL, values(40)), name="part")
    assert table.info.missing == ("4,056 of the 4,096 architectures are not in the file.",)
    assert load_benchmark("part/normal").space.size == 40


def test_other_files_are_left_to_others(tmp_path):
    path = write(tmp_path / "micro.csv", SMALL, values(40))
    assert recognise(path) == "transnas-micro"
    lines = path.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(line.rpartition(",")[0] for line in lines))  # a task is not there
    assert recognise(other) is None
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "absent.csv") is None
    for content in (b"", b"\x00\xff\xfe", b"PAR1", b"architecture", b"\x80\x04."):
        other.write_bytes(content)
        assert recognise(other) is None
    # A mapping file of the user's says otherwise.
    (tmp_path / "micro.toml").write_text("[table]\n")
    assert recognise(path) is None


# The real files


@pytest.fixture
def real(data_folder):
    return {name: import_file(REAL / f"{name}.csv") for name in ("micro", "macro")}


@NEEDS_REAL
def test_the_real_files_have_all_values(real):
    for name, table in real.items():
        assert table.name == f"transnas-{name}"
        assert len(table) == table.space.size == {"micro": 4_096, "macro": 3_256}[name]
        assert table.info.missing == ()
        with open(REAL / f"{name}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        architectures = table.space.from_string([row["architecture"] for row in rows])
        for task in TASKS:
            column = load_benchmark(f"{table.name}/{task}").report.metric
            expected = [float(row[task]) for row in rows]
            assert table.query(architectures, column).tolist() == expected


@NEEDS_REAL
def test_the_real_tasks_agree_as_is_known(real):
    agreement = agreement_of(tasks_of_family("transnas-micro")).to_numpy()
    others = agreement[~np.eye(7, dtype=bool)]
    assert round(others.min(), 2) == 0.06
    assert round(others.max(), 2) == 0.87
    means = (agreement.sum(axis=0) - 1) / 6
    assert list(TASKS)[means.argmin()] == "autoencoder"


@NEEDS_REAL
@pytest.mark.parametrize(
    "name", ["transnas-micro", pytest.param("transnas-macro", marks=pytest.mark.slow)]
)
def test_a_transfer_study_runs_on_the_real_tasks(real, name, tmp_path):
    study = study_transfer(
        name,
        ["random_search", "transfer_zero_shot"],
        budget=5,
        seeds=2,
        folder=tmp_path / "study",
        n_jobs=1,
    )
    assert study.tasks == [f"{name}/{task}" for task in TASKS]
    frame = study.per_task()
    assert len(frame) == 7 * 2
    assert (frame["regret"] >= 0).all()
    assert study.least_alike[0].removeprefix(f"{name}/") in TASKS
