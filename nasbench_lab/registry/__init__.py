"""Finds search algorithms and tables, ours and those of plug-ins, by name.

The entry-point groups ``nasbench_lab.algorithms`` and ``nasbench_lab.tables`` each name packages. A
package of algorithms holds one algorithm per module, and the module's name is the algorithm's;
modules that start with an underscore are not looked at. A package of tables has a list ``TABLES`` of
``TableSource``, and may have a list ``FORMATS`` of ``FileFormat``.
"""

from nasbench_lab.registry.algorithms import (
    Taken,
    algorithm_class,
    algorithm_modules,
    class_of,
    make_algorithm,
    parse_algorithm,
    running,
    take,
)
from nasbench_lab.registry.importing import draft_mapping, import_file, official_files, torch_home
from nasbench_lab.registry.listing import list_algorithms, list_spaces, list_tables
from nasbench_lab.registry.spaces import find_space, own_spaces
from nasbench_lab.registry.tables import (
    file_formats,
    kept_folder,
    load_benchmark,
    needed_files,
    open_table,
    open_task,
    remedy,
    remove_table,
    table_names,
    table_sources,
)
from nasbench_lab.tables.kept import kept_tables, table_folder

__all__ = [
    "Taken",
    "algorithm_class",
    "algorithm_modules",
    "class_of",
    "draft_mapping",
    "file_formats",
    "find_space",
    "import_file",
    "kept_folder",
    "kept_tables",
    "list_algorithms",
    "list_spaces",
    "list_tables",
    "load_benchmark",
    "make_algorithm",
    "needed_files",
    "official_files",
    "open_table",
    "open_task",
    "own_spaces",
    "parse_algorithm",
    "remedy",
    "remove_table",
    "running",
    "table_folder",
    "table_names",
    "table_sources",
    "take",
    "torch_home",
]
