"""The interface of search algorithms, and how they are built."""

from nasbench_lab.algorithm.algorithm import Evaluation, SearchAlgorithm, Seed, Trial
from nasbench_lab.algorithm.checks import check_choice, check_number
from nasbench_lab.algorithm.given import History, OtherTask, Proxies, check_history, check_proxies
from nasbench_lab.algorithm.hyperparameters import (
    GIVEN,
    all_hyperparameters,
    build,
    hyperparameters_of,
    takes_history,
)
from nasbench_lab.algorithm.needs import installing, need, packages_of
from nasbench_lab.algorithm.work import Work

__all__ = [
    "GIVEN",
    "Evaluation",
    "History",
    "OtherTask",
    "Proxies",
    "SearchAlgorithm",
    "Seed",
    "Trial",
    "Work",
    "all_hyperparameters",
    "build",
    "check_choice",
    "check_history",
    "check_number",
    "check_proxies",
    "hyperparameters_of",
    "installing",
    "need",
    "packages_of",
    "takes_history",
]
