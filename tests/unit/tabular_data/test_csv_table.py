"""Tables from any CSV or Parquet file, with a mapping file."""

import itertools
import random
import textwrap
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench_lab.clock import CLOCKS as BENCHMARK_CLOCKS
from nasbench_lab.errors import NasbenchLabError, TableFileError
from nasbench_lab.files import atomic_folder, sha256
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data import csv_table
from tabular_data._csv_mapping import CLOCKS, read_mapping
from tabular_data.csv_table import FORMAT, convert, recognise

NAN = float("nan")


class Mirrored(SearchSpace):
    """Too large for a row number each; an architecture and its reverse are the same network."""

    def __init__(self, name="csv-large", d=9):
        super().__init__(name, [Decision(f"d{i}", range(8)) for i in range(d)])

    def canonical(self, architecture):
        if isinstance(architecture, np.ndarray):
            many = self._validate_many(architecture)
            return np.array([min(tuple(a), tuple(a[::-1])) for a in many.tolist()])
        return min(self.validate(architecture), self.validate(architecture)[::-1])


@pytest.fixture(scope="module", autouse=True)
def spaces():
    """Three spaces that are known by name from here on, but not listed."""
    small = SearchSpace("csv-small", [Decision("op", "xyz"), Decision("width", (8, 16))])
    made = {
        "csv-small": lambda: small,
        "csv-large": Mirrored,
        "csv-huge": lambda: Mirrored("csv-huge", 22),
    }
    SPACES.update(made)
    for name in made:
        get_space(name)
        del SPACES[name]


HEAD = """
[table]
name = "mine"
space = "csv-small"
architecture = "arch"
objective = "valid"
"""

VALID = """
[[columns]]
name = "valid"
from = "acc"
unit = "%"
maximize = true
"""

MAPPING = HEAD + VALID

ROWS = "arch,acc\nz:8,0.5\nx:16,0.25\ny:8,\n"


@pytest.fixture
def imported(tmp_path):
    """Imports a text, as CSV, or a dict of columns, as Parquet, and opens the table."""

    def imported(data=ROWS, mapping=MAPPING, suffix=".csv", **options):
        if isinstance(data, dict | pa.Table):
            suffix = ".parquet"
        path, folder = tmp_path / f"data{suffix}", tmp_path / "table"
        if isinstance(data, dict):
            data = pa.table(data)
        if isinstance(data, pa.Table):
            pq.write_table(data, path)
        else:
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        if mapping is not None:
            (tmp_path / "data.toml").write_text(mapping)
        with atomic_folder(folder, replace=True) as new:
            convert(path, new, ImportOptions(**options))
        return Table.open(folder)

    return imported


def values(table, query, texts=("z:8", "x:16", "y:8")):
    found = table.query(table.space.from_string(list(texts)), query).tolist()
    return [None if np.isnan(v) else v for v in found]


# What is read


SAME = {
    "comma": ROWS,
    "tab": ROWS.replace(",", "\t"),
    "semicolon": ROWS.replace(",", ";"),
    "byte order mark": "\ufeff" + ROWS,
    "other line ends": ROWS.replace("\n", "\r\n"),
    "no last line end": ROWS.rstrip(),
    "empty lines": "arch,acc\n\nz:8,0.5\n\nx:16,0.25\n\n\ny:8,\n\n",
    "quotes": 'arch,"acc"\n"z:8","0.5"\n"x:16",0.25\n"y:8",""\n',
    "spaces": "arch, acc\n z:8 , 0.5\nx:16 , 0.25 \ny:8, \n",
    "other columns": 'junk,acc,arch,more\n"a,\nb",0.5,z:8,1\n,.25,x:16,\n#,nan,y:8,inf\n',
    "Parquet": {"arch": ["z:8", "x:16", "y:8"], "acc": [0.5, 0.25, None]},
}


@pytest.mark.parametrize("form", SAME)
def test_the_same_table_comes_from_every_form(imported, form):
    table = imported(SAME[form])
    assert values(table, "valid") == [0.5, 0.25, None]
    assert len(table) == 3
    assert table.row(table.space.from_string("y:16")) == -1
    column = table.columns["valid"]
    assert (column.quantity, column.unit, column.maximize) == ("valid", "%", True)
    assert (column.trials, column.epochs, column.split) == (("as given",), None, None)
    assert table.info.missing == ("3 of the 6 architectures are not in the file.",)


