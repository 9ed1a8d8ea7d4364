"""Drop-in replacement for ``hw_nas_bench_api`` (HW-NAS-Bench), for the cells of NAS-Bench-201.

The other space of the official class, ``fbnet``, is refused, as tables do not hold it. The official
networks are left out too; they are those of NAS-Bench-201.
"""

from nasbench_lab.compat.hw_nas_bench_api.hw_nas_bench_api import HWNASBenchAPI

__all__ = ["HWNASBenchAPI"]
