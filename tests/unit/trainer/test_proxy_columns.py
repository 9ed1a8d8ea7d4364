"""Columns of zero-cost proxies: in a build, and added to a table that exists."""

import json
import shutil

import numpy as np
import pytest

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.errors import DataFolderError, RecipeError
from nasbench_lab.files import sha256
from nasbench_lab.spaces import get_space
from nasbench_lab.tables.proxies import PROXIES, held_proxies, score_column, seconds_column

torch = pytest.importorskip("torch", reason="scores of networks need PyTorch")
from nasbench_lab.trainer import build
from nasbench_lab.trainer.build import add_proxies, build_table
from nasbench_lab.trainer.datasets import load_data
from nasbench_lab.trainer.scoring import score_architecture
from nasbench_lab.trainer.table_recipe import networks_of, read_recipe
from nasbench_lab.trainer.unfinished import Unfinished

pytestmark = pytest.mark.long

RECIPE = """
name = "mine/few"
space = "nb201"
seeds = [4]
architectures = 4
PROXIES
[training]
data = "digits"
skeleton = "tiny"
epochs = 1
batch_size = 200
shift = 1
flip = 0.0
"""
NAMES = ["ntk", "params", "synflow"]


def write(folder, names=None, name="few.toml"):
    line = "" if names is None else f"proxies = {json.dumps(names)}"
    (folder / name).write_text(RECIPE.replace("PROXIES", line))
    return folder / name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A table without proxies."""
    folder = tmp_path_factory.mktemp("trained")
    return build_table(write(folder), folder / "t", n_jobs=1)


@pytest.fixture
def table(trained, tmp_path):
    """The folder of a copy."""
    shutil.copytree(trained.folder, tmp_path / "t")
    return tmp_path / "t"


def checksums(folder):
    return {file.name: sha256(file) for file in folder.glob("*.npy")}


def test_a_table_gets_columns_and_keeps_its_own(trained, table, tmp_path):
    seen = []
    more = add_proxies(
        write(tmp_path, NAMES), table, n_jobs=1, progress=lambda *what: seen.append(what)
    )
    assert (0, 4, "scoring") in seen
    assert (4, 4, "scoring") in seen
    assert held_proxies(more) == ["params", "synflow", "ntk"]
    held = checksums(trained.folder)
    assert held.items() <= checksums(table).items()
    assert list(more.columns)[: len(trained.columns)] == list(trained.columns)
    space, recipe, data = (
        get_space("nb201"),
        read_recipe(tmp_path / "few.toml"),
        load_data("digits"),
    )
    for architecture in map(tuple, more.architectures.tolist()):
        values = score_architecture(space, architecture, recipe.training, data, NAMES).values
        for name in NAMES:
            column = more.column(score_column(name))
            assert (column.quantity, column.maximize) == ("proxy", PROXIES[name].maximize)
            assert "seed 0, on a batch of 64 training images" in column.description
            assert more.query(architecture, column.name) == np.float32(values[name])
            assert more.query(architecture, seconds_column(name)) >= 0
        assert more.query(architecture, "proxy_params") == pytest.approx(
            more.query(architecture, "parameters"), rel=1e-6
        )
    assert np.load(table / "proxy_ntk.npy").dtype == np.float32
    assert more.info.details["recipe"]["proxies"] == ["params", "synflow", "ntk"]
    assert more.info.details["proxies"]["seed"] == 0
    assert more.info.source["sha256"] == sha256(tmp_path / "few.toml")
    assert not table.with_name("t.build").exists()
    # A search may use a proxy as its objective; less is better for this one.
    benchmark = TableBenchmark(more, objective="proxy_ntk")
    assert not benchmark.objectives[0].maximize
    more.verify()


def test_a_build_scores_too(trained, table, tmp_path):
    built = build_table(write(tmp_path, NAMES), tmp_path / "built", n_jobs=1)
    added = add_proxies(tmp_path / "few.toml", table, n_jobs=1)
    assert list(built.columns) == list(added.columns)
    for name in built.columns:
        if "time" not in name:
            np.testing.assert_array_equal(built.trials(name), added.trials(name))


def test_proxies_are_no_part_of_what_trainings_are_known_by(tmp_path):
    """An unfinished build goes on when proxies are added to its recipe."""
    data = load_data("digits")
    known = {
        Unfinished(tmp_path / name, read_recipe(write(tmp_path, names)), data).of
        for name, names in (("a", None), ("b", NAMES))
    }
    assert len(known) == 1
    origin = json.loads((tmp_path / "b" / "build.json").read_text())
    assert set(origin["recipe"]) == {"space", "seeds", "architectures", "training"}


def test_a_stopped_run_goes_on(table, tmp_path, monkeypatch, caplog):
    done, real = [], build._score_one

    def until_the_third(recipe, folder, index):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(index)
        return real(recipe, folder, index)

    monkeypatch.setattr(build, "_score_one", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        add_proxies(write(tmp_path, ["snip"]), table, n_jobs=1)
    first = list(done)
    monkeypatch.setattr(build, "_score_one", lambda *a: (done.append(a[2]), real(*a))[1])
    damaged = table.with_name("t.build") / "scored" / f"{first[1]:08d}.json"
    damaged.write_text(damaged.read_text().replace("snip", "snap"))
    again = add_proxies(tmp_path / "few.toml", table, n_jobs=1)
    assert f"{damaged} is damaged" in caplog.text
    assert "scored again" in caplog.text
    assert sorted(done) == sorted([*networks_of(read_recipe(tmp_path / "few.toml")), first[1]])
    assert np.isfinite(again.values("proxy_snip")).all()
    # More proxies later are scored then; the columns of others stay.
    held = checksums(table)
    more = add_proxies(write(tmp_path, ["l2_norm"]), table, n_jobs=1)
    assert held_proxies(more) == ["l2_norm", "snip"]
    assert held.items() <= checksums(table).items()


@pytest.mark.parametrize(
    ("names", "old", "new", "error", "words"),
    [
        (None, "", "", RecipeError, "names no proxies"),
        (["synflo"], "", "", RecipeError, "Did you mean 'synflow'"),
        (["snip"], "seeds = [4]", "seeds = [5]", DataFolderError, "was not made by"),
        (["snip"], "batch_size = 200", "batch_size = 100", DataFolderError, "was not made by"),
        (["snip"], "architectures = 4", "architectures = 3", DataFolderError, "was not made by"),
    ],
)
def test_other_recipes_add_nothing(table, tmp_path, names, old, new, error, words):
    recipe, held = write(tmp_path, names), checksums(table)
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(error, match=words):
        add_proxies(recipe, table, n_jobs=1)
    assert checksums(table) == held


def test_the_command(table, tmp_path, lab):
    recipe = write(tmp_path, ["params"])
    out = lab(
        *("build-table", str(recipe), "--output", str(table)), *("--proxies-only", "--jobs", "1")
    )
    assert out.code == 0, out.err
    assert "scored in" in out.words
    out = lab("build-table", str(recipe), "-o", str(tmp_path / "none"), "--proxies-only")
    assert out.code == 1
    assert "none" in out.err
