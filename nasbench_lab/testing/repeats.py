"""Whether a search comes out the same when it is repeated, and if not, why."""

from __future__ import annotations

import builtins
import hashlib
import inspect
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from functools import partial
from types import FrameType
from typing import Any

from nasbench_lab.errors import NasbenchLabError, WorkerError
from nasbench_lab.experiment.experiment import Experiment
from nasbench_lab.experiment.settings import AlgorithmSetting, BenchmarkSetting
from nasbench_lab.guard import SeededGenerators, kept_generators
from nasbench_lab.mistakes import is_users
from nasbench_lab.processes import in_new_process
from nasbench_lab.results.parts import Run
from nasbench_lab.results.result import Result
from nasbench_lab.running.search import search as run_search
from nasbench_lab.trace import Trace

Search = Callable[[], Trace]

_OTHER_SEEDS = ("1", "2")
"""Hash seeds under which a search is repeated. Two, as small sets may be in one order by chance."""


def check_repeats(result: Result) -> tuple[int, list[str]]:
    """Repeats a run of each algorithm on each benchmark, in processes with other hash seeds.

    It is the last one: what is kept from one run to the next shows there. Runs whose costs are
    measured seconds are left out, as they differ each time.

    Args:
        result: A comparison that this process has made.

    Returns:
        How many runs were repeated, and a sentence on each that came out differently.
    """
    experiment = result.experiment
    chosen: dict[tuple[str, str], Run] = {
        (one.benchmark, one.algorithm): one
        for one in result.runs
        if one.error is None and not _is_measured(experiment, one.benchmark)
    }
    different = []
    for (name, label), run in chosen.items():
        repeated = partial(
            _run_again,
            experiment,
            experiment.algorithm(label),
            experiment.benchmark(name),
            run.seed,
        )
        place = f"{label} on {name} with seed {run.seed}"
        try:
            others = in_other_processes(repeated, _OTHER_SEEDS)
        except NasbenchLabError as error:
            different.append(f"{place} could not be repeated: {error}")
            continue
        if not all(run.trace.equals(other) for other in others):
            why = "; ".join(reasons(repeated))
            different.append(f"{place} came out differently when it was repeated: it {why}.")
    return len(chosen), different


def _is_measured(experiment: Experiment, name: str) -> bool:
    program = experiment.benchmark(name).program
    return program is not None and program.measured


def _run_again(
    experiment: Experiment, algorithm: AlgorithmSetting, benchmark: BenchmarkSetting, seed: int
) -> Trace:
    taken, hyperparameters = algorithm.taken
    with kept_generators():
        trace, _ = run_search(
            taken,
            benchmark.benchmark,
            experiment.budget,
            seed,
            experiment.workers,
            experiment.charge_repeats,
            hyperparameters,
            experiment.warm_start,
        )
    return trace


def in_other_processes(search: Search, hash_seeds: Sequence[str]) -> list[Trace]:
    """What comes of a search in processes of its own, one per hash seed.

    Raises:
        NasbenchLabError: It fails there, or cannot be sent there.
    """
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda seed: in_new_process(search, seed), hash_seeds))


def reasons(search: Search) -> list[str]:
    """Why a search comes out differently when it is repeated, as far as that can be found out.

    Each reads on from "it".
    """
    sentences = []
    with kept_generators():
        generators = SeededGenerators(0)
        list(_state())  # some objects change when they are pickled for the first time
        before = dict(_state())
        called = _calls(search)
        after = dict(_state())
        used = generators.used()
    if used:
        sentences.append(f"drew from {' and '.join(used)}, which is not its own; use self.rng")
    sentences += [f"{what} ({place})" for what, place in called.items()]
    changed = [
        text
        for (module, text), value in after.items()
        if before.get((module, text), value) != value
    ]
    if changed:
        sentences.append(
            f"kept something from one run to the next in {', '.join(changed)}; keep it in self"
        )
    if sentences:
        return sentences
    try:
        first, same, *others = in_other_processes(search, ("0", "0", *_OTHER_SEEDS))
    except NasbenchLabError as error:
        return [f"cannot be repeated in another process, so the cause is not known ({error})"]
    if not first.equals(same):
        return [
            "depends on what no check here can name: addresses of objects (a set of objects without "
            "a __hash__ of their own), threads, or files"
        ]
    if not all(first.equals(other) for other in others):
        return [
            "depends on the order of a set of strings, which differs from process to process; go "
            "through sorted(…) of it"
        ]
    return ["kept something from one run to the next, outside of self"]


_CLOCKS = ("now", "utcnow", "today")
_CHANCES = ("urandom", "getrandom")


def _calls(search: Search) -> dict[str, str]:
    """What a search does that no seed decides, and the line of the user's that first does it."""
    calls: dict[str, str] = {}

    def look(frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call":
            return
        name, module = called.__name__, getattr(called, "__module__", None)
        what, direct = "", True
        if (module == "time" and name != "sleep") or (
            name in _CLOCKS and getattr(called, "__self__", None) in (date, datetime)
        ):
            what = f"read the clock by {name}()"
        elif called is builtins.id:
            what = "asked for the address of an object by id()"
        elif name in _CHANCES or (name == "seed" and frame.f_locals.get("a", 0) is None):
            what, direct = "made a random generator without a seed; use self.rng", False
        if not what or what in calls:
            return
        place: FrameType | None = frame
        while not direct and place is not None and not is_users(place.f_code.co_filename):
            place = place.f_back
        if place is not None and is_users(place.f_code.co_filename):
            code = place.f_code
            calls[what] = f"{code.co_filename}, line {place.f_lineno}, in {code.co_name}"

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        search()
    finally:
        sys.setprofile(before)
    return calls


def _state() -> Iterator[tuple[tuple[str, str], str]]:
    """What the user's modules and classes hold: module and name, and a fingerprint."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # Some packages keep what is no file among the modules.
        own = isinstance(file, str) and os.path.isabs(file) and is_users(file)
        if not own and name != "__main__":
            continue
        for key, value in list(vars(module).items()):
            if key.startswith("__") or inspect.ismodule(value) or inspect.isroutine(value):
                continue
            if not inspect.isclass(value):
                yield (name, f"the global {key}"), _fingerprint(value)
            elif value.__module__ == name:
                for attribute, held in list(vars(value).items()):
                    if not attribute.startswith("__") and not inspect.isroutine(held):
                        text = f"the class attribute {key}.{attribute}"
                        yield (name, text), _fingerprint(held)


class _Digest:
    """A file that keeps the checksum of what is written to it, up to some size."""

    def __init__(self) -> None:
        self.sha256, self.left = hashlib.sha256(), 10**8

    def write(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("too large")
        self.sha256.update(data)


def _fingerprint(value: Any) -> str:
    digest = _Digest()
    try:
        pickle.Pickler(digest).dump(value)
    except Exception as error:  # an object of somebody else's may raise anything
        return type(error).__name__
    return digest.sha256.hexdigest()


def differs_elsewhere(search: Search, first: Trace) -> bool:
    """Whether a search comes out differently in processes with other hash seeds.

    One that cannot be sent to another process is taken for one that does not.
    """
    try:
        others = in_other_processes(search, _OTHER_SEEDS)
    except WorkerError:
        return False
    return not all(first.equals(other) for other in others)
