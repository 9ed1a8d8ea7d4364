"""Linear models, by scikit-learn."""

from __future__ import annotations

import numpy as np

from nasbench_lab.predictors.predictor import FeaturePredictor, Floats, library

_PENALTIES = np.geomspace(1e-3, 1e3, 13)


class Ridge(FeaturePredictor):
    """Ridge regression (Hoerl and Kennard 1970); the penalty is chosen by leaving one out.

    It gives no standard deviations.
    """

    uncertain = False

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = library("sklearn.linear_model").RidgeCV(_PENALTIES).fit(features, values)

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        return self._model.predict(features), np.zeros(len(features))


class BayesianRidge(FeaturePredictor):
    """Bayesian linear regression (MacKay 1992); the standard deviation includes the noise."""

    def _fit_features(self, features: Floats, values: Floats) -> None:
        self._model = library("sklearn.linear_model").BayesianRidge().fit(features, values)

    def _predict_features(self, features: Floats) -> tuple[Floats, Floats]:
        mean, std = self._model.predict(features, return_std=True)
        return mean, std
