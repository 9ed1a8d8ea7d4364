"""Columns of a file that join a table which is there already."""

import csv
from pathlib import Path

import numpy as np
import pytest

from nasbench_lab import load_benchmark
from nasbench_lab.errors import QueryError, TableFileError
from nasbench_lab.experiment.settings import BenchmarkSetting
from nasbench_lab.files import sha256
from nasbench_lab.registry import import_file, open_table
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.tables.columns import Column, TableInfo
from nasbench_lab.tables.kept import table_folder
from nasbench_lab.tables.table import Table

DATA = Path(__file__).parents[4] / "shared" / "data" / "nb201_columns"
NEEDS_DATA = pytest.mark.skipif(not DATA.exists(), reason=f"needs the real data in {DATA}")

ACCURACIES = "op,width,valid,test\nx,8,50,51\nx,16,60,59\ny,8,70,71\ny,16,65,80\n"

OWN_SPACE = """
[table]
name = "accuracies"
objective = "valid"
report = "test"
citation = "@misc{accuracies}"
licence = "MIT"
[[decisions]]
name = "op"
options = ["x", "y", "z"]
[[decisions]]
name = "width"
options = [8, 16]
[[columns]]
name = "valid"
from = "valid"
quantity = "accuracy"
unit = "%"
maximize = true
split = "valid"
[[columns]]
name = "test"
from = "test"
quantity = "accuracy"
unit = "%"
maximize = true
split = "test"
"""

JOIN = """
[table]
name = "both"
join = "accuracies"
architecture = ["op", "width"]
"""

LATENCY = """
[[columns]]
name = "phone_latency"
from = "latency"
quantity = "latency"
unit = "ms"
maximize = false
"""

LATENCIES = "op,width,latency\ny,16,9\ny,8,4.5\nx,16,2\nx,8,1\n"


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))


@pytest.fixture
def brought(tmp_path):
    """Writes a file and its mapping, and imports them."""

    def brought(file, text, mapping, table=None, **options):
        (tmp_path / f"{file}.csv").write_text(text)
        (tmp_path / f"{file}.toml").write_text(mapping)
        return import_file(tmp_path / f"{file}.csv", name=table, **options)

    return brought


@pytest.fixture
def accuracies(brought):
    return brought("accuracies", ACCURACIES, OWN_SPACE)


def latencies(table):
    return table.values("phone_latency").tolist()


def test_columns_join_by_architecture(brought, accuracies):
    table = brought("latencies", LATENCIES, JOIN + LATENCY)
    assert list(table.columns) == ["valid", "test", "phone_latency"]
    assert table.space == accuracies.space
    assert table.architectures.tolist() == accuracies.architectures.tolist()
    assert latencies(table) == [1, 2, 4.5, 9]
    assert table.values("valid").tolist() == accuracies.values("valid").tolist()
    assert open_table("both").fingerprint() == table.fingerprint()
    assert list(open_table("accuracies").columns) == ["valid", "test"]  # it stays as it was


def test_what_a_search_sees_is_what_it_was(brought, accuracies):
    table = brought("latencies", LATENCIES, JOIN + LATENCY)
    assert (table.info.objective, table.info.report) == ("valid", "test")
    seen = load_benchmark("both")
    assert (seen.evaluate((1, 0)).values, seen.optimum(seen.report)) == ((70,), 80)


def test_joined_columns_are_constraint_objective_and_report(brought, accuracies):
    brought("latencies", LATENCIES, JOIN + LATENCY)
    bounded = load_benchmark("both", constraints="phone_latency<=4")
    assert bounded.feasible.tolist() == [True, True, False, False]
    both = load_benchmark("both", objective=("valid", "phone_latency"))
    assert both.evaluate((1, 0)).values == (70, 4.5)
    assert load_benchmark("both", report="latency").report.metric == "latency"
    text = JOIN + 'objective = "phone_latency"\n' + LATENCY
    own = brought("latencies", LATENCIES, text).info
    assert (own.objective, own.report) == ("phone_latency", "phone_latency")
    own = brought("latencies", LATENCIES, text.replace("\n[[", '\nreport = "test"\n[[')).info
    assert (own.objective, own.report) == ("phone_latency", "test")


