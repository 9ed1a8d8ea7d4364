"""Bayesian optimisation with a Gaussian-process surrogate.

Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", Journal
of Global Optimization 1998; on architectures: Kandasamy et al., NeurIPS 2018 (arXiv 1802.07191) and
White et al., AAAI 2021 (arXiv 1910.11858); with a Weisfeiler-Lehman kernel: Ru et al., ICLR 2021
(arXiv 2006.07556). Warmup by zero-cost proxies: Abdelfattah et al., ICLR 2021 (arXiv 2101.08134);
preselection takes their move proposal to the candidates of an ask. Other tasks as the prior mean:
Golovin et al., "Google Vizier", KDD 2017, section 3.3, here of all tasks together.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms._numbers import squarable
from algorithms._proxies import Pool, Ranking
from algorithms._surrogates import acquisition as acquisitions
from algorithms._surrogates.surrogate import Surrogate
from algorithms._transfer import Prior
from nasbench_lab.algorithm import (
    Evaluation,
    History,
    Proxies,
    SearchAlgorithm,
    Trial,
    Work,
    check_choice,
    check_number,
)
from nasbench_lab.errors import UnsuitedError
from nasbench_lab.predictors.kernels import KERNELS, Kernel
from nasbench_lab.predictors.posterior import MOST_STORED, Candidates, Posterior
from nasbench_lab.spaces import Architecture, Architectures, SearchSpace

WHOLE = 1_000_000
"""Up to so many architectures are all scored, or ``MOST_STORED`` if their covariances are stored."""


class GPBO(SearchAlgorithm):
    """Asks for the architecture at which the acquisition function of a surrogate is greatest.

    Of isomorphic architectures only the canonical one is a candidate, and it is asked once. Trials
    whose results are outstanding enter the surrogate at their predicted mean. All architectures are
    candidates where options have up to a million combinations and the kernel is a product over
    decisions, and in all spaces of up to 100,000 architectures. In others the candidates are random
    architectures and mutations of the best ten. Results of other searches count like its own.

    Args:
        space: The space to search.
        kernel: ``ordinal``, ``hamming`` or ``matern`` (on decisions), ``path`` (on paths through a
            cell), or ``wl`` (on the graph of operations: the Weisfeiler-Lehman kernel of NAS-BOWL).
            ``hamming`` takes the options of ordered decisions as unordered, the others on decisions
            do not; without ordered decisions, ``ordinal`` and ``hamming`` are the same.
        acquisition: ``ei`` (expected improvement), ``ucb`` (upper confidence bound) or ``thompson``.
        n_initial: Random architectures before the surrogate is used.
        ucb_beta: Standard deviations above the mean in ``ucb``.
        refit_growth: The hyperparameters are fitted again whenever the data have grown by this
            factor.
        n_candidates: Candidates drawn for each ask where the space is too large to score all of it,
            or where there is a preselection.
        proxies: Scores without training; given by the benchmark.
        warmup: If not 0, so many random architectures are scored by ``proxy`` first, and the best of
            them come in place of the random ones.
        preselection: If not 0, the candidates of each ask are drawn as in large spaces, and only so
            many remain, the best by ``proxy``.
        proxy: The zero-cost proxy that scores, or several that vote.
        history: What is known of other tasks; given by the experiment, if that has any.
        prior: What is made of the history. ``mean``: the surrogate models by how much the results
            deviate from what the other tasks let expect, stretched and shifted to fit them; and in
            place of random architectures come those that are best in draws of what the other tasks
            let expect. ``none``: nothing.
        **kwargs: ``seed`` and ``maximize`` of ``SearchAlgorithm``.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        kernel: str = "ordinal",
        acquisition: str = "ei",
        n_initial: int = 10,
        ucb_beta: float = 2.0,
        refit_growth: float = 1.3,
        n_candidates: int = 1000,
        proxies: Proxies | None = None,
        warmup: int = 0,
        preselection: int = 0,
        proxy: str | Sequence[str] = "synflow",
        history: History | None = None,
        prior: str = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(space, **kwargs)
        check_choice("kernel", kernel, KERNELS)
        check_choice("acquisition", acquisition, acquisitions.ACQUISITIONS)
        check_number("n_initial", n_initial, whole=True, low=1)
        check_number("ucb_beta", ucb_beta, low=0)
        check_number("refit_growth", refit_growth, low=1)
        check_number("n_candidates", n_candidates, whole=True, low=1)
        check_number("warmup", warmup, whole=True, low=0)
        check_number("preselection", preselection, whole=True, low=0)
        self.kernel = Kernel(kernel, space)
        on_grid = self.kernel.product and self.kernel.grid_size <= WHOLE
        self._whole = on_grid or space.size <= MOST_STORED
        self.acquisition = acquisition
        self.n_initial = n_initial
        self.ucb_beta = ucb_beta
        self.n_candidates = n_candidates
        check_choice("prior", prior, ("mean", "none"))
        self.prior: Prior | None = None
        if history is not None and prior == "mean":
            self._check_one_objective()
            self.prior = Prior(self.kernel, history, scaled=False, calibrated=True)
        self.surrogate = Surrogate(self.kernel, refit_growth, self.prior)
        # The canonical architectures that must not be asked: a set, and where the candidates are the
        # whole space, also a mask of them.
        self._taken: set[Architecture] = set()
        self._barred: NDArray[np.bool_] | None = None
        self.preselection = preselection
        self._ranking = Ranking(proxies, proxy) if warmup or preselection else None
        self._pool: Pool | None = None
        if self._ranking is not None and warmup:
            self._pool = Pool(self._ranking, space.canonical(space.sample(self.rng, warmup)))
        # What was preselected by the scoring that took time.
        self._preselected: list[Architecture] | None = None

    def _check_one_objective(self) -> None:
        """Refuses weights, as of other tasks only the first objective is known."""
        if self._weights is not None:
            raise UnsuitedError(
                "Of other tasks only the first objective is known, so weights of several objectives "
                "cannot be used with a history. Leave out one of the two."
            )

    def ask(self) -> Trial | Work | None:
        if self._pool is not None and not self._pool.finished:
            return self._pool.score_some()
        if len(self._taken) < self.n_initial or not self.surrogate.results:
            architecture = self._draw_initial()
        elif self._ranking is not None and self.preselection:
            work = self._preselect(self._ranking)
            if work is not None:
                return work
            candidates = [a for a in self._preselected or () if a not in self._taken]
            self._preselected = None
            architecture = self._best_of(candidates)
        elif self._whole:
            architecture = self._best_of_all()
        else:
            architecture = self._best_of_pool()
        if architecture is None:
            return None
        trial = self.trial(architecture)
        self._take(architecture)
        self.surrogate.add_pending(trial.number, architecture)
        return trial

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        self.surrogate.finish(trial.number, squarable(self.penalised_score(evaluation)))

    def observe(self, architecture: Architecture, evaluation: Evaluation) -> None:
        """Adds a result to the data; its architecture is then not asked any more."""
        if self.is_final(evaluation):
            architecture = self.space.canonical(architecture)
            self._take(architecture)
            self.surrogate.add_result(architecture, squarable(self.penalised_score(evaluation)))

    def _take(self, architecture: Architecture) -> None:
        """Notes that a class of architectures is not to be asked again."""
        self._taken.add(architecture)
        if self._barred is not None:
            self._barred[_positions([architecture], self.space)] = True

    def _draw_initial(self) -> Architecture | None:
        """An architecture of the initial design: the best of the warmup, or a random one."""
        for architecture in map(tuple, [] if self._pool is None else self._pool.ranked.tolist()):
            if architecture not in self._taken:
                return architecture
        return self._draw() if self.prior is None else self._draw_from(self.prior)

    def _draw_from(self, prior: Prior) -> Architecture | None:
        """The architecture, not asked before, that is best in a draw of what tasks let expect."""
        candidates = self._initial_candidates()
        mean, spread = prior.expected(candidates, self._whole)
        return self._best_new(candidates, mean + spread * self.rng.normal(size=len(mean)))

    def _initial_candidates(self) -> Candidates:
        """All architectures, or random ones, before there are results."""
        if self._whole:
            return all_candidates(self.space, self.kernel.name)
        sample = self.space.canonical(self.space.sample(self.rng, self.n_candidates))
        return Candidates(self.kernel, np.unique(sample, axis=0))

    def _best_new(self, candidates: Candidates, values: NDArray[np.float64]) -> Architecture | None:
        """The candidate of the greatest value that was not asked, or a random one if all were."""
        for i in np.argsort(-values, kind="stable").tolist():
            architecture = tuple(candidates.architectures[i].tolist())
            if architecture not in self._taken:
                return architecture
        return self._draw()

    def _draw(self) -> Architecture | None:
        """A random architecture of a class not asked before, or None if there seems to be none."""
        for _ in range(100):
            architecture = self.space.canonical(self.space.sample(self.rng))
            if architecture not in self._taken:
                return architecture
        if not self._whole:
            return None
        left = [a for a in map(tuple, _classes(self.space).tolist()) if a not in self._taken]
        return left[int(self.rng.random() * len(left))] if left else None

    def _best_of_all(self) -> Architecture | None:
        """The best candidate of the whole space, or None if all of them were asked."""
        candidates = _classes(self.space)
        if len(self._taken) == len(candidates):
            return None
        if self._barred is None:
            self._barred = np.zeros(len(candidates), dtype=np.bool_)
            self._barred[_positions(sorted(self._taken), self.space)] = True
        posterior = self.surrogate.posterior_at(all_candidates(self.space, self.kernel.name))
        return tuple(candidates[self._acquire(posterior, self._barred)].tolist())

    def _best_of_pool(self) -> Architecture | None:
        """The best candidate of random architectures and of mutants of the best results."""
        return self._best_of(self._draw_candidates())

    def _preselect(self, ranking: Ranking) -> Work | None:
        """Ranks new candidates by the proxies, and keeps the best; None if that takes no time."""
        if self._preselected is not None:
            return None
        candidates = np.array(self._draw_candidates(), np.int64)
        if not len(candidates):
            self._preselected = []
            return None
        ranked, work = ranking.ranked(candidates)
        self._preselected = [tuple(one) for one in ranked[: self.preselection].tolist()]
        return work if work.seconds or work.passes is not None else None

    def _draw_candidates(self) -> list[Architecture]:
        """Random architectures and mutants of the best results that were not asked yet."""
        ranked = sorted(self.surrogate.results, key=lambda result: -result[1])
        parents = np.array([architecture for architecture, _ in ranked[:10]])
        mutants = self.space.mutate(
            np.repeat(parents, self.n_candidates // 20 + 1, axis=0), self.rng
        )
        sample = self.space.sample(self.rng, self.n_candidates)
        pool = self.space.canonical(np.concatenate([sample, mutants]))
        return sorted(set(map(tuple, pool.tolist())) - self._taken)

    def _best_of(self, candidates: list[Architecture]) -> Architecture | None:
        """The best of some candidates, or a random architecture if there are none."""
        if not candidates:
            return self._draw()
        posterior = self.surrogate.condition(Candidates(self.kernel, np.array(candidates)))
        return candidates[self._acquire(posterior, np.zeros(len(candidates), dtype=np.bool_))]

    def _acquire(self, posterior: Posterior, barred: NDArray[np.bool_]) -> int:
        """The position of the candidate at which the acquisition function is greatest."""
        mean, variance = posterior.mean, posterior.variance
        shift: NDArray[np.float64] | float = 0.0
        scale: NDArray[np.float64] | float = 1.0
        if self.prior is not None:
            shared = self._whole and not self.preselection
            shift, scale = self.prior.at(posterior.candidates, shared)
            mean, variance = shift + scale * mean, scale**2 * variance
        if self.acquisition == "thompson":
            return acquisitions.best_by_thompson_sample(
                posterior, barred, self.rng, shift=shift, scale=scale
            )
        if self.acquisition == "ucb":
            return acquisitions.best_by_upper_bound(mean, variance, self.ucb_beta, barred, self.rng)
        best = self.surrogate.best
        return acquisitions.best_by_expected_improvement(mean, variance, best, barred, self.rng)


# These depend on the space only, so that all searches of a process share them.


@functools.lru_cache(maxsize=4)
def _class_indices(space: SearchSpace) -> NDArray[np.int64]:
    """``(m,)`` ascending indices of the canonical architectures."""
    return space.index(_classes(space))


@functools.lru_cache(maxsize=4)
def _classes(space: SearchSpace) -> Architectures:
    """``(m, d)``: one canonical architecture per class, in the order of their indices."""
    return space.classes


@functools.lru_cache(maxsize=4)
def all_candidates(space: SearchSpace, kernel: str) -> Candidates:
    """The classes as candidates."""
    return Candidates(Kernel(kernel, space), _classes(space))


def _positions(architectures: list[Architecture], space: SearchSpace) -> NDArray[np.int64]:
    """``(n,)`` positions of ``n`` canonical architectures in ``_classes``."""
    return np.searchsorted(_class_indices(space), space.index(np.array(architectures)))


GPBO.citation = r"""@article{jones1998efficient,
  title = {Efficient Global Optimization of Expensive Black-Box Functions},
  author = {Jones, Donald R. and Schonlau, Matthias and Welch, William J.},
  journal = {Journal of Global Optimization},
  volume = {13},
  number = {4},
  pages = {455--492},
  year = {1998}
}

@inproceedings{golovin2017google,
  title = {{Google Vizier}: A Service for Black-Box Optimization},
  author = {Golovin, Daniel and Solnik, Benjamin and Moitra, Subhodeep and Kochanski, Greg and
            Karro, John and Sculley, D.},
  booktitle = {International Conference on Knowledge Discovery and Data Mining},
  year = {2017}
}

@inproceedings{kandasamy2018neural,
  title = {Neural Architecture Search with {Bayesian} Optimisation and Optimal Transport},
  author = {Kandasamy, Kirthevasan and Neiswanger, Willie and Schneider, Jeff and
            P{\'o}czos, Barnab{\'a}s and Xing, Eric P.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018}
}

@inproceedings{white2021bananas,
  title = {{BANANAS}: {Bayesian} Optimization with Neural Architectures for Neural Architecture
           Search},
  author = {White, Colin and Neiswanger, Willie and Savani, Yash},
  booktitle = {AAAI Conference on Artificial Intelligence},
  year = {2021}
}

@inproceedings{ru2021interpretable,
  title = {Interpretable Neural Architecture Search via {Bayesian} Optimisation with
           {Weisfeiler-Lehman} Kernels},
  author = {Ru, Binxin and Wan, Xingchen and Dong, Xiaowen and Osborne, Michael},
  booktitle = {International Conference on Learning Representations},
  year = {2021}
}"""