@pytest.mark.parametrize("absent", ["", "NaN", "nan", "NA", "None", "null", " "])
def test_what_is_absent_stays_absent(imported, absent):
    assert values(imported(f"arch,acc\nz:8,{absent}\n"), "valid", ["z:8"]) == [None]


def test_the_table_says_what_it_is_made_from(imported, tmp_path):
    table = imported()
    path = tmp_path / "data.csv"
    assert table.info.source == {
        "version": f"data.csv {sha256(path)[:8]}",
        "file": "data.csv",
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "mapping": "data.toml",
        "mapping_sha256": sha256(tmp_path / "data.toml"),
    }
    assert (table.name, table.info.objective, table.info.report) == ("mine", "valid", "valid")
    assert imported(name="another").name == "another"


def test_a_mapping_elsewhere_can_be_named(tmp_path):
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text(MAPPING.replace("mine", "elsewhere"))
    (tmp_path / "data.csv").write_text(ROWS)
    with atomic_folder(tmp_path / "table") as new:
        convert(tmp_path / "data.csv", new, ImportOptions(mapping=elsewhere))
    assert Table.open(tmp_path / "table").name == "elsewhere"


def test_one_column_per_decision(imported):
    mapping = MAPPING.replace('"arch"', '["op", "width"]')
    table = imported("op,width,acc\nz,8,1\nx,16,2\ny,8,3\n", mapping)
    assert values(table, "valid") == [1, 2, 3]
    data = {
        "op": pa.array(["z", "x", "y"]).dictionary_encode(),
        "width": [8, 16, 8],
        "acc": [1, 2, 3],
    }
    assert values(imported(data, mapping), "valid") == [1, 2, 3]


def test_all_architectures_leave_nothing_missing(imported):
    space = get_space("csv-small")
    texts = space.to_string(space.at(np.arange(6)))
    table = imported("arch,acc\n" + "".join(f"{t},{i}\n" for i, t in enumerate(texts[::-1])))
    assert table.info.missing == ()
    assert values(table, "valid", texts) == [5, 4, 3, 2, 1, 0]


def test_kinds_of_numbers_in_parquet(imported):
    kinds = {
        "f4": pa.array([0.5, None, NAN], pa.float32()),
        "i8": pa.array([1, None, -3], pa.int8()),
        "u64": pa.array([1, 2, None], pa.uint64()),
        "dec": pa.array([Decimal("1.5"), None, Decimal(2)]),
        "none": pa.nulls(3),
    }
    mapping = HEAD + VALID.replace("acc", "f4")
    for name in list(kinds)[1:]:
        mapping += VALID.replace('"valid"', f'"{name}"').replace('"acc"', f'"{name}"')
    table = imported({"arch": ["z:8", "x:16", "y:8"], **kinds}, mapping)
    assert values(table, "valid") == [0.5, None, None]
    assert values(table, "i8") == [1, None, -3]
    assert values(table, "u64") == [1, 2, None]
    assert values(table, "dec") == [1.5, None, 2]
    assert values(table, "none") == [None] * 3


GRID = "arch,a,b,c,d\nz:8,1,2,3,4\nx:16,5,,7,8\ny:8,9,10,11,12\n"


@pytest.mark.parametrize(
    ("keys", "trials", "epochs", "grid"),
    [
        ('from = ["a", "b"]\ntrials = [777, "other"]', (777, "other"), None, [["a"], ["b"]]),
        ('from = ["a", "b"]\nepochs = [1, 12]', ("as given",), (1, 12), [["a", "b"]]),
        ('from = { 12 = "b", 1 = "a" }', ("as given",), (1, 12), [["a", "b"]]),
        ('from = { 3 = "a" }\ntrials = [5]', (5,), (3,), [["a"]]),
        ('from = "a"\ntrials = ["mean"]\nepochs = [200]', ("mean",), (200,), [["a"]]),
        (
            'from = { 1 = ["a", "b"], 2 = ["c", "d"] }\ntrials = [7, 8]',
            (7, 8),
            (1, 2),
            [["a", "c"], ["b", "d"]],
        ),
    ],
)
def test_trials_and_epochs(imported, keys, trials, epochs, grid):
    table = imported(GRID, HEAD + VALID.replace('from = "acc"', keys))
    column = table.columns["valid"]
    assert (column.trials, column.epochs) == (trials, epochs)
    places = {
        "a": [1, 5, 9],
        "b": [2, NAN, 10],
        "c": [3, 7, 11],
        "d": [4, 8, 12],
    }
    expected = np.array([[places[name] for name in names] for names in grid]).transpose(2, 0, 1)
    held = table._arrays["valid"]
    np.testing.assert_array_equal(held, expected)