def test_checksum_and_source_name_both(brought, accuracies, tmp_path):
    table = brought("latencies", LATENCIES, JOIN + LATENCY)
    source = table.info.source
    assert source["sha256"] == sha256(tmp_path / "latencies.csv")
    assert source["mapping_sha256"] == sha256(tmp_path / "latencies.toml")
    assert source["joined"] == "accuracies"
    assert source["joined_sha256"] == sha256(tmp_path / "accuracies.csv")
    assert source["joined_fingerprint"] == accuracies.fingerprint()
    assert "latencies.csv" in source["version"]
    assert "accuracies.csv" in source["version"]
    assert "@misc{accuracies}" in table.info.citation
    assert table.info.licence == "MIT; latencies.csv: none stated"
    assert BenchmarkSetting.of(load_benchmark("both")).source == source  # as results have it
    before = table.fingerprint()
    changed = brought("latencies", LATENCIES.replace("4.5", "4.25"), JOIN + LATENCY)
    assert changed.fingerprint() != before
    brought("accuracies", ACCURACIES.replace("50,51", "50,52"), OWN_SPACE)
    again = brought("latencies", LATENCIES, JOIN + LATENCY)
    assert again.fingerprint() != before


def test_what_only_one_of_both_has_is_counted(brought, accuracies):
    table = brought("latencies", "op,width,latency\nz,8,3\nx,16,2\n", JOIN + LATENCY)
    assert latencies(table)[1] == 2
    assert np.isnan(latencies(table)).tolist() == [True, False, True, True]
    assert table.info.missing == (
        *accuracies.info.missing,
        "1 of the 2 rows of the file are of architectures that accuracies lacks, and are left out.",
        "3 of the 4 entries of accuracies are not in the file, and lack its values.",
    )
    with pytest.raises(TableFileError, match="'accuracies' has none of its architectures"):
        brought("latencies", "op,width,latency\nz,8,3\n", JOIN + LATENCY)


def test_rows_of_one_architecture_agree_or_are_trials(brought, accuracies):
    same = "op,width,latency\nx,8,1\ny,8,\nx,8,1.0\ny,8,nan\n"
    table = brought("latencies", same, JOIN + LATENCY)
    assert latencies(table)[0] == 1
    assert table.columns["phone_latency"].trials == ("as given",)
    differing = same.replace("1.0", "3")
    with pytest.raises(TableFileError, match="line 2 and line 4 are the same architecture"):
        brought("latencies", differing, JOIN + LATENCY)
    assert latencies(open_table("both"))[0] == 1
    trials = brought("latencies", differing, JOIN + 'repeats = "trials"\n' + LATENCY)
    assert trials.trials("phone_latency")[0].tolist() == [1, 3]
    assert latencies(trials)[0] == 2


def test_isomorphic_architectures_are_one(brought):
    """A space whose architectures and their reverses are the same network."""
    space = get_space("nas-bench-graph")
    rng = np.random.default_rng(0)
    first = next(a for a in iter(lambda: space.sample(rng), None) if space.canonical(a) != a)
    twin = space.canonical(first)
    row_of_index = np.full(space.size, -1, dtype=np.int32)
    row_of_index[[space.index(first), space.index(twin)]] = 0
    info = TableInfo("twins", space.name, "", "", "", "valid", "valid", {"version": "1"})
    valid = Column("valid", "accuracy", "%", True, split="valid")
    Table.create(table_folder("twins"), info, {valid: np.array([50.0])}, row_of_index)
    mapping = JOIN.replace("accuracies", "twins").replace('["op", "width"]', '"arch"') + LATENCY

    def rows(*latencies):
        texts = [space.to_string(first), space.to_string(twin)]
        return "arch,latency\n" + "".join(
            f'"{text}",{latency}\n' for text, latency in zip(texts, latencies, strict=False)
        )

    assert latencies(brought("latencies", rows(7), mapping)) == [7]
    assert latencies(brought("latencies", rows(7, 7), mapping)) == [7]
    with pytest.raises(TableFileError, match="line 2 and line 3 are the same architecture"):
        brought("latencies", rows(7, 8), mapping)


