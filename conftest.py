"""For all tests: a data folder of their own, no display, and this project's packages."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
# One core per process, as workers of pytest-xdist have the others. NumPy reads it at its import.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# The same examples in every run, however slow the machine.
settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.load_profile("tests")


def pytest_configure(config):
    import algorithms
    import nasbench_lab
    import tabular_data

    home = Path(nasbench_lab.__file__).parents[1]
    for package in (algorithms, tabular_data):
        found = Path(package.__file__).parents[1]
        if found != home:
            raise pytest.UsageError(
                f"The package {package.__name__!r} was found in {found}, not beside nasbench_lab in "
                f"{home}: another distribution or folder of that name comes first on sys.path."
            )
    # Workers of pytest-xdist, and all subprocesses, share the folder of the process they come from.
    if not hasattr(config, "workerinput"):
        config.own_data_folder = tempfile.mkdtemp(prefix="nasbench-lab-tests-")
        os.environ["NASBENCH_LAB_DATA"] = config.own_data_folder


def pytest_unconfigure(config):
    if hasattr(config, "own_data_folder"):
        shutil.rmtree(config.own_data_folder, ignore_errors=True)
