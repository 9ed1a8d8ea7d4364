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

# The same examples in every run, however slow the machine.
settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.load_profile("tests")


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
        config.own_data_folder = tempfile.mkdtemp(prefix="nasbench-lab-tests-")
        os.environ["NASBENCH_LAB_DATA"] = config.own_data_folder


def pytest_unconfigure(config):
    if hasattr(config, "own_data_folder"):
        shutil.rmtree(config.own_data_folder, ignore_errors=True)