def test_everything_a_column_can_say(imported):
    said = """
quantity = "accuracy"
split = "valid"
dataset = "cifar10"
schedule = "12"
trained_on = "train"
scale = 100
also = ["x-valid"]
description = "How good it is."
"""
    table = imported(mapping=MAPPING + said)
    column = table.columns["valid"]
    assert (column.quantity, column.split, column.dataset) == ("accuracy", "valid", "cifar10")
    assert (column.schedule, column.trained_on, column.also) == ("12", "train", ("x-valid",))
    assert column.description == "How good it is."
    assert values(table, "valid") == [50, 25, None]


def test_the_example_of_the_documentation_works(imported):
    _, text = csv_table.__doc__.split("::\n\n")
    text, _ = text.split("\n\nAn empty cell")
    mapping = textwrap.dedent(text)
    space = get_space("nb201")
    texts = space.to_string(space.at(np.array([5, 3])))
    rows = "arch,acc_seed1,acc_seed2,test_1,test_12\n"
    rows += f"{texts[0]},0.5,0.75,10,20\n{texts[1]},0.25,,30,40\n"
    table = imported(rows, mapping)
    assert table.name == "my-lab/cells"
    assert values(table, "valid_accuracy", texts) == [62.5, 25]
    assert values(table, "test_accuracy", texts) == [20, 40]
    assert table.columns["test_accuracy"].epochs == (1, 12)
    assert table.info.clock == "evaluations"
    assert table.info.licence == "CC-BY-4.0"


def test_the_clocks_are_those_of_the_benchmark():
    assert set(CLOCKS) == set(BENCHMARK_CLOCKS)


# Large spaces


LARGE = MAPPING.replace("csv-small", "csv-large")


def test_a_large_space_is_kept_as_keys(imported):
    space = get_space("csv-large")
    assert space.size > csv_table.LARGEST_DENSE
    rng = np.random.default_rng(1)
    architectures = space.canonical(space.sample(rng, 200))
    given = architectures.copy()
    given[::2] = given[::2, ::-1]  # not the canonical ones
    numbers = [f"{i},{t}" for i, t in enumerate(space.to_string(given))]
    table = imported("acc,arch\n" + "\n".join(numbers), LARGE)
    assert len(table) == 200
    for many in (architectures, given, architectures[:, ::-1]):
        assert table.query(many, "valid").tolist() == list(range(200))
    assert (np.diff(table.space.index(table.architectures)) > 0).all()
    assert table.row((7,) * 9) == -1


@pytest.mark.parametrize("second", ["1:2:3:4:5:6:7:0:0", "0:0:7:6:5:4:3:2:1"])
def test_two_rows_of_a_class_are_refused_there(imported, second):
    rows = f"arch,acc\n1:2:3:4:5:6:7:0:0,1\n1:1:1:1:1:1:1:1:1,2\n{second},3\n"
    with pytest.raises(
        TableFileError, match=r"line 2 and line 4 are the same arch.* or isomorphic"
    ):
        imported(rows, LARGE)


def test_a_space_without_numbers_of_64_bits_is_refused(imported):
    text = ":".join("1" * 22)
    with pytest.raises(TableFileError, match=r"data\.toml, \[table\]: .*too large to number"):
        imported(f"arch,acc\n{text},1\n", MAPPING.replace("csv-small", "csv-huge"))


