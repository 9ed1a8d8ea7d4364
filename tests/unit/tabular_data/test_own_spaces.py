"""Spaces of one's own, in the mapping files of CSV and Parquet files."""

import textwrap

import measured_networks
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasbench_lab.errors import TableFileError
from nasbench_lab.files import atomic_folder
from nasbench_lab.spaces import Decision, SearchSpace, get_space
from nasbench_lab.tables.sources import ImportOptions
from nasbench_lab.tables.table import Table
from tabular_data import csv_table
from tabular_data.csv_table import convert

HEAD = """
[table]
name = "mine"
objective = "acc"

[[columns]]
name = "acc"
from = "acc"
unit = "%"
maximize = true
"""

DECISIONS = """
[[decisions]]
name = "layers"
options = [1, 2, 3]
ordered = true

[[decisions]]
name = "width"
column = "width 3"
options = [16, 32]
active_if = { layers = [2, 3] }

[[decisions]]
name = "rate"
options = [0.0001, 0.01, 3]
"""

MAPPING = HEAD + DECISIONS

ROWS = "acc,layers,width 3,rate\n1,1,,1e-4\n2,2.0,16,0.01\n3,3,3.2e1,3.00\n4,3,16.0,0.00010\n"


@pytest.fixture
def imported(tmp_path):
    """Imports a text, as CSV, or a dict of columns, as Parquet, and opens the table."""

    def imported(data=ROWS, mapping=MAPPING, **options):
        parquet = isinstance(data, dict)
        path, folder = tmp_path / f"data.{'parquet' if parquet else 'csv'}", tmp_path / "table"
        pq.write_table(pa.table(data), path) if parquet else path.write_text(data)
        (tmp_path / "data.toml").write_text(mapping)
        with atomic_folder(folder, replace=True) as new:
            convert(path, new, ImportOptions(**options))
        return Table.open(folder)

    return imported


PARQUET = {
    "acc": [1.0, 2.0, 3.0, 4.0],
    "layers": pa.array([1, 2, 3, 3], pa.int8()),
    "width 3": pa.array([None, 16, 32, 16], pa.float64()),
    "rate": pa.array([1e-4, 0.01, 3, 1e-4], pa.float32()),
}


@pytest.mark.parametrize("data", [ROWS, ROWS.replace(",,", ",NaN,"), PARQUET])
def test_the_mapping_holds_the_space_and_the_table_keeps_it(imported, data):
    table = imported(data)
    expected = SearchSpace(
        "mine",
        [
            Decision("layers", (1, 2, 3), ordered=True),
            Decision("width", (16, 32), active_if={"layers": (2, 3)}),
            Decision("rate", (0.0001, 0.01, 3)),
        ],
    )
    assert table.space == expected
    assert table.info.decisions == expected.decisions
    assert [type(option) for option in table.space.decisions[2].options] == [float, float, int]
    assert table.space.to_string(table.architectures) == [
        *("1::0.0001", "2:16:0.01", "3:32:3", "3:16:0.0001")
    ]
    assert table.values("acc").tolist() == [1, 2, 3, 4]
    assert table.info.missing == ("11 of the 15 architectures are not in the file.",)


