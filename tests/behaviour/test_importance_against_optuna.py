"""Functional ANOVA by a forest against that of Optuna."""

import numpy as np
import pytest

from nasbench_lab.explanation.importance import importance
from nasbench_lab.explanation.known import Known, known_of_table
from nasbench_lab.landscape.landscape import survey
from nasbench_lab.registry import open_table
from nasbench_lab.spaces import Decision, SearchSpace


@pytest.mark.slow
@pytest.mark.parametrize("table", ["nb201-digits", "nas-bench-graph/proteins"])
def test_shares_are_those_of_optuna(table):
    """Options are numbers here: of others, Optuna draws each option's column independently."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    whole = known_of_table(survey(open_table(table)))
    some = np.random.default_rng(0).permutation(len(whole.values))[:400]
    architectures, values = whole.architectures[some], whole.values[some]
    decisions = [Decision(d.name, range(len(d.options)), True) for d in whole.space.decisions]
    space, study = SearchSpace("numbered", decisions), optuna.create_study()
    numbers = {
        one.name: optuna.distributions.IntDistribution(0, len(one.options) - 1) for one in decisions
    }
    for architecture, value in zip(architectures.tolist(), values.tolist(), strict=True):
        params = dict(zip(numbers, architecture, strict=True))
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=numbers, value=value)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=64, max_depth=64, seed=0)
    theirs = evaluator.evaluate(study)
    found = importance(Known("numbered", space, whole.objective, architectures, values, "", True))
    assert found.method == "forest"
    ours = dict(zip(found.decisions["decision"], found.decisions["importance"], strict=True))
    for name, share in theirs.items():
        # A mean of 32 trees has a standard error of up to 0.015.
        assert ours[name] == pytest.approx(share, abs=0.04)
