"""The commands that bring benchmark files: import and fetch, and what list and describe say then."""

import hashlib
import http.server
import json
import pickle
import subprocess
import sys
import threading

import nats_files as files
import numpy as np
import pytest
from hardware_metrics import METRICS

from nasbench_lab.registry import import_file, kept_tables, load_benchmark, open_table
from nasbench_lab.results.result import Result

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setenv("NASBENCH_LAB_DATA", str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


@pytest.fixture
def archive(tmp_path):
    texts = files.cells(40)
    epochs = {"12": 3, "200": 5}
    records = {i: files.record(i, texts[i], epochs=epochs) for i in range(30)}
    return files.write_simple(tmp_path / "NATS-tss-v1_0-3ffb9-simple", texts, records)


def write_hardware(path, texts):
    rng = np.random.default_rng(0)
    data = {}
    for dataset, classes in (("cifar10", 10), ("cifar100", 100), ("ImageNet16-120", 120)):
        data[dataset] = {name: rng.uniform(1, 9, len(texts)).tolist() for name in METRICS}
        data[dataset]["config"] = [
            {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": text, "num_classes": classes}
            for text in texts
        ]
    path.write_bytes(pickle.dumps({"nasbench201": data, "fbnet": {}}, protocol=2))
    return data


def test_a_total_of_seconds_pays_for_the_last_epoch_and_everybody_is_told(lab, tmp_path):
    rows = [f"{text},50,70,90,1200" for text in files.cells(40)]
    (tmp_path / "own.csv").write_text("arch,v1,v4,v12,seconds\n" + "\n".join(rows))
    (tmp_path / "own.toml").write_text(
        '[table]\nname = "own"\nspace = "nb201"\narchitecture = "arch"\n'
        'objective = "valid_accuracy"\n'
        '[[columns]]\nname = "valid_accuracy"\nfrom = { 1 = "v1", 4 = "v4", 12 = "v12" }\n'
        'unit = "%"\nmaximize = true\nsplit = "valid"\n'
        '[[columns]]\nname = "train_time"\nfrom = "seconds"\nunit = "s"\nmaximize = false\n'
    )
    said = (
        "the times of the table (train_time) cannot pay for valid_accuracy after epochs 1, 4 by the "
        "clock 'train_only': searches are offered epoch 12 only"
    )
    assert f"Missing: {said}." in " ".join(lab("import", "own.csv").out.split())
    assert said in json.loads(lab("import", "own.csv", "--json").out)[0]["missing"]
    described = lab("describe", "own").out
    assert said in " ".join(described.split())
    assert "1, 4, 12" in described
    assert said in json.loads(lab("describe", "own", "--json").out)["missing"]
    (listed,) = (
        row for row in json.loads(lab("list", "tables", "--json").out) if row["table"] == "own"
    )
    assert listed["state"].startswith("ready (")
    benchmark = load_benchmark("own")
    assert (benchmark.clock, benchmark.fidelities) == ("train_only", (12,))
    assert benchmark.evaluate(benchmark.space.from_string(files.cells(1)[0]), 12).cost == 1200


def test_import_says_what_it_made_and_what_to_do_next(lab, archive):
    done = lab("import", archive, "--jobs", 1)
    assert done.code == 0
    assert "nats-tss: 30 entries for 15,625 architectures of nb201" in done.words
    assert "Missing: 10 of 40 architectures are not there." in done.words
    assert "nasbench-lab compare --benchmark nats-tss/cifar10 (or nats-tss/cifar100" in done.words
    state = {row["table"]: row["state"] for row in lab("list", "tables", "--json").data}
    assert state["nats-tss"] == "ready (10 of 40 architectures are not there)"
    assert state["nats-sss"].startswith("absent, needs NATS-sss-v1_0-50262-simple")
    assert "nasbench-lab import PATH" in state["nas-bench-101"]
    words = lab("describe", "nats-tss").words
    assert "the clock is official" in words
    assert "Task cifar100: cifar100.12.x-valid.accuracy, reported in cifar100.200.x-test" in words
    assert "Missing: 10 of 40 architectures are not there." in words


def test_import_as_json_under_another_name_without_curves(lab, archive):
    data = lab("import", archive, "--name", "mine/small", "--no-curves", "--json").data
    assert data == [
        {"table": "mine/small", "entries": 30, "missing": ["10 of 40 architectures are not there"]}
    ]
    assert open_table("mine/small").columns["cifar10.200.train.accuracy"].epochs == (5,)


def test_query_says_how_many_trials_a_mean_is_of(lab, archive):
    table = import_file(archive)
    text = table.space.to_string(tuple(table.architectures[0].tolist()))
    data = lab("query", "nats-tss", text, "--json").data
    assert data["trials"]["cifar10-valid.12.x-valid.accuracy"] == 2
    assert data["trials"]["cifar10.200.ori-test.accuracy"] == 3
    assert "cifar10-valid.12.x-valid.accuracy" in lab("query", "nats-tss", text).words
    assert "2 of 2" in lab("query", "nats-tss", text).words


def test_without_a_path_the_official_files_are_imported(lab, archive, tmp_path):
    refused = lab("import")
    assert refused.code == 1
    assert "Name the file to import: there is no official benchmark file in" in refused.err
    (tmp_path / "torch").mkdir()
    archive.rename(tmp_path / "torch" / archive.name)
    assert [row["table"] for row in lab("import", "--json").data] == ["nats-tss"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"nothing of the kind", "is none of the files that can be imported"), (None, "no file")],
)
def test_what_cannot_be_imported_is_said_in_one_line(lab, tmp_path, content, words, data_folder):
    if content is not None:
        (tmp_path / "file.bin").write_bytes(content)
    done = lab("import", tmp_path / "file.bin")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.strip().splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert not list(data_folder.rglob("*.npy"))


