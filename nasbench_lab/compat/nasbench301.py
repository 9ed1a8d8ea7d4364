"""Drop-in replacement for the package ``nasbench301``: ``load_ensemble`` and ``predict``.

``download_models``, which scripts call where a folder is missing, says where it is looked for.

The models of the published folders are read without running anything in their pickles, by the XGBoost
or LightGBM that is installed, and without ConfigSpace, PyTorch or the package's old versions of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from nasbench_lab.benchmark.nas_bench_301 import Ensemble, architecture_of, space
from nasbench_lab.compat._errors import OfficialAssertionError, ReadOnlyError
from nasbench_lab.errors import QueryError
from nasbench_lab.spaces import Architecture

__all__ = ["SurrogateAPI", "download_models", "load_ensemble"]

REPRESENTATIONS = ("genotype", "configspace")


def download_models(version: str, delete_zip: bool = True, download_dir: str = ".") -> NoReturn:
    """Refuses, as a drop-in loads nothing from the network.

    Raises:
        ReadOnlyError: Always.
    """
    raise ReadOnlyError(
        f"The models of NAS-Bench-301 are not downloaded. Get version {version} from where its authors "
        f"publish it, and unpack it so that {download_dir}/nb_models_{version} has the folders of the "
        f"models, such as xgb_v{version}; or give load_ensemble their own folder."
    )


def load_ensemble(ensemble_parent_directory: str) -> SurrogateAPI:
    """Opens the models of a folder, such as ``xgb_v1.0`` or ``lgb_runtime_v1.0``.

    As in the official package, NumPy's global generator is then seeded as the last member's training
    was, and the noise is drawn from it.

    Raises:
        TableFileError: The folder is none of NAS-Bench-301's.
        MissingPackageError: XGBoost or LightGBM is not installed.
    """
    ensemble = Ensemble(ensemble_parent_directory)
    np.random.seed(ensemble.seed + len(ensemble.checksums) - 1)  # noqa: NPY002 (as the official one)
    return SurrogateAPI(ensemble)


class SurrogateAPI:
    """An ensemble that answers for architectures.

    Args:
        surrogate_model: The ensemble.
    """

    def __init__(self, surrogate_model: Ensemble) -> None:
        self.model = surrogate_model

    def predict(
        self, config: Any, representation: str = "genotype", with_noise: bool = True
    ) -> np.float64:
        """The accuracy in %, or the seconds of a training.

        Args:
            config: A genotype: an object with ``normal`` and ``reduce``, or its text; or a ConfigSpace
                configuration or dict of its values.
            representation: ``genotype`` or ``configspace``.
            with_noise: Whether noise is added, normal with the standard deviation of the members.

        Raises:
            QueryError: There is no such representation.
            InvalidArchitectureError: It is no architecture of the space.
        """
        members = self.model.members(_architecture(config, representation))
        noise = 0.0
        if with_noise:
            noise = np.random.normal(0, np.std(members), 1)[0]  # noqa: NPY002 (as the official one)
        return np.float64(np.mean(members) + noise)


class _RepresentationError(QueryError, NotImplementedError):
    """There is no such representation; the official API raises NotImplementedError."""


def _architecture(config: Any, representation: str) -> Architecture:
    if representation not in REPRESENTATIONS:
        raise _RepresentationError(
            f"{representation} representation is not supported, please choose from "
            f"{', '.join(REPRESENTATIONS)}."
        )
    if representation == "configspace":
        return architecture_of(config if isinstance(config, Mapping) else config.get_dictionary())
    if isinstance(config, str):
        return space().from_string(config)
    if not hasattr(config, "normal") or not hasattr(config, "reduce"):
        raise OfficialAssertionError(f"Expected a genotype but got {type(config).__name__}.")
    # Its output is all nodes in this space, so the official one does not look at what it concatenates.
    pairs = [[(str(name), int(source)) for name, source in config.normal]]
    pairs.append([(str(name), int(source)) for name, source in config.reduce])
    return space().from_string(
        f"Genotype(normal={pairs[0]}, normal_concat=range(2, 6), reduce={pairs[1]}, "
        f"reduce_concat=range(2, 6))"
    )
