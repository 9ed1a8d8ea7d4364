"""Forests and boosted trees, by libraries.

Breiman, "Random forests", Machine Learning 45, 2001; Ke et al., "LightGBM", NeurIPS 2017, which
scikit-learn's histogram boosting follows; Chen and Guestrin, "XGBoost", KDD 2016; Duan et al.,
"NGBoost", ICML 2020. Settings where data are few: White et al., NeurIPS 2021 (arXiv 2104.01177).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from nasbench_lab.algorithm import check_number
from nasbench_lab.errors import MissingPackageError
from nasbench_lab.predictors.predictor import FeaturePredictor, Floats, library
from nasbench_lab.spaces import SearchSpace


class RandomForest(FeaturePredictor):
    """scikit-learn's random forest; the standard deviation is that of its trees.

    Args:
        space: The space of the architectures.
        n_trees: How many trees.
        max_features: The share of the features that a split chooses from.
        **kwargs: ``seed`` and ``encoding`` of ``FeaturePredictor``.
    """

    def __init__(
        self, space: SearchSpace, *, n_trees: int = 100, max_features: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        check_number("n_trees", n_trees, whole=True, low=1)
        check_number("max_features", max_features, above=0, below=1 + 1e-9)
        self.n_trees, self.max_features = n_trees, float(max_features)

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = (
            library("sklearn.ensemble")
            .RandomForestRegressor(
                self.n_trees, max_features=self.max_features, random_state=self.seed, n_jobs=1
            )
            .fit(features, values)
        )

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        narrow = features.astype(np.float32)  # what trees compare, converted once
        each = np.array([tree.predict(narrow) for tree in self._model.estimators_])
        return each.mean(axis=0), each.std(axis=0)


class ZeroCostForest(RandomForest):
    """A random forest on the architecture and on scores by zero-cost proxies, which it needs.

    The scores are the columns, as in the models with several sources of White et al. 2021.
    """

    needs_columns = True


class GradientBoosting(FeaturePredictor):
    """scikit-learn's histogram gradient boosting; it gives no standard deviations.

    Args:
        space: The space of the architectures.
        n_trees: How many trees, one after the other.
        learning_rate: How much of each tree is added.
        max_leaves: The most leaves of a tree.
        min_samples: The fewest architectures in a leaf, fewer where less than five times as many
            are known.
        **kwargs: ``seed`` and ``encoding`` of ``FeaturePredictor``.
    """

    uncertain = False

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_trees: int = 200,
        learning_rate: float = 0.05,
        max_leaves: int = 15,
        min_samples: int = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        _check_boosting(n_trees, learning_rate)
        check_number("max_leaves", max_leaves, whole=True, low=2)
        check_number("min_samples", min_samples, whole=True, low=1)
        self.n_trees, self.learning_rate = n_trees, learning_rate
        self.max_leaves, self.min_samples = max_leaves, min_samples

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = library("sklearn.ensemble").HistGradientBoostingRegressor(
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaves,
            min_samples_leaf=max(1, min(self.min_samples, len(values) // 5)),
            early_stopping=False,
            random_state=self.seed,
        )
        with threadpool_limits(1):  # small data take far longer where threads wait for each other
            self._model.fit(features, values)

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        with threadpool_limits(1):
            return self._model.predict(features), np.zeros(len(features))


class Boosting(FeaturePredictor):
    """Base of boosted trees by a package that may not be installed.

    Args:
        space: The space of the architectures.
        n_trees: How many trees, one after the other.
        learning_rate: How much of each tree is added.
        **kwargs: ``seed`` and ``encoding`` of ``FeaturePredictor``.

    Raises:
        MissingPackageError: The package is not installed; the message says which it is.
    """

    package: ClassVar[str]
    """The package, as pip and Python know it."""

    uncertain = False

    _model: Any

    def __init__(
        self, space: SearchSpace, *, n_trees: int = 200, learning_rate: float = 0.05, **kwargs: Any
    ) -> None:
        super().__init__(space, **kwargs)
        _check_boosting(n_trees, learning_rate)
        self.n_trees, self.learning_rate = n_trees, learning_rate
        self._module()

    @classmethod
    def _module(cls) -> Any:
        """The package, imported."""
        try:
            return library(cls.package)
        except ImportError as error:
            raise MissingPackageError(
                f"The predictor {cls.package} needs the package of that name: pip install "
                f"'nasbench-lab[boosting]', or take gradient_boosting, which needs none."
            ) from error

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        return np.asarray(self._model.predict(features), np.float64), np.zeros(len(features))


class XGBoost(Boosting):
    """XGBoost; it gives no standard deviations. See ``Boosting``."""

    package = "xgboost"

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = self._module().XGBRegressor(
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            max_depth=6,
            min_child_weight=1,
            subsample=0.8,
            colsample_bytree=0.8,
            random_state=self.seed,
            n_jobs=1,
        )
        self._model.fit(features, values)


class LightGBM(Boosting):
    """LightGBM; it gives no standard deviations. See ``Boosting``."""

    package = "lightgbm"

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = self._module().LGBMRegressor(
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            num_leaves=15,
            min_child_samples=max(1, min(5, len(values) // 5)),
            random_state=self.seed,
            deterministic=True,
            n_jobs=1,
            verbose=-1,
        )
        self._model.fit(features, values)


class NGBoost(Boosting):
    """NGBoost, which predicts normal distributions. See ``Boosting``."""

    package = "ngboost"

    uncertain = True

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = self._module().NGBRegressor(
            n_estimators=self.n_trees,
            learning_rate=self.learning_rate,
            random_state=self.seed,
            verbose=False,
        )
        self._model.fit(features, values)

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        normal = self._model.pred_dist(features)
        return np.asarray(normal.loc, np.float64), np.asarray(normal.scale, np.float64)


def _check_boosting(n_trees: int, learning_rate: float) -> None:
    check_number("n_trees", n_trees, whole=True, low=1)
    check_number("learning_rate", learning_rate, above=0)
