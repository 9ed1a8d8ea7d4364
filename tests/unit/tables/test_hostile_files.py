"""Small files that ask for gigabytes or hours, each read in a process of its own that is limited."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import hostile_archives
import hostile_pickles
import pytest

pytestmark = pytest.mark.long

HOSTILE = {**hostile_pickles.HOSTILE, **hostile_archives.HOSTILE}
SHORT = {
    "empty_sets",  # many objects of few bytes
    "sets_by_newobj",  # the same, by calls
    "bytes_by_encode",  # bytes that grow when they are made
    "frozensets_as_keys",  # hashes and comparisons that take long
    "colliding_numbers_as_keys",
    "tar_in_bz2_with_a_long_name",  # archives that unpack to much
    "tar_with_a_sparse_header",  # files that are large without taking room
    "parquet_of_a_long_text_as_number",  # columns that grow when they are read
    "csv_of_a_row_without_end",  # text
    "digits_without_end",  # numbers
}
"""One of each kind, each refused in a second or two; all are slow tests."""

IMPORT = r"""
import re, sys
from pathlib import Path
from nasbench_lab.errors import TableFileError
from nasbench_lab.registry import import_file
try:
    import_file(sys.argv[1], jobs=1, name="hostile")
except TableFileError as error:
    # Not what getrusage says, which begins with that of the process that began this one.
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]
    print(peak, len(str(error)), str(error))
"""
"""Prints the peak of the memory in kB, and what was said."""

MEMORY, SECONDS = 300 << 20, 40
"""What may be taken, Python and its packages with it, besides six times the file's size."""


def limit():
    """The machine survives also what the reader does not notice."""
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limit,
        **options,
    )


def on_disk(path):
    paths = path.iterdir() if path.is_dir() else [path]
    return sum(512 * file.stat().st_blocks for file in paths)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as on Linux")
@pytest.mark.parametrize(
    "name", [n if n in SHORT else pytest.param(n, marks=pytest.mark.slow) for n in HOSTILE]
)
def test_a_hostile_file_is_refused_in_little_memory_and_time(name, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    path = HOSTILE[name](folder)
    env = {**os.environ, "NASBENCH_LAB_DATA": str(tmp_path / "data")}
    done = run(IMPORT, path, env=env)
    assert done.returncode == 0, done.stderr[-1000:]
    peak, length, message = done.stdout.split(maxsplit=2)
    assert str(folder) in message
    assert int(length) < 1_500
    assert int(peak) * 1024 < MEMORY + 6 * on_disk(path)
    assert not list((tmp_path / "data").glob("**/manifest.json"))


SIGNALLED = """
import io, os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from hostile_pickles import HOSTILE
from nasbench_lab.tables.pickles.reader import NUMBERS, PickleReader
path = HOSTILE["colliding_pairs_as_keys"](Path(sys.argv[2]))
signal.signal(signal.SIGALRM, lambda *_: os._exit(7))
signal.setitimer(signal.ITIMER_REAL, 0.5)
with open(path, "rb") as file:
    PickleReader(file, NUMBERS).load()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_signals_are_answered_while_a_dict_is_slow(tmp_path):
    support = Path(hostile_pickles.__file__).parent
    assert run(SIGNALLED, support, tmp_path).returncode == 7


TEXTS = """
from nasbench_lab.budget import Budget
from nasbench_lab.tables.columns import Constraint
from nasbench_lab.errors import NasbenchLabError
from nasbench_lab.registry import parse_algorithm
from nasbench_lab.spaces import SPACES, get_space
n = 20_000
blanks = " " * n
readers = [parse_algorithm, Budget.of, Constraint.of]
readers += [get_space(name).from_string for name in SPACES]
for text in (
    blanks, blanks + "(", f"a{blanks}(", f"a{blanks}x)", ".py:a" * n + "(", ".py:a(" * n, "(" * n,
    "a(" + "[" * n, "a(x=" + "-" * 5_000 + "1)", "a(x={[]:1})", "a(" + "x=1," * n + ")", "a(\\0)",
    f"1{blanks}(", "1" * n, "1." * n, f"a<={'1' * n} (", f"a{blanks}<=", f"{blanks}<=x",
    f"0:{blanks}:", "0:" + "a " * n + "\\n", "01" * n + ":input", f"[1]{blanks}x", "[1" * n,
    f"[1]{blanks}[2]{blanks}x", f"Arch{blanks}x", f"Arch({blanks}x", "|a~0|+" * n, "8:" * n,
):
    for reader in readers:
        try:
            reader(text)
        except NasbenchLabError as error:
            assert len(str(error)) < 3_000, (reader, text[:20])
print("read")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_texts_of_users_take_no_time_without_end():
    done = run(TEXTS)
    assert done.stdout == "read\n", done.stderr[-1000:]


# What is no file


COMMANDS = [
    "import {}",
    "import a.csv --mapping {}",
    "run {}",
    "build-table {} --output t",
    "compare -b nb201-digits -a {}:Mine --budget 3 --seeds 1 -o r",
    "plot {}",
]
LAB = (
    "import sys; from nasbench_lab.cli import main; sys.argv[0] = 'nasbench-lab'; sys.exit(main())"
)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
@pytest.mark.parametrize("kind", ["device", pytest.param("pipe", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS[:2],
        *(pytest.param(command, marks=pytest.mark.slow) for command in COMMANDS[2:]),
    ],
)
def test_a_device_or_pipe_is_no_file(command, kind, tmp_path):
    path = tmp_path / "file.py"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    (tmp_path / "a.csv").write_text("arch,acc\n")
    words = command.format(path).split()
    env = {**os.environ, "NASBENCH_LAB_DATA": str(tmp_path / "data")}
    done = run(LAB, *words, cwd=tmp_path, env=env)
    assert done.returncode == 1, done.stderr
    assert done.stderr.strip().startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_a_long_name_is_cut_where_it_is_quoted(lab):
    said = lab("describe", "x" * 100_000)
    assert (said.code, len(said.err) < 5_000) == (1, True), said.err[:1_000]
