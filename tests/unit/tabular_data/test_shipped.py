"""The tables that come with nasbench-lab: whole, small, and what their recipes give."""

import io
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_lab.benchmark import TableBenchmark
from nasbench_lab.cli import console
from nasbench_lab.errors import MissingSourceError, QueryError
from nasbench_lab.files import sha256
from nasbench_lab.landscape.proxies import study_proxies
from nasbench_lab.registry import load_benchmark, open_table
from nasbench_lab.tables.columns import Query
from nasbench_lab.tables.proxies import PROXIES, score_column, seconds_column
from nasbench_lab.trainer.datasets import load_data
from nasbench_lab.trainer.recipe import RECIPES
from nasbench_lab.trainer.table_recipe import read_recipe
from tabular_data import shipped

pytestmark = pytest.mark.long

FOLDER = shipped.FOLDER


@dataclass(frozen=True)
class Facts:
    """What a table holds, and how many pictures its card shows."""

    rows: int
    splits: dict[str, int]
    seeds: tuple[int, ...]
    pictures: int
    most_bytes: int


SEEDS = (0, 1, 2)
OF_CELLS = {
    "nb201-digits": Facts(5_260, {"train": 800, "valid": 500, "test": 497}, SEEDS, 6, 6_000_000),
    "nb201-mnist1d": Facts(
        5_260, {"train": 4000, "valid": 5000, "test": 5000}, SEEDS, 7, 6_000_000
    ),
}
TABLES = OF_CELLS | {
    "chain-mnist1d": Facts(
        3_000, {"train": 1000, "valid": 1000, "test": 1000}, (0, 1), 7, 3_000_000
    ),
}


@pytest.fixture(scope="module", params=TABLES)
def table(request):
    table = open_table(request.param)
    table.verify()
    return table


@pytest.fixture
def facts(table):
    return TABLES[table.name]


@pytest.fixture
def recipe(table):
    return read_recipe(_recipe_file(table)).training


def of_cells(test):
    """Runs a test on the tables of cells only."""
    return pytest.mark.parametrize("table", OF_CELLS, indirect=True, scope="module")(test)


@pytest.fixture
def card(table):
    return _folder(table).with_suffix(".md").read_text()


def _folder(table):
    return FOLDER / table.name.replace("-", "_")


def _recipe_file(table):
    return FOLDER / "recipes" / f"{table.name}.toml"


def test_all_of_them_are_tested():
    assert {source.name for source in shipped.TABLES} == set(TABLES)


def test_every_network_is_there_once(table, facts):
    assert len(table) == facts.rows
    np.testing.assert_array_equal(table.architectures, table.space.canonical(table.architectures))
    np.testing.assert_array_equal(table.row(table.architectures), np.arange(facts.rows))


@of_cells
def test_every_cell_has_its_class(table, facts):
    space = table.space
    cells = space.at(np.arange(space.size))
    rows = table.row(cells)
    assert set(rows.tolist()) == set(range(facts.rows))
    np.testing.assert_array_equal(rows, table.row(space.canonical(cells)))


def test_nothing_is_missing(table, facts, recipe):
    proxies = PROXIES if table.name in OF_CELLS else ()
    assert set(table.columns) == {
        *(f"{split}_{what}" for split in facts.splits for what in ("accuracy", "loss")),
        "parameters",
        "flops",
        "train_time_per_epoch",
        "valid_time",
        *map(score_column, proxies),
        *map(seconds_column, proxies),
    }
    for column in table.columns.values():
        for epoch in column.epochs or (None,):
            values = table.trials(Query(column.name, epoch=epoch))
            assert np.isfinite(values).all()
            assert (values >= 0).all() or column.quantity == "proxy"
    for split, n in facts.splits.items():
        column = table.columns[f"{split}_accuracy"]
        assert (column.trials, column.epochs) == (facts.seeds, tuple(range(1, recipe.epochs + 1)))
        # Per cent of a whole number of images.
        counts = table.trials(column.name) * n / 100
        np.testing.assert_allclose(counts, counts.round(), atol=1e-9)


def test_a_search_is_charged_in_seconds_and_sees_no_test_data(table):
    benchmark = load_benchmark(table.name)
    assert benchmark.clock == "official"
    assert benchmark.objectives[0].name == "valid_accuracy"
    assert benchmark.report.metric == "test_accuracy"
    with pytest.raises(QueryError, match="test data"):
        TableBenchmark(table, objective="test_accuracy")
    architecture = tuple(table.architectures[0].tolist())
    for clock in ("train_only", "every_epoch", "resume", "evaluations"):
        assert load_benchmark(table.name, clock=clock).evaluate(architecture).cost > 0


def test_it_is_made_by_its_recipe(table, recipe):
    assert table.info.source["sha256"] == sha256(_recipe_file(table))
    assert table.info.details["recipe"]["training"] == recipe.model_dump(mode="json")
    if table.name in OF_CELLS:
        assert recipe == RECIPES[recipe.data]
    assert table.info.details["data"] == load_data(recipe.data).checksum