def test_isomorphic_rows_of_a_small_space_stand_each_for_itself(imported):
    space = get_space("nb201")
    none, skip = space.to_string(np.array([[0] * 6, [1, 0, 0, 0, 0, 0]]))
    table = imported(f"arch,acc\n{none},1\n{skip},2\n", MAPPING.replace("csv-small", "nb201"))
    assert values(table, "valid", [none, skip]) == [1, 2]


# Wrong mapping files


def with_column(*lines, drop=()):
    kept = [line for line in VALID.splitlines() if not line.startswith(drop or ("#",))]
    return HEAD + "\n".join([*kept, *lines])


TEST = '[[columns]]\nname = "test"\nfrom = "acc"\nunit = "%"\nmaximize = true\nsplit = "test"\n'


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("", r"expected the key 'table' and 'columns'"),
        (HEAD, "expected the key 'columns'"),
        (VALID, "expected the key 'table'"),
        ("columns = []\n" + HEAD, r"expected at least one \[\[columns\]\]"),
        ("columns = 3\n" + HEAD, "expected a list as 'columns' but got 3"),
        ("columns = [3]\n" + HEAD, r"\[\[columns\]\] 1: expected a table but got 3"),
        ("table = 3\n" + VALID, "expected a table as 'table' but got 3"),
        ("[table", r"data\.toml is not a TOML file: Expected"),
        ("a = " + "[" * 10_000, r"data\.toml is not a TOML file"),
        ("tabel = 1\n" + MAPPING, "Unknown key 'tabel'. Did you mean 'table'"),
        (
            MAPPING.replace("space", "spaec"),
            r"\[table\]: Unknown key 'spaec'. Did you mean 'space'",
        ),
        (MAPPING.replace('space = "csv-small"', ""), r"\[table\]: expected the key 'space'"),
        (MAPPING.replace('"csv-small"', "7"), "expected a text as 'space' but got 7"),
        (MAPPING.replace("csv-small", "nb202"), "Unknown space 'nb202'. Did you mean 'nb201'"),
        (MAPPING.replace('"mine"', '"../up"'), r"expected a name of letters.* but got '\.\./up'"),
        (MAPPING.replace('"mine"', '""'), "expected a name of letters"),
        (MAPPING.replace('"mine"', '"a/.b"'), "expected a name of letters"),
        (MAPPING.replace('= "arch"', "= true"), "expected a text or a list as 'architecture'"),
        (MAPPING.replace('= "arch"', "= []"), "different columns as 'architecture' but got"),
        (MAPPING.replace('= "arch"', '= ["arch", 3]'), "different columns as 'architecture'"),
        (MAPPING.replace('= "arch"', '= ["arch", "arch"]'), "different columns as 'architecture'"),
        (
            MAPPING.replace('= "arch"', '= ["arch"]'),
            r"one column for each of the 2 decisions .* got 1; decisions are op, width",
        ),
        (
            MAPPING.replace('e = "valid"', 'e = "vald"', 1),
            "Unknown column 'vald'. Did you mean 'valid'",
        ),
        (MAPPING.replace("[table]", '[table]\nreport = "x"'), "Unknown column 'x'"),
        (MAPPING.replace("[table]", '[table]\nclock = "offical"'), "Unknown clock 'offical'. Did"),
        (MAPPING.replace('= "valid"', '= "test"', 1) + TEST, "'test' is measured on test data"),
        (MAPPING + VALID, r"two \[\[columns\]\] have the name 'valid'"),
        (with_column(drop="unit"), r"\[\[columns\]\] 1: expected the key 'unit'"),
        (with_column(drop="maximize"), "expected the key 'maximize'"),
        (with_column(drop="from"), "expected the key 'from'"),
        (with_column(drop="name"), "expected the key 'name'"),
        (with_column("maximise = true"), "Unknown key 'maximise'. Did you mean 'maximize'"),
        (
            with_column("maximize = 1", drop="maximize"),
            "expected true or false as 'maximize' but got 1",
        ),
        (with_column('unit = ["%"]', drop="unit"), "expected a text as 'unit'"),
        (with_column('split = "Test"'), r"\(valid\): Unknown split 'Test'. Did you mean 'test'"),
        (with_column('split = "x-valid"'), "Unknown split 'x-valid'.*Known: test, train, valid"),
        (with_column('trained_on = "all"'), "Unknown trained_on 'all'"),
        (with_column("scale = true"), "expected a number as 'scale' but got True"),
        (with_column("scale = 0"), "expected a scale above 0"),
        (with_column("scale = nan"), "expected a scale above 0"),
        (with_column("scale = inf"), "expected a scale above 0"),
        (with_column("also = [1]"), "expected different texts as 'also'"),
        (VALID.replace('"valid"', '"a b"') + HEAD, "name of letters, digits .*'a b'"),
        (VALID.replace('"valid"', '"keys"') + HEAD, "keys are taken"),
        (VALID.replace('"valid"', '"../x"') + HEAD, r"name of letters, digits .*'\.\./x'"),
        (with_column("trials = [1, 2]"), "'from' has 1 column for 2 trials"),
        (with_column("trials = []"), "different seeds or words as 'trials'"),
        (with_column("trials = [1, 1]"), "different seeds or words as 'trials'"),
        (with_column("trials = [1.5]"), "different seeds or words as 'trials'"),
        (with_column("trials = [true]"), "different seeds or words as 'trials'"),
        (
            with_column('from = ["acc", "b"]', 'trials = [1, "mean"]', drop="from"),
            "'mean' and 'random' cannot be trials",
        ),
        (with_column('from = ["acc", "b"]', drop="from"), "Say in 'trials' or 'epochs' what"),
        (with_column("from = []", drop="from"), "names of the file's columns as 'from'"),
        (with_column("from = [1]", drop="from"), "names of the file's columns as 'from'"),
        (with_column("from = 7", drop="from"), "expected a text or a list or a table as 'from'"),
        (with_column("from = {}", drop="from"), "expected a table such as"),
        (with_column('from = { last = "acc" }', drop="from"), "expected a table such as"),
        (with_column('from = { 0 = "acc" }', drop="from"), "expected a table such as"),
        (with_column("from = { 1 = 2 }", drop="from"), "names of the file's columns"),
        (with_column('from = { 1 = ["acc", "b"] }', drop="from"), "2 columns for 1 trial"),
        (
            with_column('from = { 1 = "acc", 2 = ["acc"] }', "trials = [1, 2]", drop="from"),
            "1 column for 2 trials",
        ),
        (with_column('from = { 1 = "acc" }', "epochs = [1]", drop="from"), "then no 'epochs'"),
        (with_column("epochs = [1, 2]"), "'from' has 1 column for 2 epochs"),
        (with_column("epochs = [0]"), "expected ascending epochs from 1 on"),
        (with_column('from = ["acc", "b"]', "epochs = [2, 1]", drop="from"), "ascending epochs"),
        (with_column('epochs = ["1"]'), "different whole numbers as 'epochs'"),
        (
            with_column('from = ["acc", "b"]', "epochs = [1, 2]", "trials = [1, 2]", drop="from"),
            "for trials and epochs, expected a table",
        ),
        (with_column('from = "ac"', drop="from"), "data.csv lacks: Unknown column 'ac'.* 'acc'"),
        (
            MAPPING.replace('= "arch"', '= "arc"'),
            "data.csv lacks: Unknown column 'arc'.* Known: acc, ar",
        ),
    ],
    ids=itertools.count(),
)
def test_a_wrong_mapping_is_refused(imported, tmp_path, mapping, message):
    with pytest.raises(TableFileError, match=message) as caught:
        imported(mapping=mapping)
    assert str(tmp_path / "data.toml") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert not (tmp_path / "table").exists()


