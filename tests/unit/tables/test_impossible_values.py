"""What no measurement can be is refused by every importer, with file and record."""

import math
import pickle

import nats_files as files
import numpy as np
import pytest
from damage import write_sealed

from nasbench_lab.bounded_files import errors_of
from nasbench_lab.errors import TableFileError, UnknownNameError, quoted, short, text_of
from nasbench_lab.files import atomic_folder, sha256
from nasbench_lab.registry import import_file, kept_tables
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import AMOUNTS, SHARES, Column, bounds, check_values
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data import analog_nasbench, hw_nas_bench, nas_bench_graph

LARGEST = float(np.finfo(float).max)


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        *((share, "%", (0, 100)) for share in SHARES),
        *((share, "1", (0, 1)) for share in SHARES),
        *((amount, "anything", (0, LARGEST)) for amount in AMOUNTS),
        ("roc_auc", "%", (0, 100)),
        ("top5_accuracy", "1", (0, 1)),
        ("train_time_per_epoch", "s", (0, LARGEST)),
        ("valid_time", "s", (0, LARGEST)),
        ("edgegpu_latency", "ms", (0, LARGEST)),
        ("model_size", "M", (0, LARGEST)),
        ("precision", "bits", (-LARGEST, LARGEST)),
        ("loss", "1", (-LARGEST, math.inf)),
        ("valid_loss", "1", (-LARGEST, math.inf)),
        ("zen", "1", (-LARGEST, LARGEST)),
        ("timeliness", "1", (-LARGEST, LARGEST)),
    ],
)
def test_bounds_follow_from_quantity_and_unit(quantity, unit, expected):
    assert bounds(Column("a", quantity, unit, True)) == expected


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_what_is_possible_passes_and_what_is_not_is_placed(kind):
    column = Column("acc", "accuracy", "%", True, trials=(7, 8), epochs=(1, 12))
    values = np.array([[[0, 100], [np.nan, 50]]] * 3, dtype=kind)
    check_values(column, values, "row {}".format)
    check_values(column, np.full((2, 2, 2), np.nan, dtype=kind), "row {}".format)
    check_values(column, values[:0], "row {}".format)
    check_values(column, 100 * (1 + 1e-12) * np.ones((1, 2, 2)), "row {}".format)  # of rounding
    values[2, 1, 1] = 100.5
    message = (
        r"f.csv, row 2: expected a value of accuracy in % from 0 to 100 for 'acc' but got 100.5 "
        r"\(trial 8, epoch 12\)"
    )
    with pytest.raises(TableFileError, match=message):
        check_values(column, values, "f.csv, row {}".format)


IMPOSSIBLE = {
    "-1e30 %": (("train_acc1es", 3), -1e30),
    "1e308 %": (("train_acc1es", 3), 1e308),
    "just above": (("eval_acc1es", "ori-test@11"), 100.1),
    "infinite accuracy": (("eval_acc1es", "ori-test@11"), math.inf),
    "negative time": (("train_times", 5), -1.0),
    "infinite time": (("eval_times", "ori-test@3"), math.inf),
    "-inf loss": (("train_losses", 0), -math.inf),
    "negative parameters": (("params",), -0.5),
    "infinite flops": (("flop",), math.inf),
    "negative latency": (("latency", 0), -1e-3),
    "a number that no float holds": (("params",), 10**400),
    "an accuracy that no float holds": (("train_acc1es", 3), 10**400),
}


@pytest.mark.parametrize("form", ["folder", "single"])
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_nats_bench(name, form, tmp_path):
    keys, value = IMPOSSIBLE[name]
    texts = files.cells(3)
    records = {i: files.record(i, text, ("12",)) for i, text in enumerate(texts)}
    place = records[2]["12"]["all_results"]["cifar10", 111]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path = tmp_path / "all.pickle.pbz2"
    if form == "folder":
        path = files.write_simple(tmp_path / "archive-simple", texts, records)
    else:
        files.dump(files.whole(texts, records), path)
    with pytest.raises(TableFileError, match=rf"{path.name}.*(record 2|000002)") as caught:
        import_file(path)
    assert len(str(caught.value)) < 1_000
    assert kept_tables() == []


def test_a_training_that_diverged_has_an_infinite_loss(tmp_path):
    texts = files.cells(1)
    records = {0: files.record(0, texts[0], ("12",))}
    records[0]["12"]["all_results"]["cifar10", 111]["train_losses"][11] = math.inf
    table = import_file(files.write_simple(tmp_path / "archive-simple", texts, records))
    assert table.values("cifar10.12.train.loss").tolist() == [math.inf]


