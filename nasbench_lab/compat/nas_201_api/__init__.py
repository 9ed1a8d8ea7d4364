"""Drop-in replacement for the package ``nas_201_api`` (``nas-bench-201`` 2.1), without PyTorch.

There are four differences. An API reads a converted table, so it cannot reload archives.
``show(-1)``, which fails officially, works. An unknown schedule or a missing record is a
``ValueError``; the official code fails with an undefined name. Arguments of versions 1.x are taken
too.
"""

from __future__ import annotations

from nasbench_lab.compat.nas_201_api.api_201 import NASBench201API
from nasbench_lab.compat.nas_201_api.api_utils import ArchResults, ResultsCount

__all__ = ["ArchResults", "NASBench201API", "ResultsCount"]

NAS_BENCH_201_API_VERSION = "v2.0"
