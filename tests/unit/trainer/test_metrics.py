"""Metrics of classifiers, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from nasbench_lab.trainer.measurements import CLASSIFICATION
from nasbench_lab.trainer.metrics import classified


def measured(scores, labels):
    values = classified(torch.tensor(scores)[None], torch.tensor(labels)[None])
    return dict(zip(CLASSIFICATION, values[:, 0], strict=True))


def of_scikit_learn(scores, labels):
    predicted, classes = scores.argmax(axis=1), scores.shape[1]
    macro = {"average": "macro", "zero_division": 0}
    top = 1.0  # of five classes or fewer, where the other function warns
    if classes > 5:
        # Of equal scores, its highest is the last.
        turned = scores[:, ::-1]
        top = top_k_accuracy_score(classes - 1 - labels, turned, k=5, labels=range(classes))
    return {
        "macro_f1": 100 * f1_score(labels, predicted, **macro),
        "macro_precision": 100 * precision_score(labels, predicted, **macro),
        "macro_recall": 100 * recall_score(labels, predicted, **macro),
        "top5_accuracy": 100 * top,
    }


@pytest.mark.parametrize("classes", [2, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("rounded", [False, True], ids=["", "with equal scores"])
@pytest.mark.parametrize("n", [1, 40])
def test_metrics_are_those_of_scikit_learn(classes, rounded, n):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(n, classes)).astype(np.float32)
        scores = scores.round() if rounded else scores
        labels = rng.integers(classes, size=n)
        assert measured(scores, labels) == pytest.approx(of_scikit_learn(scores, labels))


def test_classes_that_never_occur_and_that_are_never_predicted():
    scores = np.eye(8, dtype=np.float32)[[0, 0, 1, 1, 2, 5]]
    labels = np.array([0, 0, 1, 3, 3, 0])  # 2 and 5 never occur, 3 is never predicted, 4 neither
    found = measured(scores, labels)
    assert found == pytest.approx(of_scikit_learn(scores, labels))
    recalls = [2 / 3, 1.0, 0.0, 0.0, 0.0]  # of 0, 1, 2, 3 and 5
    assert found["macro_recall"] == pytest.approx(100 * np.mean(recalls))


def test_each_network_has_its_own():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(3, 30, 7)), rng.integers(7, size=(3, 30))
    together = classified(torch.tensor(scores), torch.tensor(labels))
    assert together.shape == (4, 3)
    for i in range(3):
        assert together[:, i].tolist() == list(measured(scores[i], labels[i]).values())


def test_one_of_the_first_five_is_no_less_often_right_than_the_first():
    """Also of a network that says the same of all classes, or nothing."""
    labels = np.arange(10)
    alike = measured(np.zeros((10, 10), np.float32), labels)
    assert alike["top5_accuracy"] == 50.0
    assert alike["macro_recall"] == 100 * accuracy_score(labels, np.zeros(10))
    for classes in (3, 10):
        nothing = np.full((classes, classes), np.nan, np.float32)
        assert measured(nothing, np.arange(classes))["top5_accuracy"] == 0.0