def test_seeds_beyond_64_bits(tmp_path):
    texts = files.cells(1)
    record = files.record(0, texts[0], ("12",))
    record["12"]["dataset_seed"]["cifar10"] = [10**30]
    results = record["12"]["all_results"]
    results["cifar10", 10**30] = results.pop(("cifar10", 111))
    with pytest.raises(TableFileError, match=r"000000"):
        import_file(files.write_simple(tmp_path / "archive-simple", texts, {0: record}))


def test_a_folder_with_only_its_list_of_architectures(tmp_path):
    path = files.write_simple(tmp_path / "archive-simple", files.cells(2), {})
    with pytest.raises(TableFileError, match="no record of an architecture"):
        import_file(path)
    files.dump(files.whole(files.cells(2), {}), tmp_path / "all.pickle.pbz2")
    with pytest.raises(TableFileError, match="no record of an architecture"):
        import_file(tmp_path / "all.pickle.pbz2")


def converted(convert, tmp_path):
    with atomic_folder(tmp_path / "table", replace=True) as new:
        convert(new)
    return Table.open(tmp_path / "table")


@pytest.mark.parametrize(
    ("field", "value"),
    [("valid_perf", 1.01), ("perf", -0.1), ("latency", -1.0), ("para", -2.0), ("para", 10**400)],
)
@pytest.mark.parametrize("dataset", ["cora", "proteins"])
def test_nas_bench_graph(dataset, field, value, tmp_path):
    space = get_space("nas-bench-graph-proteins" if dataset == "proteins" else "nas-bench-graph")
    key = int(nas_bench_graph.official_hash(space, space.canonical(space.at(np.arange(1))))[0])
    record = {"valid_perf": 0.5, "perf": 0.5, "latency": 1.0, "para": 1.0}
    path = tmp_path / "a.bench"
    for changed in ({}, {field: value}):
        path.write_bytes(pickle.dumps({key: {**record, **changed}}))

        def convert(folder):
            nas_bench_graph.convert_file(dataset, path, {"version": "1"}, folder)

        if not changed:
            assert len(converted(convert, tmp_path)) == 1
            continue
        with pytest.raises(TableFileError, match=rf"a.bench.*record {key}"):
            converted(convert, tmp_path)


@pytest.mark.parametrize("value", [-0.5, math.inf, -1, 10**400])
def test_hw_nas_bench(value, tmp_path):
    texts = files.cells(2)
    held = {
        **{metric: [1.0, 2.0] for metric in hw_nas_bench.METRICS},
        "config": [{"arch_str": text} for text in texts],
    }
    held["raspi4_latency"] = [1.0, value]
    path = tmp_path / "hw.pickle"
    path.write_bytes(pickle.dumps({"nasbench201": dict.fromkeys(hw_nas_bench.DATASETS, held)}))
    with pytest.raises(TableFileError, match=r"hw.pickle.*record 1 of 'raspi4_latency'"):
        converted(lambda folder: hw_nas_bench.convert(path, folder, ImportOptions()), tmp_path)


def test_analog_nasbench():
    for value in (-0.1, 100.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="percentage"):
            analog_nasbench._percent(value)


MAPPING = """
[table]
name = "mine"
space = "{space}"
architecture = "arch"
objective = "value"
[[columns]]
name = "value"
from = "v"
quantity = "{quantity}"
unit = "{unit}"
maximize = true
split = "valid"
scale = {scale}
"""


@pytest.mark.parametrize(
    ("quantity", "unit", "value", "scale"),
    [
        ("accuracy", "%", "100.5", 1),
        ("accuracy", "%", "-1e30", 1),
        ("accuracy", "%", "93", 100),
        ("accuracy", "1", "93", 1),
        ("roc_auc", "1", "1.1", 1),
        ("train_time", "s", "-1", 1),
        ("latency", "ms", "-0.001", 1),
        ("parameters", "M", "-3", 1),
    ],
)
@pytest.mark.parametrize("space", ["nb201", "nb101"])
def test_csv(space, quantity, unit, value, scale, tmp_path):
    if space == "nb201":
        texts = files.cells(3)
    else:
        nodes = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
        texts = [f"010001000:input,{node},output" for node in nodes]
    path = tmp_path / "a.csv"
    path.write_text(
        "arch;v\n" + "".join(f"{t};{v}\n" for t, v in zip(texts, (0.5, value, 0.25), strict=True))
    )
    keys = {"space": space, "quantity": quantity, "unit": unit, "scale": scale}
    path.with_suffix(".toml").write_text(MAPPING.format(**keys))
    with pytest.raises(TableFileError, match=rf"a.csv, line 3: expected a value of {quantity}"):
        import_file(path)
    assert kept_tables() == []


