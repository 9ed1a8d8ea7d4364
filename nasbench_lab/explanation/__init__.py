"""What was found, explained: decisions that matter, winners, a path to the best, incumbents.

``explain_table`` and ``explain_result`` make an ``Explanation``; each part has a module.
"""

from nasbench_lab.explanation.explanation import Explanation, explain_result, explain_table

__all__ = ["Explanation", "explain_result", "explain_table"]
