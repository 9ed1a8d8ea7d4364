"""What tells a student whether an exercise is solved."""

import math

import numpy as np
import pytest

from nasbench_lab.algorithm import SearchAlgorithm
from nasbench_lab.testing import ContractError, check_beats, check_function, exercise


class Same(SearchAlgorithm):
    """Asks for one architecture again and again, a bad one."""

    def ask(self):
        return self.trial((0,) * len(self.space.decisions))


class Nothing(SearchAlgorithm):
    def ask(self):
        return None


def test_an_algorithm_beats_one_that_is_worse():
    check_beats("random_search", Same, "nb201-digits", budget=20, seeds=10)


def test_an_algorithm_does_not_beat_one_that_is_better_and_both_means_are_given():
    with pytest.raises(ContractError) as refused:
        check_beats(Same, "random_search", "nb201-digits", budget=20, seeds=10)
    # The worst cell of the table guesses one digit in ten.
    assert "mean valid regret of 88" in str(refused.value)
    assert "10 runs each on nb201-digits" in str(refused.value)


def test_an_algorithm_does_not_beat_itself():
    with pytest.raises(ContractError, match="test regret"):
        check_beats(
            "random_search",
            "random_search",
            "nb201-digits",
            budget=9,
            seeds=8,
            metric="test_regret",
        )


def test_an_algorithm_that_never_asks_beats_nobody():
    with pytest.raises(ContractError, match="without any evaluation"):
        check_beats(Nothing, "random_search", "nb201-digits", budget=5, seeds=3)


@pytest.mark.parametrize(
    ("yours", "reference", "arguments"),
    [
        (lambda x: 2 * x, lambda x: x + x, 1.5),
        (lambda x: x + 1e-12, lambda x: x, 1.0),
        (lambda x: [math.nan, math.inf], lambda x: np.array([np.nan, np.inf]), 0),
        (lambda x: {"b", "a"}, lambda x: {"a", "b"}, 0),
        (lambda x: "text", lambda x: "text", 0),
        (lambda x: x[::-1], lambda x: np.flip(x), np.arange(5)),
    ],
)
def test_functions_that_agree(yours, reference, arguments):
    check_function(yours, reference, [(arguments,)])


@pytest.mark.parametrize(
    ("yours", "reference"),
    [
        (lambda x: x + 1e-3, lambda x: x),
        (lambda x: x, lambda x: [x, x]),  # would be equal if stretched
        (lambda x: [[1], [2, 3]], lambda x: x),
        (lambda x: "text", lambda x: x),
        (lambda x: math.nan, lambda x: x),
        (lambda x: math.inf, lambda x: -math.inf),
        (lambda x: {"a"}, lambda x: {"a", "b"}),
        (lambda x: 0, lambda x: "text"),
    ],
)
def test_functions_that_disagree(yours, reference):
    with pytest.raises(ContractError, match="must return"):
        check_function(yours, reference, [(1.0,)])


def test_the_first_example_that_differs_is_named():
    with pytest.raises(ContractError) as refused:
        check_function(abs, lambda x: np.int64(x), [(1,), (-2,), (-3,)])
    assert str(refused.value) == "Called with (-2) it must return -2 but returned 2."


def test_a_long_result_is_cut_short():
    with pytest.raises(ContractError) as refused:
        check_function(lambda x: list(range(1000)), lambda x: 0, [(1,)])
    assert len(str(refused.value)) < 300


def test_tolerance():
    check_function(lambda x: x + 0.09, lambda x: x, [(1,)], tolerance=0.1)
    with pytest.raises(ContractError):
        check_function(lambda x: x + 0.11, lambda x: x, [(1,)], tolerance=0.1)


def test_each_function_gets_copies():
    def in_place(values):
        values.sort()
        return values

    check_function(in_place, sorted, [(given := [3, 1, 2],)])
    assert given == [3, 1, 2]


@pytest.mark.parametrize("yours", [..., None, lambda x: ..., lambda x: None])
def test_what_is_not_written_yet_is_told_so(yours):
    with pytest.raises(ContractError, match="not written yet"):
        check_function(yours, abs, [(1,)])


def test_a_solved_exercise(capsys):
    with exercise(3) as mine:
        check_function(abs, abs, [(1,)])
    assert mine.solved
    assert capsys.readouterr().out == "Exercise 3: solved.\n"


def test_an_assertion_says_what_is_missing(capsys):
    with exercise(3) as mine:
        raise AssertionError("It stops too early.")
    assert not mine.solved
    assert capsys.readouterr().out == "Exercise 3: not yet. It stops too early.\n"


def test_an_error_is_told_with_its_place_in_the_student_s_code(capsys):
    def broken(values):
        return np.reshape(values, 7)

    with exercise(3) as mine:
        check_function(broken, abs, [([1, 2],)])
    assert not mine.solved
    line = broken.__code__.co_firstlineno + 1
    said = capsys.readouterr().out
    assert said.startswith("Exercise 3: not yet. ValueError: cannot reshape array")
    assert said.endswith(f"(line {line} in broken)\n")


def test_an_interrupt_is_passed_on():
    with pytest.raises(KeyboardInterrupt), exercise(3):
        raise KeyboardInterrupt