def test_without_a_mapping_an_example_is_given(imported, tmp_path):
    for data in (ROWS, {"arch": ["z:8"], "acc": [1]}):
        with pytest.raises(TableFileError, match=r'needs a mapping file .*"arch", "acc"') as caught:
            imported(data, mapping=None)
        text = str(caught.value)
        assert str(tmp_path / "data.toml") in text
        example = text[text.index("[table]") : text.index("All keys")]
        (tmp_path / "example.toml").write_text(example)
        mapping = read_mapping(tmp_path / "example.toml")
        assert mapping.architecture == ["arch"]
        assert mapping.sources[0].names == [["acc"]]
    for data in (b"", b"\xff\xfe\0\0", "one"):
        with pytest.raises(TableFileError, match="needs a mapping file"):
            imported(data, mapping=None)
    with pytest.raises(TableFileError, match="needs a mapping file"):
        imported("junk", mapping=None, suffix=".parquet")


# Wrong data files


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", r"lacks: Unknown column 'arch'\. Known: none"),
        ("arch,acc\n", r"data\.csv has no rows"),
        ("arch,acc,acc\nz:8,1,2\n", "has two columns 'acc'"),
        ("arch,acc\nz:8,1,2\n", "line 2: it has 3 cells instead of 2"),
        ("arch,acc\n\nz:8,1\nx:8\n", "line 4: it has 1 cell instead of 2"),
        ("arch,acc\nz:8,high\n", "line 2: expected a finite number in 'acc' but got 'high'"),
        ('arch,acc\nz:8,"0,5"\n', "line 2: expected a finite number in 'acc' but got '0,5'"),
        ("arch,acc\nz:8,1_0\n", "line 2: expected a finite number in 'acc' but got '1_0'"),
        ("arch,acc\nz:8,1\nx:8,inf\n", "line 3: expected a finite number in 'acc' but got 'inf'"),
        ("arch,acc\nz:8,-Infinity\n", "line 2: expected a finite number"),
        ("arch,acc\nz:8,1e999\n", "line 2: expected a finite number"),
        ("arch,acc\nz:8," + "x" * 10_000 + "\n", "line 2: expected a finite number"),
        (
            "arch,acc\nz:9,1\n",
            r"line 2: Expected an option for 'width' .*'9' in 'z:9'; options are",
        ),
        ("arch,acc\nz,1\n", "line 2: Expected 2 options"),
        ("arch,acc\n,1\n", "line 2: Expected 2 options"),
        ("arch,acc\n" + "z:" * 10_000 + ",1\n", "line 2: Expected 2 options"),
        ('arch,acc\nz:8,"1\n2\n', r"line 2: unexpected end of data"),
        ('arch,acc\nz:8,"1"2\n', "line 2: "),
        ("arch,acc\nz:8,1\nx:8,2\n\nz:8,3\n", "line 2 and line 5 are the same architecture, z:8"),
        ("arch,junk,acc\nz:8,'\n',1\n", "line 2: it has 2 cells"),
        ('arch,junk,acc\nz:8,"\n",1\nx:8,,y\n', "line 4: expected a finite number"),
        (b"arch,acc\nz:8,\xff\n", "is not in UTF-8"),
        ("arch,acc\nz:8,1\n".encode("utf-16"), "not in UTF-8 but in UTF-16"),
        (b"arch,acc\nz:8,\0\n", "line 2: "),
        (b"arch,acc\n" + b"x" * 200_000 + b",1\n", "line 2: field larger than field limit"),
    ],
    ids=itertools.count(),
)
def test_a_wrong_csv_file_is_refused(imported, tmp_path, data, message):
    with pytest.raises(TableFileError, match=message) as caught:
        imported(data)
    assert str(tmp_path / "data.csv") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"arch": ["z:8"], "acc": ["1"]}, "expected numbers in 'acc' but got string"),
        ({"arch": ["z:8"], "acc": [True]}, "expected numbers in 'acc' but got bool"),
        ({"arch": ["z:8"], "acc": [[1.0]]}, "expected numbers in 'acc' but got list"),
        (
            {"arch": ["z:8"], "acc": [{"a": 1.0}]},
            "expected numbers in 'acc' but got struct|Unknown",
        ),
        ({"arch": ["z:8", "x:8"], "acc": [1, np.inf]}, "row 2: expected a finite number in 'acc'"),
        ({"arch": ["z:8", None], "acc": [1, 2]}, "row 2: Expected 2 options"),
        ({"arch": ["z:8", "z:8"], "acc": [1, 2]}, "row 1 and row 2 are the same architecture"),
        ({"arch": [7], "acc": [1]}, "row 1: Expected 2 options"),
        ({"arch": [["z:8"]], "acc": [1]}, "expected texts in 'arch' but got list"),
        ({"arch": pa.array([], pa.string()), "acc": pa.array([], pa.float64())}, "has no rows"),
        ({"arch": ["z:8"]}, "lacks: Unknown column 'acc'"),
        (
            pa.Table.from_arrays([pa.array([1])] * 2 + [pa.array(["z:8"])], ["acc", "acc", "arch"]),
            "two",
        ),
    ],
    ids=itertools.count(),
)
def test_a_wrong_parquet_file_is_refused(imported, tmp_path, data, message):
    with pytest.raises(TableFileError, match=message) as caught:
        imported(data)
    assert str(tmp_path / "data.parquet") in str(caught.value)
    assert not (tmp_path / "table").exists()


