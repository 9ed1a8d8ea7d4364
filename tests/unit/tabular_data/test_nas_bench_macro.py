"""NAS-Bench-Macro: files written by the tests in the form of the real one, and that if it is there."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from nasbench_lab.errors import QueryError, TableFileError
from nasbench_lab.experiment.settings import BenchmarkSetting
from nasbench_lab.registry import import_file, load_benchmark, open_table
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.columns import Query
from tabular_data.nas_bench_macro import FORMAT, NAME, recognise

REAL = Path(__file__).parents[4] / "shared" / "data" / "nas_bench_macro"
REAL /= "nas-bench-macro_cifar10.json"
NEEDS_REAL = pytest.mark.skipif(not REAL.exists(), reason=f"needs the real data in {REAL}")
SPACE = get_space("nb-macro")


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


def record(*accuracies, **changes):
    found = {
        "test_acc": list(accuracies),
        "mean_acc": float(np.mean(accuracies)),
        "std": float(np.std(accuracies)),
        "params": 890_666,
        "flops": 47_327_744,
        **changes,
    }
    return {name: value for name, value in found.items() if value != "left out"}


RECORDS = {
    "02012100": record(89.5, 89.0, 89.2),
    "11111221": record(92.25, 92.5, 92.0, params=2_181_386),
    "00000000": record(45.3, 45.25, 45.5, flops=7_713_280),
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_every_value_is_read(tmp_path):
    table = import_file(write(tmp_path / "any name.json", RECORDS))
    assert (table.name, table.space.name) == (NAME, "nb-macro")
    assert table.space.to_string(table.architectures) == list(RECORDS)
    column = table.columns["test_accuracy"]
    assert (column.unit, column.split, column.trials) == ("%", "test", (1, 2, 3))
    assert table.trials("test_accuracy").tolist() == [r["test_acc"] for r in RECORDS.values()]
    assert table.values("parameters").tolist() == [0.890666, 2.181386, 0.890666]
    assert table.values("flops").tolist() == [47.327744, 47.327744, 7.71328]
    assert table.info.missing[0].startswith("Validation accuracies")
    assert "6,558 of the 6,561 architectures are not in the file." in table.info.missing


def test_a_search_that_sees_test_data_says_so_in_its_name(tmp_path):
    table = import_file(write(tmp_path / "macro.json", RECORDS))
    with pytest.raises(
        QueryError, match=r"see test data says so: nas-bench-macro/search-on-test\."
    ):
        load_benchmark(NAME)
    for objective in ("test_accuracy", Query("accuracy", "test"), ("parameters", "test_accuracy")):
        with pytest.raises(QueryError, match="is measured on test data, which a search must not"):
            load_benchmark(NAME, objective=objective)
    with pytest.raises(QueryError, match="is measured on test data"):
        load_benchmark(NAME, objective="parameters", constraints="test_accuracy>=90")
    benchmark = load_benchmark(f"{NAME}/search-on-test")
    assert BenchmarkSetting.of(benchmark).name == "nas-bench-macro/search-on-test"
    assert benchmark.queries == (Query("test_accuracy", trial="random"),)
    assert benchmark.report == Query("test_accuracy")
    assert benchmark.clock == "evaluations"
    seen = {
        benchmark.evaluate(SPACE.from_string("11111221"), rng=np.random.default_rng(i)).values[0]
        for i in range(30)
    }
    assert seen == set(RECORDS["11111221"]["test_acc"])
    assert benchmark.optimum(benchmark.report) == table.optimum("test_accuracy") == 92.25
    both = load_benchmark(f"{NAME}/search-on-test", objective=("test_accuracy", "parameters"))
    assert len(both.objectives) == 2


def test_without_the_file_it_is_said_which(tmp_path):
    assert FORMAT.tables == {NAME: "nas-bench-macro_cifar10.json"}
    assert recognise(tmp_path / "absent.json") is None
    assert recognise(tmp_path) is None
    other = write(tmp_path / "other.json", '{"02012100": {"acc": [1]}}')
    assert recognise(other) is None
    own = write(tmp_path / "own.json", RECORDS)
    assert recognise(own) == NAME
    (tmp_path / "own.toml").write_text("")
    assert recognise(own) is None  # it is left to the user's mapping


GOOD = (90.0, 91.0, 92.0)
WRONG = {
    "no list": (record(*GOOD, test_acc=90), "a list of 3 numbers as 'test_acc' but got 90"),
    "two trainings": (record(90.0, 91.0), "a list of 3 numbers as 'test_acc'"),
    "text": (record(*GOOD, test_acc=[90, "91", 92]), r"as 'test_acc\[1\]' but got '91'"),
    "truth": (record(*GOOD, test_acc=[True, 91, 92]), r"as 'test_acc\[0\]' but got True"),
    "over 100": (record(90.0, 91.0, 100.5), r"from 0 to 100 as 'test_acc\[2\]' but got 100.5"),
    "negative": (record(-1.0, 91.0, 92.0), r"as 'test_acc\[0\]' but got -1"),
    "a wrong mean": (record(*GOOD, mean_acc=91.01), "'mean_acc' is 91.01, which is not the mean"),
    "no mean": (record(*GOOD, mean_acc="left out"), "as 'mean_acc' but got None"),
    "no size": (record(*GOOD, params="left out"), "as 'params' but got None"),
    "impossible size": (record(*GOOD, flops=-3), "as 'flops' but got -3"),
    "enormous": (record(*GOOD, flops=10**30), "as 'flops' but got 10"),
    "a number": (3, "expected an object but got 3"),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_record_is_named(tmp_path, wrong, message):
    path = write(tmp_path / "macro.json", {**RECORDS, "22222222": wrong})
    with pytest.raises(TableFileError, match=message) as caught:
        import_file(path)
    assert f"{path}, record '22222222'" in str(caught.value)


def test_a_wrong_file_is_refused(tmp_path):
    text = json.dumps(RECORDS)
    for content, message in (
        (text[:-20], "cut off or no JSON"),
        (text[:-1], "the end of the file; is it cut off"),
        (text + "{", "expected the end of the file"),
        (text.replace("00000000", "02012100"), "an earlier record has the same name"),
        (text.replace("00000000", "00000003"), "record '00000003': Expected 8 digits from 0 to 2"),
        (text.replace("00000000", "0000000"), "record '0000000': Expected 8 digits"),
        (text.replace("45.25", "NaN"), "NaN is no JSON"),
    ):
        with pytest.raises(TableFileError, match=message):
            import_file(write(tmp_path / "macro.json", content))


def test_identities_may_change_places_in_a_stage():
    for text, canonical in (
        ("02012100", "02012100"),
        ("12012120", "12012102"),
        ("00010000", "00001000"),
        ("10010010", "10001001"),
        ("22222222", "22222222"),
    ):
        assert SPACE.to_string(SPACE.canonical(SPACE.from_string(text))) == canonical
    every = SPACE.at(np.arange(SPACE.size))
    canonical = SPACE.canonical(every)
    assert len(np.unique(canonical, axis=0)) == len(SPACE.classes) == 3_969
    assert (SPACE.index(canonical) <= np.arange(SPACE.size)).all()
    assert (SPACE.canonical(canonical) == canonical).all()


@NEEDS_REAL
@pytest.mark.long
def test_the_real_file():
    table = import_file(REAL)
    assert open_table(NAME).fingerprint() == table.fingerprint()
    assert len(table) == SPACE.size == 6_561
    content = json.loads(REAL.read_bytes())
    texts = list(content)[::7]
    rows = table.row(SPACE.from_string(texts))
    trials = table.trials("test_accuracy")[rows]
    assert trials.tolist() == [content[text]["test_acc"] for text in texts]
    best = table.space.to_string(table.architectures[table.ranking("test_accuracy")[:1]])
    assert best == [max(content, key=lambda text: content[text]["mean_acc"])] == ["22212220"]
    assert table.optimum("test_accuracy") == pytest.approx(93.1267, abs=5e-5)
    # Networks that are the same have the same values, and no others have.
    same = defaultdict(set)
    for text, found in content.items():
        same[tuple(found["test_acc"])].add(SPACE.canonical(SPACE.from_string(text)))
    assert [len(classes) for classes in same.values()] == [1] * 3_969
