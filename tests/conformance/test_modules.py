"""The modules of the drop-ins against those of the official packages."""

import importlib
import random
import time

import pytest

from nasbench_lab.compat.nas_201_api import api_201 as our_api_201
from nasbench_lab.compat.nats_bench import api_size, api_topology, api_utils, genotype_utils
from nasbench_lab.errors import NasbenchLabError, UnsafeFileError

nats_bench = pytest.importorskip("nats_bench", reason="needs nasbench-lab[official]")
official_utils = importlib.import_module("nats_bench.api_utils")
official_cells = importlib.import_module("nats_bench.genotype_utils")

IMPORTED = {  # what scripts import from modules
    "nats_bench": (
        "create",
        "pickle_load",
        "pickle_save",
        "ArchResults",
        "ResultsCount",
        "version",
    ),
    "nats_bench.api_utils": (
        "time_string",
        "ArchResults",
        "ResultsCount",
        "NASBenchMetaAPI",
        "pickle_load",
        "pickle_save",
        "get_torch_home",
        "nats_is_dir",
        "nats_is_file",
        "PICKLE_EXT",
        "remap_dataset_set_names",
        "mean",
        "reset_file_system",
        "get_file_system",
    ),
    "nats_bench.api_topology": ("NATStopology", "ALL_BASE_NAMES", "print_information"),
    "nats_bench.api_size": ("NATSsize", "ALL_BASE_NAMES", "print_information"),
    "nats_bench.genotype_utils": ("topology_str2structure", "TopologyStructure"),
    "nas_201_api": ("NASBench201API", "ArchResults", "ResultsCount"),
    "nas_201_api.api_201": ("NASBench201API", "ALL_BENCHMARK_FILES", "print_information"),
    "nas_201_api.api_utils": (
        "ArchResults",
        "ResultsCount",
        "NASBenchMetaAPI",
        "remap_dataset_set_names",
    ),
}


@pytest.mark.parametrize("module", IMPORTED)
def test_modules_have_what_scripts_import(module):
    if module.startswith("nas_201_api"):
        pytest.importorskip("nas_201_api", reason="needs nasbench-lab[official]")
    theirs = importlib.import_module(module)
    ours = importlib.import_module(f"nasbench_lab.compat.{module}")
    for name in IMPORTED[module]:
        assert hasattr(theirs, name), name
        found = getattr(ours, name)
        if isinstance(getattr(theirs, name), str | list):
            assert found == getattr(theirs, name)


def test_pickles_are_read_both_ways(tmp_path):
    content = {"a": [1, 2.5, None, "text"], (1, "b"): {True: {"x": (3,)}}}
    official_utils.pickle_save(content, str(tmp_path / "one.pickle"))
    api_utils.pickle_save(content, tmp_path / "two.pickle")
    for name in ("one", "two"):
        for path in (tmp_path / f"{name}.pickle", tmp_path / f"{name}.pickle.pbz2"):
            assert api_utils.pickle_load(path) == official_utils.pickle_load(str(path)) == content
    with pytest.raises(FileNotFoundError, match="no file"):
        api_utils.pickle_load(tmp_path / "nowhere")


def test_no_pickle_runs_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return time.sleep, (0,)

    api_utils.pickle_save(Harmful(), tmp_path / "harmful.pickle")
    with pytest.raises(UnsafeFileError, match=r"time\.sleep"):
        api_utils.pickle_load(tmp_path / "harmful.pickle")