def test_the_name_of_the_table_is_that_of_its_space(imported):
    assert imported(name="another").space.name == "another"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "2,2.0,16,",
            "2,2.0,,",
            r"line 3: .* in 'width 3' but got a blank; options are 16, 32",
        ),
        (
            "1,1,,",
            "1,1,16,",
            r"line 2: Expected a blank .*'width 3', .*layers is 2 or 3",
        ),
        ("3.2e1", "33", r"line 4: .* but got '33'; options are 16, 32"),
        ("1e-4", "1e-5", r"line 2: .*'rate' .* but got '1e-5'"),
        (
            "4,3,16.0,0.00010",
            "4,3,32,3",
            "line 4 and line 5 are the same architecture, 3:32:3.*trials",
        ),
        ("width 3", "width", "lacks: Unknown column 'width 3'"),
    ],
)
def test_cells_that_do_not_fit_the_space_are_refused(imported, old, new, message):
    assert old in ROWS
    with pytest.raises(TableFileError, match=message):
        imported(ROWS.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layers = [2, 3]", "layers = [4]", "options of 'layers' but got 4; options are 1, 2, 3"),
        ("layers = [2, 3]", "rate = [3]", "earlier decision but got 'rate', which comes later"),
        ("layers = [2, 3]", "depth = [3]", "earlier decision but got 'depth'"),
        ("{ layers = [2, 3] }", '"layers"', "expected a table as 'active_if' but got 'layers'"),
        ("options = [16, 32]", "options = []", "list of texts and numbers as 'options' but got"),
        ("options = [16, 32]", "options = [16, nan]", "texts and numbers as 'options'"),
        ("options = [16, 32]", "options = [16, [32]]", "texts and numbers as 'options'"),
        ("options = [16, 32]", "options = [16, 16.0]", "different options but got .*by value"),
        ("options = [16, 32]", 'options = ["a", "a"]', "different options but got"),
        ("options = [16, 32]", "", "either 'options' or 'bins'"),
        ("options = [16, 32]", "options = [16, 32]\nbins = 3", "either 'options' or 'bins'"),
        ("options = [16, 32]", "bins = 1", "from 2 to 1,000 'bins'"),
        ("options = [16, 32]", "bins = [2, 1]", "ascending edges as 'bins'"),
        ("options = [16, 32]", "bins = [1, 2, inf]", "ascending edges as 'bins'"),
        ("options = [16, 32]", "bins = [1, 40]\nlog = true", "'log' only with a number"),
        ("options = [16, 32]", "options = [16, 32]\nlog = true", "'log' only with a number"),
        ("options = [16, 32]", 'option = [16]\noptions = ["a"]', "Unknown key 'option'"),
        ('column = "width 3"', 'column = "layers"', "two .* have the column 'layers'"),
        ('name = "width"', 'name = "layers"', "two .* have the decision 'layers'"),
        ('objective = "acc"', 'objective = "acc"\nspace = "nb201"', "no 'space' beside"),
        ('objective = "acc"', 'objective = "acc"\narchitecture = "a"', "no 'architecture' beside"),
        ('objective = "acc"', 'objective = "acc"\nrepeats = "mean"', "Unknown repeats 'mean'"),
    ],
)
def test_wrong_decisions_are_refused(imported, old, new, message):
    assert old in MAPPING
    with pytest.raises(TableFileError, match=message) as error:
        imported(mapping=MAPPING.replace(old, new))
    assert "data.toml" in str(error.value)


def test_without_decisions_a_space_is_needed(imported):
    with pytest.raises(TableFileError, match="expected the key 'architecture' and 'space'"):
        imported(mapping=HEAD)


def test_a_space_may_be_given_with_the_command(imported):
    given = SearchSpace("given", [Decision("layers", (1, 2, 3)), Decision("rate", (1e-4, 0.01, 3))])
    mapping = HEAD.replace("objective", 'architecture = ["layers", "rate"]\nobjective')
    table = imported(mapping=mapping, space=given)
    assert table.space == given
    assert table.space.to_string(table.architectures[:2]) == ["1:0.0001", "2:0.01"]
    for text, what in ((MAPPING, r"\[\[decisions\]\]"), (mapping + "\n[table.x]", "x")):
        with pytest.raises(TableFileError, match=what):
            imported(mapping=text, space=given)


def test_a_table_whose_name_is_that_of_another_space_is_refused(imported):
    with pytest.raises(TableFileError, match=r"data.toml: 'mlp' is the name of another space"):
        imported(name="mlp")


def test_a_single_option_may_be_a_condition(imported):
    assert dict(imported(mapping=MAPPING).space.decisions[1].conditions) == {"layers": (2, 3)}
    table = imported(ROWS.replace("2,2.0,16", "2,1,"), MAPPING.replace("[2, 3]", "3.0"))
    assert table.space.size == 3 * 4