@pytest.mark.parametrize(
    "change",
    [
        ("scale = 1", f"scale = 0x{'f' * 5_000}"),
        ("scale = 1", "scale = 1e309"),
        ('from = "v"', 'from = ["v"]\nepochs = [99999999999999999999]'),
        ('from = "v"', f'from = ["v"]\nepochs = [0x{"f" * 5_000}]'),
        ('from = "v"', 'from = ["v"]\ntrials = [99999999999999999999]'),
        ('from = "v"', f'from = ["v"]\ntrials = [0x{"f" * 5_000}]'),
        ('unit = "%"', f"unit = 0x{'f' * 5_000}"),
    ],
)
def test_a_mapping_of_numbers_without_end(change, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"arch,v\n{files.cells(1)[0]},1\n")
    keys = {"space": "nb201", "quantity": "accuracy", "unit": "%", "scale": 1}
    text = MAPPING.format(**keys)
    assert change[0] in text
    path.with_suffix(".toml").write_text(text.replace(*change))
    with pytest.raises(TableFileError) as caught:
        import_file(path)
    assert len(str(caught.value)) < 1_000


# Messages


class SilentError(Exception):
    def __str__(self):
        raise RuntimeError("nothing to say")


def test_what_an_error_fails_to_say_is_no_further_error():
    assert text_of(SilentError()) == "SilentError without a text"
    said = r"f.x is truncated .*SilentError without a text"
    with pytest.raises(TableFileError, match=said), errors_of("f.x"):
        raise SilentError


def test_what_is_quoted_is_cut_and_can_be_printed():
    assert text_of(ValueError("a\x1b[2Jb\ud800c\nd")) == "a\\x1b[2Jb\\ud800c\nd"
    assert len(text_of(ValueError("x" * 10**7))) < 2_100
    assert len(short("y" * 10**7)) < 250
    assert short("y" * 200) == "y" * 200
    assert quoted([1, "a"]) == "[1, 'a']"
    assert len(quoted("z" * 10**7)) < 250
    assert quoted(16**5_000) == "int without end"
    error = UnknownNameError("table", "x" * 10**7, [f"{i}{'y' * 10**4}" for i in range(1_000)])
    assert len(str(error)) < 30_000


def test_markup_in_what_a_table_says_is_no_markup(lab, make_table, monkeypatch):
    from dataclasses import replace

    from nasbench_lab import registry

    table = make_table("toy/markup")
    table.info = replace(table.info, licence="[/b] [bold]see LICENSE[/nothing]", citation="[/x]")
    monkeypatch.setattr(registry, "open_task", lambda name: (table, None))
    said = lab("describe", "toy/markup")
    assert said.code == 0
    assert "Licence: [/b] [bold]see LICENSE[/nothing]." in said.out
    assert "[/x]" in said.out


# A table's own files


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("row_of_index", lambda a: np.where(a == 3, 11, a)),
        ("row_of_index", lambda a: a - 1),
        ("row_of_index", lambda a: a.astype(float)),
        ("row_of_index", lambda a: a[:-1]),
        ("row_of_index", lambda a: a.astype(np.uint64)),
        ("valid_accuracy", lambda a: a.astype("U9")),
    ],
)
def test_indices_beyond_the_rows_are_refused(name, change, make_table):
    import json

    folder = make_table("toy/broken").folder
    path = folder / f"{name}.npy"
    np.save(path, change(np.load(path)))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["bytes"][name] = path.stat().st_size
    manifest["sha256"][name] = sha256(path)
    write_sealed(folder / "manifest.json", manifest)
    with pytest.raises(TableFileError, match=rf"{name}.npy (does not hold|holds)"):
        Table.open(folder).values("valid_accuracy")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("rows",), 10**30),
        (("info", "source"), None),
        (("info", "licence"), 7),
        (("info", "objective"), ["valid_accuracy"]),
        (("columns", 0, "unit"), None),
        (("columns", 0, "epochs"), 10**30),
    ],
)
def test_a_manifest_of_other_things_is_refused(keys, value, make_table):
    import json

    folder = make_table("toy/manifest").folder
    manifest = json.loads((folder / "manifest.json").read_text())
    place = manifest
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TableFileError, match="cannot be opened"):
        Table.open(folder)