def test_a_wrong_option_of_one_column_is_named(imported):
    mapping = MAPPING.replace('"arch"', '["op", "width"]')
    with pytest.raises(
        TableFileError, match=r"line 3: .* in 'width' but got '9'; options are 8, 16"
    ):
        imported("op,width,acc\nz,8,1\nx,9,2\n", mapping)


def test_damaged_parquet_is_read_or_refused(imported, tmp_path):
    texts = get_space("csv-small").to_string(get_space("csv-small").at(np.arange(6)))
    imported({"arch": texts, "acc": np.arange(6) / 7})
    data = (tmp_path / "data.parquet").read_bytes()
    rng = random.Random(1)
    for place in [0, 3, 4, 8, len(data) - 8, len(data) - 1, *rng.sample(range(len(data)), 60)]:
        with pytest.raises(TableFileError, match=r"data\.parquet is truncated, damaged or no Parq"):
            imported(data[:place], suffix=".parquet")
    refused = 0
    for place in rng.sample(range(len(data)), 200):
        changed = data[:place] + bytes([data[place] ^ rng.randrange(1, 256)]) + data[place + 1 :]
        try:
            imported(changed, suffix=".parquet")
        except NasbenchLabError:  # and no other error
            refused += 1
    assert refused > 20


def test_a_scale_that_makes_numbers_infinite_is_refused(imported):
    with pytest.raises(
        TableFileError, match=r"data\.toml: scale 100\.0 makes values of 'valid' inf"
    ):
        imported("arch,acc\nz:8,1e307\n", MAPPING + "scale = 100\n")