def test_numbers_match_by_value_in_registered_spaces_too(imported):
    columns = ["L2 penalty", "batch size", "depth", "learning rate", "width"]
    mlp = get_space("mlp")
    texts = [str(decision.options[1]) for decision in mlp.decisions]
    written = [f"{float(text):.20e}" for text in texts]
    mapping = HEAD.replace("objective", f'space = "mlp"\narchitecture = {columns}\nobjective')
    table = imported(",".join([*columns, "acc"]) + "\n" + ",".join([*written, "7"]) + "\n", mapping)
    assert table.architectures.tolist() == [[1] * 5]


def test_the_example_of_the_documentation_works(imported):
    _, text = csv_table.__doc__.split("opens on any machine:\n")
    text, _ = text.split("\n\nAll conditions of a decision")
    rows = "layers,width_3,learning_rate,acc\n1,,1e-3,1\n3,16,1e-2,2\n4,64.0,0.1,3\n"
    table = imported(rows, HEAD + textwrap.dedent(text))
    assert table.space.size == 8 * (2 + 2 * 3)
    assert table.space.decisions[1].name == "width of layer 3"
    assert table.architectures[:, 1].tolist() == [0, 0, 2]


# Bins


def binned(imported, rule, numbers, more=""):
    rows = "acc,rate,op\n" + "".join(f"{i},{n},a\n" for i, n in enumerate(numbers))
    decisions = (
        f'[[decisions]]\nname = "rate"\n{rule}\n[[decisions]]\nname = "op"\noptions = ["a", "b"]'
    )
    return imported(rows, HEAD.replace("\n[[", f"{more}\n[[", 1) + decisions)


def test_bins_of_equal_width(imported):
    table = binned(imported, "bins = 4", [0, 0.99, 1, 2.5, 4])
    decision = table.space.decisions[0]
    assert decision.options == (0.5, 1.5, 2.5, 3.5)
    assert decision.ordered
    assert table.space.to_string(table.architectures) == ["0.5:a", "1.5:a", "2.5:a", "3.5:a"]
    # Rows of one bin are trials of the architecture.
    column = table.columns["acc"]
    assert column.trials == (1, 2)
    np.testing.assert_array_equal(
        table.trials("acc")[:, :, 0] if table.trials("acc").ndim == 3 else table.trials("acc"),
        [[0, 1], [2, np.nan], [3, np.nan], [4, np.nan]],
    )
    assert table.values("acc").tolist() == [0.5, 2, 3, 4]


def test_bins_in_the_logarithm(imported):
    table = binned(imported, "bins = 3\nlog = true", ["1e-4", 0.0011, 0.009, 0.1])
    assert table.space.decisions[0].options == (0.0003162, 0.003162, 0.03162)
    assert table.architectures[:, 0].tolist() == [0, 1, 2]
    assert table.values("acc").tolist() == [0, 1.5, 3]


def test_bins_with_edges(imported):
    table = binned(imported, "bins = [0, 1, 10]", [0, 0.5, 1, 10])
    assert table.space.decisions[0].options == (0.5, 5.5)
    assert table.values("acc").tolist() == [0.5, 2.5]
    with pytest.raises(
        TableFileError, match=r"line 3: expected a number from 0 to 10 in 'rate'.*10.5"
    ):
        binned(imported, "bins = [0, 1, 10]", [0, 10.5])


def test_bins_whose_rows_must_differ(imported):
    with pytest.raises(TableFileError, match=r"line 2 and line 3 are the same architecture, 0.5:a"):
        binned(imported, "bins = 4", [0, 0.5, 4], '\nrepeats = "refuse"\n')


@pytest.mark.parametrize(
    ("rule", "numbers", "message"),
    [
        (
            "bins = 4",
            ["x", 1],
            "line 2: expected a finite number in 'rate', which .* got 'x'",
        ),
        ("bins = 4", ["inf", 1], "line 2: expected a finite number"),
        (
            "bins = 4",
            [3, 3],
            "different numbers in 'rate', as it is to have 4 bins, but got only 3",
        ),
        ("bins = 4", ["", ""], "as it is to have 4 bins, but got none"),
        ("bins = 4\nlog = true", [1, 0], "line 3: expected a number above 0 in 'rate'"),
        ("bins = 4", [1, "", 2], "line 3: .*'rate' .* but got a blank"),
        ("bins = 9", [1, 1 + 2**-52], "narrower than numbers can tell apart"),
    ],
)
def test_numbers_that_make_no_bins_are_refused(imported, rule, numbers, message):
    with pytest.raises(TableFileError, match=message):
        binned(imported, rule, numbers)