def test_a_damaged_record_ends_in_one_line_and_no_table(lab, archive, data_folder):
    (archive / "000007.pickle.pbz2").write_bytes(b"BZh91AY&SY")
    done = lab("import", archive)
    assert done.code == 1
    assert "000007.pickle.pbz2" in done.err
    assert "Traceback" not in done.err
    assert not list(data_folder.rglob("*.npy"))


def test_two_names_and_mappings_where_none_belongs_are_refused(lab, archive, tmp_path):
    assert "cannot be given to 2 tables" in lab("import", archive, archive, "--name", "x").err
    (tmp_path / "m.toml").write_text("")
    done = lab("import", archive, "--mapping", tmp_path / "m.toml")
    assert "leave the mapping file out" in done.err


# A comparison on an imported table


def test_a_comparison_in_simulated_seconds(lab, archive, tmp_path, undrawn):
    import_file(archive)
    done = lab(
        "compare", "-b", "nats-tss/cifar100", "-b", "nats-tss", "-a", "random_search",
        "-a", "regularized_evolution", "--budget", "400s", "--seeds", 3, "--jobs", 1,
        "--axis", "seconds", "-o", "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "nats-tss/cifar100, 3 runs of 400 simulated seconds" in done.words
    result = Result.open(tmp_path / "out")
    assert result.benchmarks == ["nats-tss/cifar100", "nats-tss"]
    for benchmark in result.experiment.benchmarks:
        assert benchmark.clock == "official"
    assert result.experiment.charge_repeats is True
    assert all((run.trace.end <= 400).all() and len(run.trace) for run in result.runs)
    assert result.benchmark("nats-tss/cifar100").report.metric == "cifar100.200.x-test.accuracy"


# Hardware costs join


@pytest.mark.parametrize("first", ["hardware", "accuracies"])
def test_hardware_columns_join_the_tables_of_nas_bench_201(archive, tmp_path, first, lab):
    texts = files.cells(40)
    path = tmp_path / "hw.pickle"
    data = write_hardware(path, texts)
    order = [archive, path] if first == "accuracies" else [path, archive]
    for one in order:
        import_file(one)
    table = open_table("nats-tss")
    table.verify()
    alone = open_table("hw-nas-bench")
    assert len(table) == 30
    for row in range(30):
        architecture = tuple(table.architectures[row].tolist())
        text = table.space.to_string(architecture)
        expected = data["cifar100"]["fpga_energy"][texts.index(text)]
        assert table.query(architecture, "cifar100.fpga_energy") == expected
        assert alone.query(architecture, "cifar100.fpga_energy") == expected
    assert table.info.details["joined"]["hw-nas-bench"]["sha256"]
    again = import_file(path)
    assert open_table("nats-tss").fingerprint() == table.fingerprint()
    assert again.fingerprint() == alone.fingerprint()
    assert "cifar10.raspi4_latency" in lab("describe", "nats-tss").words


@pytest.mark.parametrize("first", ["hardware", "accuracies"])
def test_files_that_disagree_about_the_official_order_do_not_join(archive, tmp_path, first, lab):
    texts = files.cells(40)
    path = tmp_path / "hw.pickle"
    write_hardware(path, [*texts[:7], texts[8], texts[7], *texts[9:]])
    order = [archive, path] if first == "accuracies" else [path, archive]
    import_file(order[0])
    kept = kept_tables()
    done = lab("import", order[1])
    assert done.code == 1
    assert "disagree: at official index 7 the one has" in done.err
    assert archive.name in done.err
    assert path.name in done.err
    assert kept_tables() == kept


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_joining_is_mended_by_importing_again(archive, tmp_path, when):
    import_file(archive)
    path = tmp_path / "hw.pickle"
    write_hardware(path, files.cells(40))
    code = (
        "import os, sys; from nasbench_lab.registry import import_file\n"
        "from nasbench_lab.tables.table import Table; real = Table.joined\n"
        "def joined(*a):\n    sys.argv[2] == 'after' and real(*a)\n    os._exit(9)\n"
        "Table.joined = joined; import_file(sys.argv[1])"
    )
    assert subprocess.run([sys.executable, "-c", code, path, when]).returncode == 9
    assert kept_tables() == ["nats-tss"]
    open_table("nats-tss").verify()
    import_file(path)
    assert kept_tables() == ["hw-nas-bench", "nats-tss"]
    assert "cifar10.edgegpu_energy" in open_table("nats-tss").columns


def test_joining_does_not_invalidate_results(archive, tmp_path, lab, undrawn):
    import_file(archive)
    done = lab("compare", "-b", "nats-tss", "-a", "random_search", "--budget", 5, "--seeds", 2,
               "--jobs", 1, "-o", "out")  # fmt: skip
    assert done.code == 0, done.err
    write_hardware(tmp_path / "hw.pickle", files.cells(40))
    import_file(tmp_path / "hw.pickle")
    assert "cifar10.edgegpu_energy" in open_table("nats-tss").columns
    result = Result.open(tmp_path / "out")
    assert len(result.summary()) == 1


# Fetch


@pytest.fixture
def mirror(tmp_path):
    """A server on loopback that has one folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_fetch_then_import(lab, archive, mirror, tmp_path, monkeypatch):
    folder, url = mirror
    tar = files.write_tar(folder / "NATS-tss-v1_0-3ffb9-simple.tar", archive)
    checksum = hashlib.sha256(tar.read_bytes()).hexdigest()
    done = lab("fetch", "nats-tss", "--url", f"{url}/{tar.name}", "--sha256", checksum)
    assert done.code == 0, done.err
    target = tmp_path / "torch" / tar.name
    assert target.read_bytes() == tar.read_bytes()
    assert f"nasbench-lab import {target}" in done.words
    assert lab("import", tar.name, "--json").data[0]["entries"] == 30
    monkeypatch.delenv("TORCH_HOME")
    assert "data/downloads" in lab("fetch", "nats-tss", "--url", f"{url}/{tar.name}").words


def test_fetch_refuses_in_one_line(lab, mirror):
    folder, url = mirror
    (folder / "file").write_bytes(b"abc")
    for arguments, words in (
        (["nats-tsss", "--url", f"{url}/file"], "Did you mean 'nats-tss'?"),
        (["nats-tss", "--url", f"{url}/"], "Expected the address of a file"),
        (["nats-tss", "--url", f"{url}/absent"], "404"),
        (["nats-tss", "--url", f"{url}/file", "--sha256", "0" * 64], "0000"),
        (["nats-tss", "--url", "ftp://host/file"], "ftp"),
    ):
        done = lab("fetch", *arguments)
        assert done.code == 1
        (line,) = done.err.strip().splitlines()
        assert line.startswith("Error: ")
        assert words in line