def test_a_file_that_is_not_there_is_said(tmp_path):
    (tmp_path / "data.toml").write_text(MAPPING)
    for path in (tmp_path / "data.csv", tmp_path):
        with pytest.raises(TableFileError, match="cannot be read"):
            convert(path, tmp_path, ImportOptions(mapping=tmp_path / "data.toml"))


# Recognising


def test_the_name_is_that_of_the_mapping(imported, tmp_path):
    imported()
    assert FORMAT.recognise(tmp_path / "data.csv") == "mine"
    imported({"arch": ["z:8"], "acc": [1]})
    assert recognise(tmp_path / "data.parquet") == "mine"
    (tmp_path / "data.parquet").rename(tmp_path / "data.other")  # by content
    assert recognise(tmp_path / "data.other") == "mine"
    (tmp_path / "data.txt").write_text(ROWS)
    assert recognise(tmp_path / "data.txt") == "mine"


def test_without_a_mapping_the_name_is_that_of_the_file(tmp_path):
    for name, expected in [
        ("my results (1).csv", "my-results-1"),
        ("a.b.TSV", "a-b"),
        ("x.parquet", "x"),
        ("--.csv", "table"),
    ]:
        (tmp_path / name).write_text("")
        assert recognise(tmp_path / name) == expected
    (tmp_path / "broken.csv").write_text("")
    (tmp_path / "broken.toml").write_text("[table")
    assert recognise(tmp_path / "broken.csv") == "broken"


def test_other_files_are_not_claimed(tmp_path):
    (tmp_path / "data.toml").write_text(MAPPING)
    (tmp_path / "data.bin").write_bytes(b"a\0b")
    (tmp_path / "other.txt").write_text(ROWS)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "pyproject.txt").write_text(ROWS)
    others = (
        "data.toml",
        "data.bin",
        "other.txt",
        "pyproject.txt",
        "absent.csv",
        "a\0b.csv",
        ".",
        "",
    )
    for name in others:
        assert recognise(tmp_path / name) is None