def test_it_is_small_in_the_wheel(table, facts):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _folder(table).iterdir():
            archive.write(file, file.name)
    assert packed.tell() < facts.most_bytes


def test_an_installation_without_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(MissingSourceError, match="Install nasbench-lab again"):
        shipped.version("nb201-digits")


@pytest.mark.parametrize("n", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_entries_are_what_training_gives(table, facts, recipe, n):
    pytest.importorskip("torch", reason="training needs PyTorch")
    from nasbench_lab.trainer import build
    from nasbench_lab.trainer.training import train

    here = {"torch": version("torch"), "processor": build.processor()}
    made = {
        "torch": table.info.details["versions"]["torch"],
        "processor": table.info.details["processor"],
    }
    data, spread = load_data(recipe.data), table.trials("test_accuracy").std(axis=1, ddof=1)
    rows = np.random.default_rng(n).choice(len(table), n, replace=False)
    for row in rows.tolist():
        architecture = tuple(table.architectures[row].tolist())
        training = train(table.space, architecture, recipe, data, seeds=facts.seeds, device="cpu")
        assert training.parameters == table.query(architecture, "parameters")
        assert training.flops == table.query(architecture, "flops")
        for name, curves in training.curves.items():
            epochs = range(1, recipe.epochs + 1)
            held = np.stack([table.trials(Query(name, epoch=e))[row] for e in epochs], axis=1)
            if here == made:
                np.testing.assert_array_equal(curves.astype(held.dtype), held)
            elif name == "test_accuracy":
                # Other processors and versions round otherwise, as if it were another seed: 5
                # standard deviations of the mean, half a point at least.
                allowed = max(
                    0.5, 5 * float(np.hypot(spread[row], spread.mean())) / len(facts.seeds) ** 0.5
                )
                assert abs(curves[:, -1].mean() - held[:, -1].mean()) < allowed


@of_cells
def test_the_data_card_says_how_proxies_rank(table, card):
    lines = study_proxies(table).frame.to_dict(orient="records")
    for line in lines:
        (cells,) = re.findall(rf"^\| `{line['proxy']}`.*$", card, re.MULTILINE)
        told = re.findall(r"-?\d\.\d{3}", cells)
        expected = [
            line[f"{kind}_{split}_accuracy"]
            for split in ("valid", "test")
            for kind in ("spearman", "kendall", "top_spearman")
        ]
        assert told[:6] == [f"{value:.3f}" for value in expected], line["proxy"]
    (subject,) = re.findall(r"([^.]*) ha(?:s|ve) both a larger ρ and a larger τ", card)
    better = {line["proxy"] for line in lines if line["beats_params"]}
    assert set(re.findall(r"`(\w+)`", subject)) == better


@of_cells
@pytest.mark.parametrize("n", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_scores_are_what_the_proxies_give(table, recipe, n):
    pytest.importorskip("torch", reason="scores of networks need PyTorch")
    from nasbench_lab.trainer import build
    from nasbench_lab.trainer.scoring import score_architecture

    made = table.info.details["proxies"]
    here = (version("torch"), build.processor()) == (made["versions"]["torch"], made["processor"])
    data = load_data(recipe.data)
    for row in np.random.default_rng(n).choice(len(table), n, replace=False).tolist():
        architecture = tuple(table.architectures[row].tolist())
        values = score_architecture(table.space, architecture, recipe, data).values
        for name, value in values.items():
            held = table.query(architecture, score_column(name))
            if here:
                assert np.float32(value) == held, name
            elif name in ("params", "flops", "l2_norm", "synflow", "zen"):
                # Others depend on small differences, which other processors round otherwise.
                assert value == pytest.approx(held, rel=1e-3), name


def test_the_data_card_says_what_the_command_prints(table, facts, card, lab, monkeypatch, undrawn):
    monkeypatch.setattr(console.console, "width", 80)
    out = lab("analyze", table.name, "--output", "study")
    assert out.code == 0, out.err
    printed = out.out[: out.out.rindex("In study")]
    (block,) = re.findall(r"```text\n(.*?)\n```", card, re.DOTALL)
    assert block.split() == printed.split()
    for name, columns in (
        ("fidelity", "epoch spearman kendall overlap_top_1pct overlap_top_10pct"),
        ("noise_levels", "level mean within_std"),
    ):
        for line in pd.read_csv(f"study/{name}.csv")[columns.split()].itertuples(index=False):
            formats = {2: ".3f", 3: ".0%"} if name == "fidelity" else {2: ".2f", 3: ".2f"}
            first, *others = line
            texts = [format(v, formats[2 if i < 2 else 3]) for i, v in enumerate(others)]
            assert f"| {first:.0f} | {' | '.join(texts)} |" in card
    # The wheel has the card, and not its pictures.
    pictures = re.findall(r"\]\((.*?\.png)\)", card)
    assert len(pictures) == facts.pictures
    for picture in pictures:
        assert (Path(__file__).parents[3] / "tabular_data" / picture).is_file()
