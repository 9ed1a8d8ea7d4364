"""All tables, of which some are left to the slow tests."""

import pytest

from nasbench_lab.registry import table_sources

FAMILIES = {"fcnet": "fcnet/protein_structure", "mlp": "mlp/car"}
"""Families whose tables differ in nothing but values and take seconds to import, and one of each."""


def tables():
    """The names of all tables, as parameters; of some families, `make test` has one table."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (FAMILIES.get(family, name) != name))
        for name in sorted(table_sources())
        for family in [name.partition("/")[0]]
    ]
