"""What is shown of a search in real time while it runs."""

import io
import math

from live_searches import SPACE, Given, GivenTimes
from rich.console import Console

from nasbench_lab.algorithm import Trial
from nasbench_lab.budget import Budget
from nasbench_lab.cli import watching as module
from nasbench_lab.cli.watching import Watcher, watching
from nasbench_lab.registry import make_algorithm
from nasbench_lab.simulator import AtWork, Standing, search_live

BENCHMARK = Given()


def searched(budget, **options):
    algorithm = make_algorithm("random_search", SPACE, seed=3)
    pool = GivenTimes(BENCHMARK)
    return search_live(algorithm, BENCHMARK, budget, pool, **options)


def standing(at_work, seconds=100.0, trace=None):
    trace = searched(1) if trace is None else trace
    return Standing(seconds, len(trace), at_work, lambda: trace)


def test_the_time_left_of_a_worker_is_by_its_own_epochs():
    watcher = Watcher(Budget.of(5), 2, epochs=9)
    trial = Trial(4, (1, 2, 3), None)
    at_work = AtWork(trial, 0, 40.0, None)
    _, first, second = watcher.lines(standing({0: at_work}, seconds=40.0))
    assert (first.text, first.done, first.total) == ("worker 0: 1:2:3", 0.0, 9.0)
    assert second == ("worker 1: waits", 0.0, None, second.left)
    assert math.isnan(second.left)
    # 3 epochs took 30 s, so 6 more take 60 s; after 5 s of these 55 s are left.
    for seconds, left in ((70.0, 60.0), (75.0, 55.0)):
        _, first, _ = watcher.lines(standing({0: at_work._replace(epoch=3)}, seconds=seconds))
        assert (first.done, first.left) == (3.0, left)


def test_the_time_left_of_a_worker_that_says_nothing_is_by_what_others_took():
    trace = searched(10)
    watcher = Watcher(Budget.of(20), 1, epochs=9)
    at_work = AtWork(Trial(4, (1, 2, 3), 4), 1, 0.0, None)
    _, line = watcher.lines(standing({0: at_work}, seconds=0.0, trace=trace))
    sound = trace.status == 0
    per_epoch = trace.cost[sound].sum() / trace.epoch[sound].sum()
    assert line.total == 3.0
    assert math.isclose(line.left, 3 * per_epoch)


def test_the_line_for_all_counts_what_the_budget_counts():
    trace = searched(10)
    end = float(trace.end[-1])
    for budget, done, total in (
        ("20", 10.0, 20.0),
        (f"{4 * end}s", end, 4 * end),
        ("360epochs", float(trace.epochs()[-1]), 360.0),
    ):
        line, _ = Watcher(Budget.of(budget), 1).lines(standing({}, seconds=end, trace=trace))
        assert (line.done, line.total) == (done, total)
        assert math.isclose(line.left, end * (total / done - 1))
        assert line.text.startswith("10 evaluated")
        assert f"height {trace.values[trace.incumbents()[-1], 0]:.4g} m" in line.text


def test_failures_are_told_once_and_bars_are_drawn(monkeypatch):
    class Failing(GivenTimes):
        def answer(self, order):
            return order.ask, None, "out of memory"

    shown = io.StringIO()
    monkeypatch.setattr(module, "errors", Console(file=shown, force_terminal=True, width=100))
    with watching(Watcher(Budget.of(2), 1, epochs=9)) as watch:
        algorithm = make_algorithm("random_search", SPACE, seed=3)
        search_live(algorithm, BENCHMARK, 2, Failing(BENCHMARK), watch=watch)
    assert shown.getvalue().count("Trial 0 failed: out of memory") == 1
    assert shown.getvalue().count("Trial 1 failed: out of memory") == 1
    assert "worker 0" in shown.getvalue()
    assert "2 failed" in shown.getvalue()
