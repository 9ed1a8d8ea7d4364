"""Tables: the catalogue, and one importer per family of benchmarks."""

from tabular_data import analog_nasbench, nas_bench_201, nas_bench_graph, nats_bench

TABLES = [*nas_bench_graph.TABLES, *analog_nasbench.TABLES]
"""All tables that are made from installed packages."""

FORMATS = [nats_bench.FORMAT, nas_bench_201.FORMAT]
"""All kinds of files that tables are made from."""
