"""nasbench-lab: compare neural-architecture-search algorithms on tabular benchmarks.

>>> import nasbench_lab as lab
>>> result = lab.compare(
...     ["random_search", "regularized_evolution"], "nas-bench-graph/cora", budget=50, seeds=5,
...     n_jobs=1,
... )
>>> list(result.summary()["algorithm"])
['random_search', 'regularized_evolution']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_lab.algorithm import Evaluation, SearchAlgorithm, Trial, Work
    from nasbench_lab.benchmark import Benchmark, MultiTask, Objective, TableBenchmark
    from nasbench_lab.budget import Budget, Phase
    from nasbench_lab.drawing.drawing import Drawing, draw
    from nasbench_lab.errors import NasbenchLabError
    from nasbench_lab.registry import (
        import_file,
        list_algorithms,
        list_spaces,
        list_tables,
        load_benchmark,
        open_table,
        remove_table,
    )
    from nasbench_lab.results.result import Result
    from nasbench_lab.running.comparison import compare
    from nasbench_lab.running.search import run
    from nasbench_lab.simulator import simulate
    from nasbench_lab.spaces import Decision, SearchSpace, get_space, prune
    from nasbench_lab.tables.columns import Column, Constraint, Query
    from nasbench_lab.tables.table import Table
    from nasbench_lab.trace import Trace
    from nasbench_lab.trainer.saved_models import load_model
    from nasbench_lab.workers import Workers

_HOME = {
    "Evaluation": "algorithm",
    "SearchAlgorithm": "algorithm",
    "Trial": "algorithm",
    "Work": "algorithm",
    "Benchmark": "benchmark",
    "MultiTask": "benchmark",
    "Objective": "benchmark",
    "TableBenchmark": "benchmark",
    "Drawing": "drawing.drawing",
    "draw": "drawing.drawing",
    "NasbenchLabError": "errors",
    "compare": "running.comparison",
    "run": "running.search",
    "import_file": "registry",
    "list_algorithms": "registry",
    "list_spaces": "registry",
    "list_tables": "registry",
    "load_benchmark": "registry",
    "open_table": "registry",
    "remove_table": "registry",
    "Result": "results.result",
    "Budget": "budget",
    "Phase": "budget",
    "Workers": "workers",
    "simulate": "simulator",
    "Decision": "spaces",
    "SearchSpace": "spaces",
    "get_space": "spaces",
    "prune": "spaces",
    "Column": "tables.columns",
    "Constraint": "tables.columns",
    "Query": "tables.columns",
    "Table": "tables.table",
    "Trace": "trace",
    "load_model": "trainer",
}

__all__ = [  # noqa: RUF022 (in the order of _HOME)
    "Evaluation",
    "SearchAlgorithm",
    "Trial",
    "Work",
    "Benchmark",
    "MultiTask",
    "Objective",
    "TableBenchmark",
    "Drawing",
    "draw",
    "NasbenchLabError",
    "compare",
    "run",
    "import_file",
    "list_algorithms",
    "list_spaces",
    "list_tables",
    "load_benchmark",
    "open_table",
    "remove_table",
    "Result",
    "Budget",
    "Phase",
    "Workers",
    "simulate",
    "Decision",
    "SearchSpace",
    "get_space",
    "prune",
    "Column",
    "Constraint",
    "Query",
    "Table",
    "Trace",
    "load_model",
]


def __getattr__(name: str) -> Any:
    # Imported when first used, so that `import nasbench_lab` costs next to nothing.
    if name in _HOME:
        return getattr(import_module(f"nasbench_lab.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