def test_bins_of_a_decision_that_does_not_always_exist(imported):
    mapping = MAPPING.replace("options = [16, 32]", "bins = 2")
    table = imported(mapping=mapping)
    assert table.space.to_string(table.architectures) == [
        *("1::0.0001", "2:20.0:0.01", "3:28.0:3", "3:20.0:0.0001")
    ]


# Several rows of one architecture


def test_rows_of_one_architecture_become_trials_where_the_mapping_says_so(imported):
    rows = "acc,op\n1,a\n2,b\n3,a\n5,a\n"
    mapping = HEAD + '[[decisions]]\nname = "op"\noptions = ["a", "b"]\n'
    with pytest.raises(TableFileError, match=r"line 2 and line 4 are the same .*repeats"):
        imported(rows, mapping)
    table = imported(rows, mapping.replace("objective", 'repeats = "trials"\nobjective'))
    assert table.columns["acc"].trials == (1, 2, 3)
    assert table.values("acc").tolist() == [3, 2]
    assert table.counts("acc").tolist() == [3, 1]


def test_trials_in_rows_and_in_columns(imported):
    rows = "acc,s7,s8,op\n0,1,2,a\n0,3,,b\n0,5,6,a\n"
    text = HEAD.replace('from = "acc"', 'from = ["s7", "s8"]\ntrials = [7, 8]')
    text = text.replace("objective", 'repeats = "trials"\nobjective')
    table = imported(rows, text + '[[decisions]]\nname = "op"\noptions = ["a", "b"]\n')
    assert table.columns["acc"].trials == ("7, row 1", "8, row 1", "7, row 2", "8, row 2")
    assert table.values("acc").tolist() == [3.5, 3]


def test_an_impossible_value_is_named_with_its_line(imported):
    text = MAPPING.replace('unit = "%"', 'quantity = "accuracy"\nunit = "%"')
    text = text.replace("objective", 'repeats = "trials"\nobjective')
    with pytest.raises(TableFileError, match=r"line 5: expected a value of accuracy in %"):
        imported(ROWS.replace("\n4,", "\n400,"), text)


# Drafts


@pytest.fixture
def drafted(tmp_path):
    """Drafts a mapping file, imports with it, and opens the table."""

    def drafted(data, name="data.csv"):
        path, folder = tmp_path / name, tmp_path / "table"
        pq.write_table(pa.table(data), path) if isinstance(data, dict) else path.write_text(data)
        text = csv_table.draft(path)
        path.with_suffix(".toml").write_text(text)
        with atomic_folder(folder, replace=True) as new:
            convert(path, new, ImportOptions())
        return text, Table.open(folder)

    return drafted


def test_the_draft_for_an_engineers_file_is_right_as_it_is(tmp_path):
    path, folder = tmp_path / "networks.csv", tmp_path / "table"
    rows = measured_networks.rows(3_000)
    measured_networks.write_csv(path, rows)
    path.with_suffix(".toml").write_text(csv_table.draft(path))
    with atomic_folder(folder, replace=True) as new:
        convert(path, new, ImportOptions())
    table, expected = Table.open(folder), measured_networks.space()
    by_name = {decision.name: decision for decision in table.space.decisions}
    for decision in expected.decisions:
        found = by_name[decision.name]
        if decision.name != "activation":
            assert found == decision
        assert set(found.options) == set(decision.options)
    assert table.space.size == measured_networks.SIZE
    assert table.values("val_acc").tolist() == [row["val_acc"] for row in rows]
    columns = {c.name: (c.quantity, c.unit, c.split, c.maximize) for c in table.columns.values()}
    assert columns == {
        "val_acc": ("accuracy", "1", "valid", True),
        "test_acc": ("accuracy", "1", "test", True),
        "train_time": ("train_time", "s", None, False),
        "params": ("parameters", "1", None, False),
    }
    assert (table.info.objective, table.info.report) == ("val_acc", "test_acc")


