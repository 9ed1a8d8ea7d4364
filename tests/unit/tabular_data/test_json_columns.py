"""Tables from JSON and JSON Lines, with the mapping files of CSV."""

import json
import random
import tracemalloc
from pathlib import Path

import pytest

from nasbench_lab.errors import NasbenchLabError, TableFileError
from nasbench_lab.registry import draft_mapping, import_file
from tabular_data import _json_columns
from tabular_data._json_columns import read_json
from tabular_data.csv_table import recognise

DECISIONS = """
[[decisions]]
name = "op"
options = ["x", "y"]
[[decisions]]
name = "width"
column = "net.width"
options = [8, 16]
"""

MAPPING = f"""
[table]
name = "mine"
objective = "valid"
{DECISIONS}
[[columns]]
name = "valid"
from = ["accuracies.0", "accuracies.1"]
trials = [1, 2]
quantity = "accuracy"
unit = "%"
maximize = true
[[columns]]
name = "latency"
from = "cost.ms"
unit = "ms"
maximize = false
"""

RECORDS = [
    {"op": "x", "net": {"width": 8}, "accuracies": [50, 51.5], "cost": {"ms": 1}},
    {"op": "y", "net": {"width": 16}, "accuracies": [60, None], "unused": [{"a": "ä"}]},
    {"cost": {"ms": 2.5e0}, "net": {"width": 16}, "accuracies": [55], "op": "x"},
]
VALUES = [[50, 51.5], [60, None], [55, None]], [1, None, 2.5]

LINES = "".join(f"{json.dumps(record)}\n" for record in RECORDS)
FORMS = {
    "lines": (".jsonl", LINES),
    "lines of another name": (".txt", LINES.strip().replace("\n", "\r\n\r\n")),
    "lines in a .json": (".json", LINES),
    "one line": (".ndjson", LINES),
    "a list": (".json", json.dumps(RECORDS)),
    "a list, laid out": (".json", json.dumps(RECORDS, indent=2, ensure_ascii=False)),
    "a list of another name": (".data", "\n " + json.dumps(RECORDS)),
    "byte order mark": (".json", "\ufeff" + json.dumps(RECORDS)),
    "lines with a byte order mark": (".jsonl", "\ufeff" + LINES),
    "an object": (".json", json.dumps({str(i): record for i, record in enumerate(RECORDS)})),
    "an object, laid out": (".json", json.dumps(dict(zip("abc", RECORDS, strict=True)), indent=1)),
}


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Imports a text in JSON."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "data"))

    def imported(text, suffix=".json", mapping=MAPPING):
        path = tmp_path / f"records{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.with_suffix(".toml").write_text(mapping)
        return import_file(path)

    return imported


def held(table):
    """Values of the trials and of the latency, None where there is none."""
    rows = table.row(table.space.from_string(["x:8", "y:16", "x:16"]))
    return tuple(
        [[None if v != v else v for v in row] for row in values[rows].tolist()]
        for values in (table.trials("valid"), table.trials("latency"))
    )