def test_helpers(monkeypatch, tmp_path):
    assert len(api_utils.time_string()) == len(official_utils.time_string())
    monkeypatch.setenv("TORCH_HOME", "/somewhere")
    assert api_utils.get_torch_home() == official_utils.get_torch_home() == "/somewhere"
    monkeypatch.delenv("TORCH_HOME")
    assert api_utils.get_torch_home() == official_utils.get_torch_home()
    assert api_utils.get_file_system() == official_utils.get_file_system() == "default"
    api_utils.reset_file_system("default")
    with pytest.raises(NotImplementedError, match="TensorFlow"):
        api_utils.reset_file_system("google")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "nowhere"):
        assert api_utils.nats_is_dir(path) == official_utils.nats_is_dir(path)
        assert api_utils.nats_is_file(path) == official_utils.nats_is_file(path)
    for dataset in ("cifar10", "cifar10-valid", "cifar100", "ImageNet16-120"):
        for split in ("train", "valid", "test", "x-valid", "nonsense"):
            found = api_utils.remap_dataset_set_names(dataset, split)
            assert found == official_utils.remap_dataset_set_names(dataset, split)
    assert api_utils.mean([1, 2, 4]) == official_utils.mean([1, 2, 4])


def texts(n):
    """Strings of cells, whole ones and such with fewer edges."""
    draw = random.Random(0)
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    for _ in range(n):
        yield "+".join(
            f"|{'|'.join(f'{draw.choice(operations)}~{source}' for source in some)}|"
            for some in (sorted(draw.sample(range(t), draw.randint(1, t))) for t in (1, 2, 3))
        )


def test_cells(official):
    for text in texts(300):
        ours = genotype_utils.topology_str2structure(text)
        theirs = official_cells.topology_str2structure(text)
        for call in (
            repr,
            len,
            list,
            lambda cell: (cell.nodes, cell.node_N, cell.node_num),
            lambda cell: cell.tostr(),
            lambda cell: cell.check_valid(),
            lambda cell: [cell.to_unique_str(zero) for zero in (True, False, None)],
            lambda cell: [cell.tolist(name) for name in ("none", "skip_connect", None)],
            lambda cell: [cell.check_valid_op(names) for names in ([], ["none", "skip_connect"])],
            lambda cell: cell.node(1),
            lambda cell: cell.node(0),
            lambda cell: cell.node(5),
            lambda cell: cell[2],
        ):
            official.check_call(ours, theirs, call, (text,))
        full = genotype_utils.TopologyStructure.str2fullstructure(text)
        assert full.tostr() == official_cells.TopologyStructure.str2fullstructure(text).tostr()
        assert genotype_utils.topology_str2structure(ours) is ours


@pytest.mark.parametrize(
    "wrong", [5, "text", [5], [[]], [[("none", 1)]], [[("none", 0, 0)]], [["none"]]]
)
def test_wrong_cells(wrong):
    for module in (genotype_utils, official_cells):
        with pytest.raises(AssertionError):
            module.TopologyStructure(wrong)
    with pytest.raises(NasbenchLabError):
        genotype_utils.topology_str2structure(wrong if isinstance(wrong, list) else f"{wrong}~0~1")


def test_all_cells():
    cells = genotype_utils.TopologyStructure.gen_all(["none", "skip_connect"], 3, False)
    assert len({cell.tostr() for cell in cells}) == len(cells) == 2**3
    assert genotype_utils.TopologyStructure.gen_all(["a"], 3, True) == [
        [(("a", 0),), (("a", 0), ("a", 1))]
    ]


def test_texts_about_results(official, capsys):
    for kind, ours in (("tss", api_topology), ("sss", api_size)):
        data = official.content(nats_bench, kind, 6, absent=0, seed=4, tidy=True)
        apis = [module.create(data, kind, verbose=False) for module in (OURS, nats_bench)]
        theirs = importlib.import_module(f"nats_bench.{ours.__name__.rpartition('.')[2]}")
        lines = [
            module.print_information(api.query_by_index(3, hp="12"), "more", show=True)
            for module, api in zip((ours, theirs), apis, strict=True)
        ]
        official.check_same(*lines, ())
        assert lines[0] == capsys.readouterr().out.splitlines()[: len(lines[0])]


OURS = importlib.import_module("nasbench_lab.compat.nats_bench")


def test_default_files():
    pytest.importorskip("nas_201_api", reason="needs nasbench-lab[official]")
    theirs = importlib.import_module("nas_201_api.api_201")
    assert our_api_201.ALL_ARCHIVE_DIRS == theirs.ALL_ARCHIVE_DIRS
