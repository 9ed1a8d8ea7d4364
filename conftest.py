"""For all tests: a data folder of their own, no display, and this project's packages."""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
# One core per process, as workers of pytest-xdist have the others. NumPy reads it at its import.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# For the same reason a comparison has processes only where a test says how many; each that starts
# takes seconds of a core.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

# The same examples in every run, however slow the machine.
settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("tests")

MEMORY, ROOM = "/dev/shm", 4 << 30
"""Where temporary files are kept in memory, and the bytes that must be free: a run takes 0.7 GB."""


def in_memory():
    """Whether temporary files fit there. Tests write thousands, and a disk takes milliseconds each."""
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM


def pytest_configure(config):
    from nasbench_lab.errors import ShadowedPackageError
    from nasbench_lab.plug_ins import check_first_party

    try:
        for package in ("algorithms", "tabular_data"):
            check_first_party(package)
    except ShadowedPackageError as error:
        raise pytest.UsageError(str(error)) from error
    # Workers of pytest-xdist, and all subprocesses, share the folder of the process they come from.
    if not hasattr(config, "workerinput"):
        memory = in_memory()
        folder = tempfile.mkdtemp(prefix="nasbench-lab-tests-", dir=MEMORY if memory else None)
        config.own_folder, os.environ["NASBENCH_LAB_DATA"] = folder, os.path.join(folder, "data")
        if memory:  # they end with the run; `--basetemp` keeps those of the tests elsewhere
            tempfile.tempdir = os.environ["TMPDIR"] = folder


def pytest_unconfigure(config):
    if hasattr(config, "own_folder"):
        shutil.rmtree(config.own_folder, ignore_errors=True)