@pytest.mark.parametrize(("suffix", "text"), FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_table(imported, suffix, text):
    trials, latency = held(imported(text, suffix))
    assert (trials, [value for (value,) in latency]) == VALUES


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_records_may_end_anywhere_in_what_is_read_at_once(imported, monkeypatch, chunk):
    monkeypatch.setattr(_json_columns, "_CHUNK", chunk)
    for form in ("a list, laid out", "an object"):
        trials, latency = held(imported(FORMS[form][1]))
        assert (trials, [value for (value,) in latency]) == VALUES


KEYED = """
[table]
name = "keyed"
space = "nats-sss"
architecture = "key"
objective = "valid"
[[columns]]
name = "valid"
from = "acc"
unit = "%"
maximize = true
"""


def test_the_names_of_records_are_a_column(imported):
    table = imported('{"8:8:8:8:8": {"acc": 1}, "8:16:8:8:64": {"acc": 2.5}}', mapping=KEYED)
    assert table.space.to_string(table.architectures) == ["8:8:8:8:8", "8:16:8:8:64"]
    assert table.values("valid").tolist() == [1, 2.5]
    with pytest.raises(TableFileError, match=r"records\.json, record 2: .*'9:8:8:8:8'"):
        imported('{"8:8:8:8:8": {"acc": 1}, "9:8:8:8:8": {"acc": 2.5}}', mapping=KEYED)


def test_a_draft_is_made_of_json(tmp_path):
    rows = [{"arch": f"{w}:8:8:8:8", "result": {"valid_acc": w}} for w in (8, 16, 24)]
    for suffix, text in ((".json", json.dumps(rows)), (".jsonl", "\n".join(map(json.dumps, rows)))):
        (tmp_path / f"networks{suffix}").write_text(text)
        mapping = draft_mapping(tmp_path / f"networks{suffix}")
        text = mapping.read_text()
        assert 'space = "nats-sss"\narchitecture = "arch"' in text
        assert 'from = "result.valid_acc"' in text
        mapping.unlink()


def test_without_a_mapping_the_columns_are_named(tmp_path):
    path = tmp_path / "networks.jsonl"
    path.write_text('{"arch": "8:8:8:8:8", "result": {"acc": 1}}\n')
    assert recognise(path) == "networks"
    with pytest.raises(TableFileError, match=r"needs a mapping file .*\"arch\", \"result\.acc\""):
        import_file(path)


GOOD = '{"op": "x", "net": {"width": 8}, "accuracies": [1, 2], "cost": {"ms": 1}}'


def wrong(old, new):
    """A second record in which something is replaced."""
    assert old in GOOD
    return GOOD.replace("8", "16").replace(old, new)


WRONG_RECORDS = {
    "text for a number": (wrong("[1, 2]", '["1", 2]'), r"a number in 'accuracies\.0' but got '1'"),
    "true for a number": (wrong("[1, 2]", "[true, 2]"), "a number in .* but got True"),
    "list for a number": (
        wrong('"ms": 1', '"ms": [1]'),
        r"got a list, whose parts .* cost\.ms\.0",
    ),
    "object for a text": (wrong('"x"', '{"a": 1}'), r"'op' but got an object, .* op\.a"),
    "empty list": (wrong('"x"', "[]"), "'op' but got a list"),
    "NaN": (wrong("[1, 2]", "[NaN, 2]"), "NaN is no JSON; write null"),
    "NaN that nobody asks for": (wrong('"op"', '"a": NaN, "op"'), "NaN is no JSON; write null"),
    "infinity": (wrong('"ms": 1', '"ms": -Infinity'), "-Infinity is no JSON"),
    "too large": (
        wrong('"ms": 1', '"ms": 1e999'),
        "double precision in 'cost.ms' but got a larger",
    ),
    "too large, whole": (wrong('"ms": 1', f'"ms": 1{"0" * 350}'), "double precision in 'cost.ms'"),
    "thousands of digits": (wrong('"ms": 1', f'"ms": 1{"0" * 9000}'), "a number of 9,001 digits"),
    "twice a name": (wrong('"op"', '"op": "y", "op"'), "an object has two values of the name 'op'"),
    "twice a name inside": (wrong('"ms": 1', '"ms": 1, "ms": 2'), "two values of the name 'ms'"),
    "twice a way": (wrong('"op"', '"cost.ms": 3, "op"'), r"two values of the name 'cost\.ms'"),
    "too deep": (wrong('"x"', "[" * 100_000), "too deep|is cut off or no JSON"),
    "a long name": (
        wrong('"op"', f'"{"o" * 2000}": {{"a": 1}}, "op"'),
        "names of at most 1,000 ch",
    ),
    "many values": (wrong("[1, 2]", f"[1{', 2' * 20_000}]"), "expected at most 10,000 values"),
    "long text": (wrong('"x"', f'"{"x" * 20_000}"'), "at most 10,000 characters in 'op'"),
    "half a character": (wrong('"op"', r'"\ud800": 1, "op"'), "surrogates not allowed"),
    "no option": (wrong('"x"', '"z"'), "in 'op' but got 'z'; options are x, y"),
    "impossible": (wrong("[1, 2]", "[1, 200]"), "expected a value of accuracy in % from 0 to 100"),
    "a number": ("3", "expected an object with values by name but got 3"),
    "a list": ("[1]", r"expected an object with values by name but got \[1\]"),
    "not JSON": (wrong('"op"', "op"), "is cut off or no JSON"),
    "the same": (GOOD, "are the same architecture"),
}


@pytest.mark.parametrize("form", ["lines", "list", "object"])
@pytest.mark.parametrize(("record", "message"), WRONG_RECORDS.values(), ids=WRONG_RECORDS)
def test_a_wrong_record_is_named(imported, record, message, form, tmp_path):
    text = {
        "lines": f"{GOOD}\n{record}\n",
        "list": f"[{GOOD},\n{record}\n]",
        "object": f'{{"a": {GOOD}, "b": {record}}}',
    }[form]
    suffix, place = (".jsonl", "line 2") if form == "lines" else (".json", "record 2")
    with pytest.raises(TableFileError, match=message) as caught:
        imported(text, suffix)
    assert str(tmp_path / f"records{suffix}") in str(caught.value)
    assert place in str(caught.value)


LIST, OBJECT = f"[{GOOD}]", f'{{"a": {GOOD}}}'
WRONG_FILES = {
    "empty": (".json", "", "expected '{' but got the end of the file"),
    "empty lines": (".jsonl", "\n\n", "has no rows"),
    "empty list": (".json", "[]", "has no rows"),
    "empty object": (".json", "{}", "has no rows"),
    "another value": (".json", "3", "expected '{' but got '3'"),
    "no column": (".json", '[{"op": "x"}]', "a column that .* lacks: Unknown column"),
    "nothing in it": (".json", "[{}]", "a column that .* lacks: Unknown column"),
    "more behind": (".json", LIST + "[", r"expected the end of the file but got '\['"),
    "no comma": (".json", LIST[:-1] + GOOD + "]", "expected ',' but got '{'"),
    "a comma more": (".json", LIST[:-1] + ",]", "is cut off or no JSON: Expecting value"),
    "a comma more in an object": (".json", OBJECT[:-1] + ",}", "a name in quotation marks"),
    "no colon": (".json", OBJECT.replace(":", ",", 1), "expected ':' but got ','"),
    "twice a name": (".json", f'{{"a": {GOOD}, "a": {GOOD}}}', "'a'.* the same name"),
    "key": (".json", OBJECT.replace('"op"', '"key": 1, "op"'), "a value 'key', which is the name"),
    "two records in a line": (".jsonl", f"{GOOD} {GOOD}", "line 1: .*no JSON: Extra data"),
    "UTF-16": (".json", LIST.encode("utf-16"), "not in UTF-8 but in UTF-16"),
    "UTF-16 lines": (".jsonl", GOOD.encode("utf-16"), "not in UTF-8 but in UTF-16"),
    "Latin-1": (".json", LIST.replace('"op"', '"é": 1, "op"').encode("latin-1"), "not in UTF-8"),
    "Latin-1 lines": (".jsonl", GOOD.replace("x", "é").encode("latin-1"), "line 1 is not in UTF-8"),
    "a long record": (".json", f'[{{"a": "{"a" * (1 << 21)}"}}]', "more than 1,048,576 charact"),
    "a long line": (".jsonl", f'{{"a": "{"a" * (1 << 21)}"}}', "line 1: it has 1,048,576 bytes"),
}


@pytest.mark.parametrize(("suffix", "text", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_refused(imported, tmp_path, suffix, text, message):
    with pytest.raises(TableFileError, match=message) as caught:
        imported(text, suffix)
    assert str(tmp_path / f"records{suffix}") in str(caught.value)


def read(path):
    return read_json(
        path, ["op", "net.width"], ["accuracies.0", "accuracies.1", "cost.ms"], Path("mapping"), 3
    )


@pytest.mark.parametrize("form", ["lines", "a list", "an object"])
def test_a_file_that_is_cut_off_or_changed_is_read_or_refused(tmp_path, form):
    suffix, text = FORMS[form]
    path, data, rng = tmp_path / f"records{suffix}", text.rstrip().encode(), random.Random(1)
    for end in range(1, len(data)):
        if form == "lines" and b"\n" in data[end - 1 : end + 1]:
            continue  # whole records
        path.write_bytes(data[:end])
        with pytest.raises(TableFileError):
            read(path)
    refused = 0
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ rng.randrange(1, 256)]) + data[place + 1 :]
        path.write_bytes(changed)
        try:
            read(path)
        except NasbenchLabError:  # and no other error
            refused += 1
    assert refused > len(data) / 4


def test_too_many_records_are_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(LINES + LINES)
    with pytest.raises(TableFileError, match="line 4: expected at most 3 records"):
        read(path)


@pytest.mark.parametrize("form", ["lines", "a list", "an object"])
def test_little_of_a_file_is_in_memory_at_once(tmp_path, form):
    path = tmp_path / f"many{FORMS[form][0]}"
    begin, between, end = {"lines": ("", "\n", ""), "a list": "[,]", "an object": "{,}"}[form]
    waste = "w" * 900_000
    with open(path, "w") as file:
        for i in range(15):
            record = json.dumps({**RECORDS[0], "waste": waste})
            name = f'"{i}": ' if form == "an object" else ""
            file.write(f"{between if i else begin}{name}{record}")
        file.write(end)
    tracemalloc.start()
    try:
        data = read_json(path, ["op"], ["cost.ms"], Path("mapping"), 15)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data.numbers["cost.ms"].tolist() == [1] * 15
    assert most < path.stat().st_size / 2
