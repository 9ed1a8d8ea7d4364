"""Tables: the catalogue, and one importer per family of benchmarks."""

from tabular_data import analog_nasbench, nas_bench_graph

TABLES = [*nas_bench_graph.TABLES, *analog_nasbench.TABLES]
"""All tables that these importers can make."""
