"""Accuracies, losses and times of one trial or of the mean, and what a simulated training costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from nasbench_lab.compat._errors import OfficialKeyError
from nasbench_lab.compat._held import DATASETS, Held
from nasbench_lab.compat._records import ArchResults
from nasbench_lab.compat._rows import Info
from nasbench_lab.errors import QueryError

_choice = random.choice
_bits = random.getrandbits

_T = TypeVar("_T")


class _Simulated(NamedTuple):
    """The possible outcomes of ``simulate_train_eval``, which draws one at each call."""

    outcomes: list[tuple[float, float]]
    """Accuracy and seconds of each trial."""
    latency: Any
    passes: list[float]
    """Seconds of a validation pass, if they are drawn separately and added."""


class Trials(Held):
    """An API that answers for trials; arguments as for ``Held``."""

    _comments: ClassVar[Mapping[str, str]] = {}

    def _forget(self) -> None:
        super()._forget()
        self._answers: dict[tuple[Any, ...], list[Info]] = {}
        self._trials: dict[tuple[Any, ...], tuple[list[Info], int, int]] = {}
        self._simulated: dict[tuple[Any, ...], _Simulated] = {}

    def get_more_info(
        self,
        index: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str = "12",
        is_random: bool | int = True,
    ) -> Info:
        """Accuracies (%), losses and times (s) after an epoch.

        Args:
            index: An official index, or an argument of ``query_index_by_arch``.
            dataset: ``"cifar10-valid"``, ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
            iepoch: The epoch, counted from 0; None for the last.
            hp: The schedule.
            is_random: True for a trial drawn from Python's global ``random``, False for the mean
                over trials, or a seed.

        Returns:
            A new dictionary. ``…-all-time`` is the sum up to the epoch, ``…-per-time`` its mean per
            epoch. Values that the record lacks at that epoch are left out.
        """
        if self.verbose:
            self._say(
                f"Call get_more_info with {index=}, {dataset=}, {iepoch=}, {hp=}, {is_random=}"
            )
        if is_random is True and type(index) is int:
            try:
                answers, n, width = self._trials[index, dataset, iepoch, hp]
            except (KeyError, TypeError):
                pass
            else:
                # This draws the same bits as random.choice in half the time.
                drawn = _bits(width)
                while drawn >= n:
                    drawn = _bits(width)
                return answers[drawn].copy()
        return self._more_info(self._index(index), dataset, iepoch, hp, is_random)

    def _more_info(
        self, index: int, dataset: str, iepoch: int | None, hp: str, is_random: bool | int
    ) -> Info:
        """The same for an index that was checked."""
        results = self._found(index, hp)
        if is_random is True:
            return self._drawn(results, index, dataset, iepoch, hp)[0].copy()
        key = (index, dataset, iepoch, hp, type(is_random), is_random)
        if key in self._answers:
            return self._answers[key][0].copy()

        def choose(infos: list[Info]) -> Info:
            if is_random is False:
                return results.averaged(infos)
            return infos[results.position(dataset, is_random)]

        chosen = self._splits(results, dataset, iepoch, choose)
        answer = self._answer(chosen, dataset, hp)
        self._remember(self._answers, index, key, [answer])
        return answer.copy()

    def _found(self, index: int, hp: str) -> ArchResults:
        self._prepare_info(index)
        if index not in self._loaded_rows:
            raise QueryError(f"The file has no record of architecture {index}.")
        return self._results(index, str(hp))

    def _drawn(
        self, results: ArchResults, index: int, dataset: str, iepoch: int | None, hp: str
    ) -> tuple[Info, list[Info]]:
        """The answer for a drawn trial, and for all trials; neither may be given away."""
        key = (index, dataset, iepoch, hp)
        if key in self._answers:
            answers = self._answers[key]
            return _choice(answers), answers
        seeds = results.get_dataset_seeds(dataset)
        seed = _choice(seeds)
        splits = self._splits(results, dataset, iepoch, list)
        answers = [
            self._answer({name: infos[i] for name, infos in splits.items()}, dataset, hp)
            for i in range(len(seeds))
        ]
        self._remember(self._answers, index, key, answers)
        trials = answers, len(seeds), len(seeds).bit_length()
        self._remember(self._trials, index, key, trials)
        return answers[seeds.index(seed)], answers

    def _splits(
        self,
        results: ArchResults,
        dataset: str,
        iepoch: int | None,
        choose: Callable[[list[Info]], _T],
    ) -> dict[str, _T]:
        """The chosen values of each split that all trials have."""
        splits = {"train": choose(results.infos(dataset, "train", iepoch))}
        if dataset == "cifar10-valid":
            splits["valid"] = choose(results.infos(dataset, "x-valid", iepoch))
            others = {"test": "ori-test"}
        elif dataset == "cifar10":
            others = {"valid": "x-valid", "test": "ori-test"}
        else:
            others = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
        for name, setname in others.items():
            try:
                splits[name] = choose(results.infos(dataset, setname, iepoch))
            except Exception:  # the official code catches everything too
                continue
        return splits

    def _answer(self, splits: Mapping[str, Info], dataset: str, hp: str) -> Info:
        n_epochs = splits["train"]["iepoch"] + 1
        answer: Info = {}
        for name, info in splits.items():
            total = info["all_time"]
            answer[f"{name}-loss"] = info["loss"]
            answer[f"{name}-accuracy"] = info["accuracy"]
            answer[f"{name}-per-time"] = None if total is None else total / n_epochs
            answer[f"{name}-all-time"] = total
            if name == "train" and dataset in self._comments:
                answer["comment"] = self._comments[dataset].format(hp)
        return answer

    def _simulate(
        self, arch: Any, dataset: str, iepoch: int | None, hp: str, latency_hp: str, account: bool
    ) -> tuple[float, Any, float, float]:
        """Draws a trial, charges its time and returns the values that a search would see."""
        key = (arch, dataset, iepoch, hp)
        plain = type(arch) is int or type(arch) is str
        simulated = self._simulated.get(key) if plain else None
        if simulated is not None:
            accuracy, cost = _choice(simulated.outcomes)
            latency = simulated.latency
            if simulated.passes:
                cost += _choice(simulated.passes)
        else:
            index = self._index(arch)
            answers, chosen, passes, one_pass = self._draw(index, dataset, iepoch, hp)
            name = "valtest" if passes else "valid"
            accuracy = chosen[f"{name}-accuracy"]
            cost = chosen["train-all-time"] + one_pass
            latency = self._cost_info(index, dataset, latency_hp)["latency"]
            if plain:
                self._keep(index, key, name, answers, latency, passes)
        if account:
            self._used_time += cost
        return accuracy, latency, cost, self._used_time

    def _keep(
        self,
        index: int,
        key: tuple[Any, ...],
        name: str,
        answers: list[Info],
        latency: Any,
        passes: list[float],
    ) -> None:
        """Caches the outcomes of the trials, unless the times of a trial are unknown."""
        times = [(a["train-all-time"], 0.0 if passes else a["valid-per-time"]) for a in answers]
        if None in passes or any(None in pair for pair in times):
            return
        outcomes = [
            (a[f"{name}-accuracy"], sum(pair)) for a, pair in zip(answers, times, strict=True)
        ]
        kept = _Simulated(outcomes, latency, passes)
        self._remember(self._simulated, index, key, kept)

    def _draw(
        self, index: int, dataset: str, iepoch: int | None, hp: str
    ) -> tuple[list[Info], Info, list[float], float]:
        """All trials, the drawn trial, possible times of a validation pass, and its time.

        The possible times are empty if the time is not drawn.
        """
        if dataset not in DATASETS[1:]:
            raise self._index_error(
                f"Expected one of {', '.join(DATASETS[1:])} but got {dataset!r}."
            )
        source = "cifar10-valid" if dataset == "cifar10" else dataset
        results = self._found(index, hp)
        chosen, answers = self._drawn(results, index, source, iepoch, hp)
        if "valid-accuracy" in chosen or not self._falls_back:
            return answers, chosen, [], chosen["valid-per-time"]
        if "valtest-accuracy" not in chosen:
            raise OfficialKeyError(
                f"Architecture {index} on {dataset!r} with schedule {hp!r} has no accuracy at "
                f"epoch {iepoch} but that on training data."
            )
        self._warn(
            "leak",
            f"{dataset!r} has no validation accuracy at epoch {iepoch} of schedule {hp!r}, so "
            f"simulate_train_eval gives the accuracy on validation and test data together, as "
            f"officially: test data leak into the search. Ask for the last epoch (iepoch=None), "
            f"or search on cifar10.",
        )
        at_end, ends = self._drawn(results, index, dataset, None, hp)
        passes = [end["valid-per-time"] for end in ends]
        return answers, chosen, passes, at_end["valid-per-time"]

    _falls_back: ClassVar[bool] = True
