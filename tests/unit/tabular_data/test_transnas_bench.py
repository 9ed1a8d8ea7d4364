"""TransNAS-Bench-101: files written by the tests in the form of the real ones, and these if there."""

import csv
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from nasbench_lab.errors import (
    MissingSourceError,
    TableFileError,
    UnknownNameError,
    UnsafeFileError,
)
from nasbench_lab.registry import import_file, load_benchmark, open_table
from nasbench_lab.running.transfer import agreement_of, study_transfer, tasks_of_family
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Query
from tabular_data.transnas_bench import FORMAT, QUANTITIES, TASKS, recognise

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
    for i, (task, (judged, _)) in enumerate(TASKS.items()):
        value = (1 - i / 7) * good + (i / 7) * rng.random(n)
        found[task] = {"accuracy": 90, "negative_loss": -1, "ssim": 0.7}[judged] * value
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
    for task, (judged, _) in TASKS.items():
        benchmark = load_benchmark(f"{name}/{task}")
        column = table.column(benchmark.first_objective)
        assert (column.quantity, column.unit) == (judged, "%" if judged == "accuracy" else "1")
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
        with pytest.raises(MissingSourceError, match=r"v10141024.pth.*CSV file.*lab import PATH"):
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


def test_cells_do_not_take_the_name_of_the_networks(tmp_path):
    path = write(tmp_path / "micro.csv", SMALL, values(40))
    with pytest.raises(TableFileError, match="is of cells: expected the name transnas-micro"):
        import_file(path, name="transnas-macro")


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


# The official file


METRICS = {
    **dict.fromkeys(("class_object", "class_scene", "jigsaw"), ("top1", "top5", "loss")),
    "room_layout": ("loss", "neg_loss"),
    "segmentsemantic": ("loss", "acc", "mIoU"),
    **dict.fromkeys(("normal", "autoencoder"), ("ssim", "l1_loss")),
}
EPOCHS = {"jigsaw": 2, "normal": 4, "autoencoder": 4, "segmentsemantic": 4}  # of others 3
ONLY_TRAINED = ("train_g_loss", "train_d_loss", "time_elapsed")


def official(n=6, number=float, seed=0):
    """What the authors' class reads: a few architectures of each space, with all their metrics."""
    rng, data = np.random.default_rng(seed), {}
    for space in ("macro", "micro"):
        known = get_space(f"transnas-{space}")
        data[space] = {}
        for text in known.to_string(known.at(rng.permutation(known.size)[:n])):
            data[space][text] = {}
            for task, metrics in METRICS.items():
                epochs = EPOCHS.get(task, 3)
                names = [f"{split}_{m}" for split in ("train", "valid", "test") for m in metrics]
                data[space][text][task] = {
                    "total_epochs": epochs,
                    "model_info": {"inference_time": 0.01, "encoder_params": 123},
                    "metrics": {
                        name: [number(v) for v in rng.random(epochs)]
                        for name in (*names, *ONLY_TRAINED)
                    },
                }
    first = data["macro"][next(iter(data["macro"]))]
    return {
        "data": data,
        "metrics_dict": {task: list(one["metrics"]) for task, one in first.items()},
        "info_names": ["inference_time", "encoder_params"],
        "task_list": list(TASKS),
    }


def saved(path, content, zipped=False):
    """A file as ``torch.save`` writes it, in the layout of before PyTorch 1.6 or after."""
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        return path
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in (*head, content, [])))
    return path


@pytest.mark.parametrize("name", ["transnas-micro", "transnas-macro"])
@pytest.mark.parametrize(("zipped", "number"), [(True, float), (False, np.float64)])
def test_the_official_file_has_every_epoch_of_both_spaces(name, zipped, number, tmp_path):
    content = official(number=number)
    table = import_file(saved(tmp_path / "all.pth", content, zipped), name=name)
    assert table.name == table.space.name == name
    records = content["data"][name.removeprefix("transnas-")]
    assert len(table) == len(records)
    for task, metrics in METRICS.items():
        for split in ("train", "valid", "test"):
            for metric in metrics:
                quantity = QUANTITIES[metric]
                column = table.columns[f"{task}_{split}_{quantity.name}"]
                assert column.epochs == tuple(range(1, EPOCHS.get(task, 3) + 1))
                assert (column.split, column.maximize) == (split, metric not in ("loss", "l1_loss"))
                for text, record in records.items():
                    architecture = table.space.from_string(text)
                    for epoch in column.epochs:
                        expected = record[task]["metrics"][f"{split}_{metric}"][epoch - 1]
                        found = table.query(architecture, Query(column.name, epoch=epoch))
                        assert found == float(expected)
        benchmark = load_benchmark(f"{name}/{task}")
        judged = TASKS[task][0]
        assert benchmark.first_objective.metric == f"{task}_valid_{judged}"
        assert benchmark.report.metric == f"{task}_test_{judged}"
        assert (benchmark.epochs, benchmark.clock) == (EPOCHS.get(task, 3), "evaluations")
    assert not any("time" in column or "g_loss" in column for column in table.columns)
    assert any("Times, parameters and FLOPs are left out" in text for text in table.info.missing)


