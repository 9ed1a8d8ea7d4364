"""How mistakes in other people's code are told."""

import pickle

import numpy as np
import pytest

from nasbench_lab.errors import HyperparameterError, UnknownNameError
from nasbench_lab.mistakes import is_ours, is_users, place_in, told, users_place, whole_traceback


def caught(function):
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def singular():
    np.linalg.inv(np.zeros((2, 2)))


def from_another():
    try:
        {}["a"]
    except KeyError as error:
        raise ValueError("bad step") from error


def while_handling():
    try:
        {}["a"]
    except KeyError:
        raise ValueError("bad step")  # noqa: B904 (that is what is told)


def from_none():
    try:
        {}["a"]
    except KeyError:
        raise ValueError("bad step") from None


class OddError(Exception):
    def __str__(self):
        raise TypeError("no text")


def odd():
    raise OddError


def test_the_place_is_the_deepest_line_of_the_users_not_of_a_package():
    place = users_place(caught(singular))
    line = singular.__code__.co_firstlineno + 1
    assert place == f"{__file__}, line {line}, in singular"


def test_causes_are_told_in_their_order_each_with_its_place():
    assert "ValueError: bad step (" in told(caught(from_another))
    assert "), from KeyError: 'a' (" in told(caught(from_another))
    assert ", while handling KeyError: 'a' (" in told(caught(while_handling))
    assert "KeyError" not in told(caught(from_none))


def test_an_error_whose_text_fails_is_told_all_the_same():
    assert told(caught(odd)).startswith(
        "OddError: (its text cannot be read, as that raises TypeError)"
    )
    assert "OddError" in whole_traceback(caught(odd))


def test_causes_that_go_in_circles_end():
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    assert told(one) == "ValueError: one, from KeyError: 'other'"


def test_a_long_text_of_several_lines_is_one_short_line():
    text = told(ValueError("a\nb " + "c" * 1000))
    assert text.startswith("ValueError: a b ccc")
    assert len(text) < 600
    assert told(ValueError()) == "ValueError"


def test_a_file_that_is_no_python_has_its_line_told():
    error = caught(lambda: compile("x = 1\ny = (", "/somewhere/own.py", "exec"))
    assert told(error) == "SyntaxError: '(' was never closed (/somewhere/own.py, line 2)"


def test_our_own_errors_are_told_by_their_text():
    error = caught(lambda: (_ for _ in ()).throw(HyperparameterError("Expected 1.")))
    assert is_ours(error)
    assert told(HyperparameterError("Expected 1.")) == "Expected 1."
    assert not is_ours(ValueError())
    assert not is_ours(type("Own", (UnknownNameError,), {})("a", "b", []))


@pytest.mark.parametrize("file", [__file__, "own.py", "<stdin>", "<ipython-input-3-0a1b>"])
def test_files_of_the_user(file):
    assert is_users(file)


@pytest.mark.parametrize(
    "file",
    [np.__file__, pickle.__file__, told.__code__.co_filename, "<frozen importlib>", "<string>"],
)
def test_files_of_others(file):
    assert not is_users(file)


def test_the_place_is_found_in_what_a_dying_process_wrote():
    dump = (
        "Timeout (0:00:01)!\nThread 0x1 (most recent call first):\n"
        f'  File "{np.__file__}", line 5 in inv\n  File "/somewhere/own.py", line 7 in tell\n'
        '  File "/somewhere/main.py", line 1 in <module>\n'
    )
    assert place_in(dump) == "/somewhere/own.py, line 7, in tell"
    assert place_in("Fatal Python error: Aborted\n") is None
