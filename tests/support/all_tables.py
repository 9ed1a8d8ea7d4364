"""All tables, of which some are left to the slow tests."""

import pytest

from nasbench_lab.registry import table_sources

FEW = ("fcnet/protein_structure", "mlp/car")
"""One of each family whose tables differ in nothing but values, and take seconds to import."""


def tables(*few):
    """The names of all tables, as parameters; of some families, `make test` has few.

    Args:
        *few: Tables that stand for the others of their families, besides ``FEW``.
    """
    shown = {*FEW, *few}
    families = {name.partition("/")[0] for name in shown}
    return [
        pytest.param(
            name,
            marks=[pytest.mark.slow] * (name.partition("/")[0] in families and name not in shown),
        )
        for name in sorted(table_sources())
    ]