def test_drafts_find_numbers_drawn_from_a_range(drafted):
    rng = np.random.default_rng(0)
    rows = [f"{10 ** rng.uniform(-4, -1):.6g},{rng.choice(['a', 'b'])},{i}" for i in range(100)]
    text, table = drafted("lr,op,val_acc\n" + "\n".join(rows))
    assert "bins = 8  # CHECK" in text
    assert "log = true" in text
    assert len(table.space.decisions[0].options) == 8


def test_drafts_find_nested_and_double_conditions(drafted):
    rows = ["kind,bias,kernel,dilation,extra,val_acc"]
    number = 0
    for kind in ("conv", "mlp"):
        for bias in ("true", "false"):
            for kernel in (1, 3) if kind == "conv" else ("",):
                for dilation in (1, 2) if kernel == 3 else ("",):
                    for extra in ("x", "y") if (kind, bias) == ("conv", "true") else ("",):
                        number += 1
                        rows.append(f"{kind},{bias},{kernel},{dilation},{extra},{number}")
    _, table = drafted("\n".join(rows))
    conditions = {d.name: dict(d.conditions) for d in table.space.decisions if d.conditions}
    assert conditions == {
        "kernel": {"kind": ("conv",)},
        "dilation": {"kernel": (3,)},
        "extra": {"kind": ("conv",), "bias": (True,)},
    }
    assert table.space.size == len(table) == number


def test_drafts_put_decisions_behind_those_they_depend_on(drafted):
    _, table = drafted("width,layers,loss\n,1,0.5\n8,2,0.25\n16,2,0.125\n")
    assert [decision.name for decision in table.space.decisions] == ["layers", "width"]
    assert table.columns["loss"].maximize is False


def test_drafts_know_architectures_of_registered_spaces(drafted):
    text, table = drafted("arch,acc,seconds\n8:16:24:32:40,93.5,10\n8:8:8:8:8,90.1,7\n")
    assert 'space = "nats-sss"' in text
    assert table.space.name == "nats-sss"
    assert table.columns["acc"].unit == "%"


def test_drafts_join_seeds_epochs_and_repeats(drafted):
    text, table = drafted(
        "op,val_acc_seed0,val_acc_seed1,train loss epoch 1,train loss epoch 12,hours\n"
        "a,0.5,0.7,2,1,1\nb,0.25,,3,2,2\na,0.75,0.8,2,1,3\n"
    )
    assert 'repeats = "trials"' in text
    assert table.values("val_acc").tolist() == [0.6875, 0.25]
    assert table.columns["train_loss"].epochs == (1, 12)
    time = next(c for c in table.columns.values() if c.quantity == "train_time")
    assert table.values(time.name).tolist() == [7200, 7200]


def test_drafts_of_parquet_files_leave_out_what_no_table_holds(drafted):
    data = {
        "op": ["a", "b"],
        "flag": [True, False],
        "constant": [7, 7],
        "nested": [[1], [2]],
        "": [0, 1],
        "accuracy": [0.5, 0.25],
        "blank": pa.array([None, None], pa.float64()),
    }
    text, table = drafted(data, "data.parquet")
    assert [d.options for d in table.space.decisions] == [("a", "b"), (False, True)]
    assert "# - constant: always 7" in text
    assert "# - blank: all blank" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("op,width\na,1\nb,2\n", "No column .* seems to hold measurements"),
        ("acc,loss\n1,2\n2,3\n", "No column .* decisions of an architecture"),
        ("acc,op\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_what_cannot_be_drafted_is_told(tmp_path, text, message):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(TableFileError, match=message):
        csv_table.draft(path)


@pytest.mark.parametrize("name", ['a"b', "a.b", "a b", "ä", "a=b", "[a]", "#a", "'a'"])
def test_drafts_write_any_name(drafted, name):
    cell = '"' + name.replace('"', '""') + '"'
    rows = f"op,{cell},acc\n{cell},1,0.5\nb,2,0.25\n{cell},2,0.75\n"
    _, table = drafted(rows)
    assert table.space.decisions[0].options == (name, "b")
    assert table.space.decisions[1].name == name
