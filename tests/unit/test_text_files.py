"""Text files of users, as editors write them: with a byte order mark, or in UTF-16."""

import codecs
import re
from importlib.util import find_spec

import pytest

from nasbench_lab import algorithm
from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.experiment.toml import read_experiment
from nasbench_lab.files import read_text
from nasbench_lab.registry import algorithm_class, import_file
from nasbench_lab.results.result import Result
from nasbench_lab.running.comparison import compare

CORA = "nas-bench-graph/cora"

ALGORITHM = """from nasbench_lab import SearchAlgorithm

class Mine(SearchAlgorithm):
    sign = "∞"

    def ask(self):
        return self.trial(self.space.sample(self.rng))
"""
EXPERIMENT = f"budget = 5\nalgorithms = ['random_search']\nbenchmarks = ['{CORA}']\n"
RECIPE = """name = "own/ä"
space = "nb201"
seeds = [0]
[training]
data = "digits"
"""
CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
DATA = f"arch,acc\n{CELL},0.5\n"
MAPPING = """[table]
name = "mine"
space = "nb201"
architecture = "arch"
objective = "valid"
[[columns]]
name = "valid"
from = "acc"
unit = "%"
maximize = true
"""

ENCODINGS = {
    "a byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "lines of Windows": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
}
OTHERS = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "the other order": lambda text: text.encode("utf-16-be"),
}


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """By kind of file: reads one of some encoding, and returns whether its content is right."""
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(tmp_path / "tables"))

    def write(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    def experiment(encoded):
        return read_experiment(write("e.toml", encoded(EXPERIMENT))).budget.evaluations == 5

    def recipe(encoded):
        from nasbench_lab.trainer.build import read_recipe

        return read_recipe(write("r.toml", encoded(RECIPE))).name == "own/ä"

    def table(data, mapping):
        write("t.toml", mapping)
        opened = import_file(write("t.csv", data))
        return opened.query(opened.space.from_string(CELL), "valid") == 0.5

    def algorithm_of(encoded):
        cls = algorithm_class(f"{write('mine.py', encoded(ALGORITHM))}:Mine")
        return issubclass(cls, algorithm.SearchAlgorithm) and cls.sign == "∞"

    return {
        "experiment": experiment,
        "recipe": recipe,
        "data": lambda encoded: table(encoded(DATA), MAPPING.encode()),
        "mapping": lambda encoded: table(DATA.encode(), encoded(MAPPING)),
        "algorithm": algorithm_of,
    }


KINDS = [
    "experiment",
    pytest.param(
        "recipe",
        marks=pytest.mark.skipif(find_spec("torch") is None, reason="building needs PyTorch"),
    ),
    "data",
    "mapping",
    "algorithm",
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_order_mark_is_no_part_of_the_text(kind, encoding, reads):
    assert reads[kind](ENCODINGS[encoding])


@pytest.mark.parametrize("encoding", OTHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_utf_16_is_refused_with_what_to_do(kind, encoding, reads):
    with pytest.raises(NasbenchLabError, match=r"in UTF-16; save it as UTF-8") as caught:
        reads[kind](OTHERS[encoding])
    assert re.search(r"(e|r|t)\.toml|t\.csv|mine\.py", str(caught.value))


def test_a_manifest_that_went_through_an_editor(tmp_path):
    compare(["random_search"], CORA, budget=3, seeds=1, n_jobs=1, folder=tmp_path / "r")
    manifest = tmp_path / "r" / "manifest.json"
    manifest.write_bytes(codecs.BOM_UTF8 + manifest.read_bytes())
    assert len(Result.open(tmp_path / "r").runs) == 1


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes("ä".encode("latin-1"))
    with pytest.raises(UnicodeError, match=r"not in UTF-8 .*0xe4.*save it as UTF-8"):
        read_text(tmp_path / "a.txt")