def test_without_curves_the_last_epoch_is_kept(tmp_path):
    content = official()
    path = saved(tmp_path / "all.pth", content)
    table = import_file(path, curves=False)
    assert table.name == "transnas-micro"
    assert table.columns["jigsaw_test_accuracy"].epochs == (2,)
    for text, record in content["data"]["micro"].items():
        expected = record["jigsaw"]["metrics"]["test_top1"][-1]
        assert table.query(table.space.from_string(text), "jigsaw_test_accuracy") == expected


def test_lists_that_records_share_are_read(tmp_path):
    content = official(3)
    shared = [0.5, 0.25, 0.125]
    for record in content["data"]["micro"].values():
        record["class_scene"]["metrics"]["valid_top1"] = shared  # one object, pickled once
    table = import_file(saved(tmp_path / "all.pth", content))
    assert table.values("class_scene_valid_accuracy").tolist() == [0.125] * 3


def test_gaps_of_the_official_file_are_told(tmp_path):
    content = official(5)
    records = list(content["data"]["micro"].values())
    del records[1]["normal"]
    records[2]["jigsaw"]["metrics"]["valid_top1"][1] = None
    table = import_file(saved(tmp_path / "all.pth", content))
    assert "normal has no values for 1 of the 5 architectures." in table.info.missing
    assert np.isnan(table.values("normal_valid_ssim")).sum() == 1
    assert np.isnan(table.values("jigsaw_valid_accuracy")).sum() == 1


def changed(*keys, to):
    def change(content):
        place = content
        for key in keys[:-1]:
            place = place[next(iter(place)) if key == 0 else key]
        if to is KeyError:
            del place[keys[-1]]
        else:
            place[keys[-1]] = to

    return change


RECORD = ("data", "micro", 0, "jigsaw")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("data", "micro", to=KeyError), "no architectures 'micro' in 'data'"),
        (changed("data", "micro", to={}), "no architectures 'micro' in 'data'"),
        (changed("data", "micro", "64-41414-9_00_000", to={}), "expected records.*9_00_000"),
        (changed(*RECORD, "metrics", to=[]), r"record 64-41414-.*dict of 'metrics'.*'jigsaw'"),
        (changed(*RECORD, "metrics", "valid_top1", to=[1.0]), "different numbers of epochs"),
        (changed(*RECORD, "metrics", "valid_top1", to=[]), "1 to 1,000 epochs but got 0"),
        (changed(*RECORD, "metrics", "valid_top1", to=["a", "b"]), "numbers as valid_top1.*'a'"),
        (changed(*RECORD, "metrics", "valid_top1", to=[101, 5]), "of accuracy in % from 0 to 100"),
        (changed(*RECORD, "metrics", to={"valid_top1": [1.0]}), "as many epochs of 'jigsaw'.*1, 2"),
    ],
)
def test_damage_of_the_official_file_is_told(change, message, tmp_path):
    content = official(3)
    change(content)
    path = saved(tmp_path / "all.pth", content)
    with pytest.raises(TableFileError, match=message) as error:
        import_file(path)
    assert str(path) in str(error.value)


def test_a_file_without_validation_values_of_a_task_is_refused(tmp_path):
    content = official(2)
    for record in content["data"]["micro"].values():
        for split in ("train", "valid", "test"):
            del record["normal"]["metrics"][f"{split}_ssim"]
    path = saved(tmp_path / "all.pth", content)
    with pytest.raises(TableFileError, match="no validation values of ssim for 'normal'"):
        import_file(path)


def test_a_cut_official_file_is_refused_and_nothing_is_run(tmp_path):
    path = saved(tmp_path / "all.pth", official(2))
    whole = path.read_bytes()
    for share in (0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(TableFileError, match="truncated or damaged"):
            import_file(path)
    hostile = official(2)
    hostile["info_names"] = Hostile()
    with pytest.raises(UnsafeFileError, match="Nothing in it was run"):
        import_file(saved(path, hostile))


class Hostile:
    def __reduce__(self):
        return eval, ("1/0",)


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
