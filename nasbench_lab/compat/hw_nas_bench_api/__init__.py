"""Drop-in replacement for ``hw_nas_bench_api`` (HW-NAS-Bench), for the cells of NAS-Bench-201.

The other space of the official class, ``fbnet``, is refused, as tables do not hold it. The networks
of the cells are in ``nas_201_models``.
"""

from nasbench_lab.compat.hw_nas_bench_api.hw_nas_bench_api import HWNASBenchAPI

__all__ = ["HWNASBenchAPI"]