def test_a_table_with_joined_columns_may_be_joined(brought, accuracies):
    brought("latencies", LATENCIES, JOIN + LATENCY)
    energy = (JOIN + LATENCY).replace('"both"', '"all"').replace("accuracies", "both")
    table = brought("energies", LATENCIES, energy.replace("phone_latency", "watch_latency"))
    assert list(table.columns) == ["valid", "test", "phone_latency", "watch_latency"]
    assert "accuracies.csv" in table.info.source["version"]
    with pytest.raises(QueryError, match="several columns for latency"):
        table.column("latency")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (JOIN.replace("accuracies", "accuracy") + LATENCY, "join: Unknown table 'accuracy'. Did y"),
        (JOIN.replace("accuracies", "nats-tss") + LATENCY, "join: Table 'nats-tss' is not instal"),
        (JOIN.replace('"accuracies"', "3") + LATENCY, "expected a text as 'join' but got 3"),
        (JOIN.replace("both", "accuracies") + LATENCY, "'accuracies' stays as it is"),
        (JOIN.replace('name = "both"\n', "") + LATENCY, "expected the key 'name'"),
        (JOIN.partition("arch")[0] + LATENCY, "expected the key 'architecture'"),
        (JOIN + 'space = "nb201"\n' + LATENCY, "expected no space beside 'join'"),
        (JOIN.partition("arch")[0] + LATENCY + OWN_SPACE[OWN_SPACE.index("[[dec") :], "no .*decis"),
        (JOIN + LATENCY.replace('"phone_latency"', '"valid"'), "has a column 'valid' already"),
        (JOIN + 'objective = "latency"\n' + LATENCY, "Unknown column 'latency'"),
        (JOIN + 'report = "none"\n' + LATENCY, "Unknown column 'none'"),
        (JOIN + 'objective = "test"\n' + LATENCY, "is measured on test data, which a search must"),
        (JOIN + LATENCY.replace('from = "latency"', 'from = "lag"'), "Unknown column 'lag'"),
        (JOIN.replace('"width"]', '"latency"]') + LATENCY, "in 'latency' but got '9'"),
        (JOIN.replace('["op", "width"]', '"op"') + LATENCY, "line 2: Expected"),
        (JOIN + LATENCY.replace("latency", "accuracy").replace('"ms"', '"%"'), "Unknown column"),
    ],
)
def test_a_wrong_join_is_refused(brought, accuracies, mapping, message):
    with pytest.raises(TableFileError, match=message):
        brought("latencies", LATENCIES, mapping)
    assert list(open_table("accuracies").columns) == ["valid", "test"]


def test_an_impossible_value_is_named_by_its_line(brought, accuracies):
    with pytest.raises(TableFileError, match=r"line 4: expected .* not negative .* but got -2"):
        brought("latencies", LATENCIES.replace(",2\n", ",-2\n"), JOIN + LATENCY)
    with pytest.raises(TableFileError, match=r"line 4: expected .* not negative .* but got -2"):
        brought("latencies", "op,width,latency\nx,8,1\nx,8,1\ny,8,-2\n", JOIN + LATENCY)


def test_the_command_gives_neither_the_space_nor_the_name_of_the_table(brought, accuracies):
    space = SearchSpace("own", [Decision("op", "xyz"), Decision("width", (8, 16))])
    with pytest.raises(TableFileError, match="expected no space with the command"):
        brought("latencies", LATENCIES, JOIN + LATENCY, space=space)
    with pytest.raises(TableFileError, match="'accuracies' stays as it is"):
        brought("latencies", LATENCIES, JOIN.replace("both", "any") + LATENCY, table="accuracies")


@NEEDS_DATA
@pytest.mark.long
def test_real_latencies_and_scores_join_real_accuracies(tmp_path):
    mapping = tmp_path / "hardware.toml"
    mapping.write_text(
        """
        [table]
        name = "hardware"
        join = "nas-bench-201-final"
        architecture = "architecture"
        """
        + LATENCY.replace('"latency"', '"edgegpu_latency"', 1).replace(
            '"ms"', '"ms"\ndataset = "cifar10"'
        )
    )
    table = import_file(DATA / "hardware_cifar10.csv", mapping=mapping)
    base = open_table("nas-bench-201-final")
    assert list(table.info.tasks) == list(base.info.tasks)
    assert table.info.missing == base.info.missing
    mapping.write_text(
        """
        [table]
        name = "scores"
        join = "hardware"
        architecture = "architecture"
        [[columns]]
        name = "synflow"
        from = "synflow"
        quantity = "proxy"
        unit = "1"
        maximize = true
        """
    )
    scored = import_file(DATA / "zero_cost_cifar10.csv", mapping=mapping)
    assert scored.info.missing[-1] == (
        "6,180 of the 15,625 entries of hardware are not in the file, and lack its values."
    )
    for file, name, column in (
        ("hardware_cifar10", "edgegpu_latency", "phone_latency"),
        ("zero_cost_cifar10", "synflow", "synflow"),
    ):
        with open(DATA / f"{file}.csv", newline="") as lines:
            rows = list(csv.DictReader(lines))[::50]
        for row in rows:
            cell = scored.space.from_string(row["architecture"])
            assert scored.query(cell, column) == float(row[name])
            objective = base.info.objective
            assert scored.query(cell, objective) == base.query(cell, objective)
    fast = load_benchmark("scores/cifar10", constraints="phone_latency<=3")
    assert 0 < fast.feasible.sum() == (scored.values("phone_latency") <= 3).sum()
