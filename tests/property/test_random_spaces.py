"""What holds in every product space, and for every text that a space is asked to read."""

import itertools
import math
import pickle
import string

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from nasbench_lab.errors import InvalidArchitectureError, SpaceError
from nasbench_lab.spaces import SPACES, Decision, SearchSpace, get_space

texts = st.text(string.ascii_letters + string.digits + "_-.", min_size=1, max_size=4)
numbers = st.integers(-1_000, 1_000) | st.floats(allow_nan=False)
options = st.lists(texts | numbers, min_size=1, max_size=6, unique_by=str).map(tuple)
decisions = st.builds(Decision, name=texts, options=options, ordered=st.booleans())
spaces = st.builds(SearchSpace, texts, st.lists(decisions, min_size=1, max_size=7))
seeds = st.integers(0, 2**32 - 1)


@st.composite
def spaces_with_architectures(draw):
    """A space, and a few of its architectures as an array."""
    space = draw(spaces)
    one = st.tuples(*(st.integers(0, n - 1) for n in space.n_options))
    return space, np.array(draw(st.lists(one, min_size=1, max_size=5)), dtype=np.int64)


@st.composite
def conditional_spaces(draw):
    """A space of a few decisions, some with conditions on earlier ones."""
    made = []
    for i in range(draw(st.integers(2, 5))):
        conditions = {}
        for earlier in draw(st.sets(st.sampled_from(made), max_size=2)) if made else ():
            chosen = st.sets(st.sampled_from(earlier.options), min_size=1)
            conditions[earlier.name] = tuple(draw(chosen))
        count = draw(st.integers(1, 3))
        made.append(Decision(f"d{i}", tuple(range(count)), active_if=conditions))
    assume(any(decision.active_if for decision in made))
    try:
        return SearchSpace("conditional", made)
    except SpaceError:  # a decision of it can never exist
        reject()


@given(conditional_spaces(), seeds)
def test_conditional_spaces_are_what_brute_force_finds(space, seed):
    names = [decision.name for decision in space.decisions]
    found = set()
    for options in itertools.product(*map(range, space.n_options)):
        architecture = []
        exists = {}
        for decision, option in zip(space.decisions, options, strict=True):
            exists[decision.name] = all(
                exists[on] and options[names.index(on)] in allowed
                for on, allowed in decision.active_if
            )
            architecture.append(option if exists[decision.name] else 0)
        assert space.nearest(options) == tuple(architecture)
        assert space.active(np.array([options]))[0].tolist() == list(exists.values())
        found.add(tuple(architecture))
    every = space.at(np.arange(space.size))
    assert space.size == len(found)
    assert set(tuples(every)) == found
    assert (space.index(every) == np.arange(space.size)).all()
    assert (space.from_string(space.to_string(every)) == every).all()
    rng = np.random.default_rng(seed)
    assert set(tuples(space.sample(rng, 20))) <= found
    for parent in tuples(every[:20]):
        mutants = [space.mutate(parent, rng), *tuples(space.mutate(np.array([parent] * 5), rng))]
        assert set(mutants) <= set(space.neighbours(parent) or [parent])
        assert all(parent in space.neighbours(other) for other in space.neighbours(parent))


def tuples(architectures):
    return [tuple(a) for a in architectures.tolist()]


@given(spaces_with_architectures())
def test_index_and_at_are_inverse(case):
    space, many = case
    numbers = space.index(many)
    assert numbers.tolist() == [space.index(a) for a in tuples(many)]
    assert ((numbers >= 0) & (numbers < space.size)).all()
    assert (space.at(numbers) == many).all()
    assert [space.at(i) for i in numbers] == tuples(many)


@given(spaces_with_architectures())
def test_strings_round_trip(case):
    space, many = case
    written = space.to_string(many)
    assert written == [space.to_string(a) for a in tuples(many)]
    assert (space.from_string(written) == many).all()
    assert [space.from_string(text) for text in written] == tuples(many)


@given(spaces_with_architectures())
def test_one_hot_decodes_back(case):
    space, many = case
    encoded = space.encode(many)
    assert (np.array([space.encode(a) for a in tuples(many)]) == encoded).all()
    blocks = np.split(encoded, np.cumsum(space.n_options)[:-1], axis=1)
    assert all((block.sum(axis=1) == 1).all() for block in blocks)
    assert (np.stack([block.argmax(axis=1) for block in blocks], axis=1) == many).all()


@given(spaces_with_architectures())
def test_no_two_architectures_of_a_product_are_isomorphic(case):
    space, many = case
    assert (space.canonical(many) == many).all()
    assert [space.canonical(a) for a in tuples(many)] == tuples(many)


@given(spaces_with_architectures(), seeds)
def test_mutation_changes_exactly_one_decision(case, seed):
    space, many = case
    rng, before = np.random.default_rng(seed), many.copy()
    changes = 1 if space.size > 1 else 0
    mutants = space.mutate(many, rng)
    assert ((mutants != many).sum(axis=1) == changes).all()
    assert (many == before).all()
    for parent, mutant in zip(tuples(many), tuples(mutants), strict=True):
        assert space.validate(mutant) == mutant
        one = space.mutate(parent, rng)
        assert space.validate(one) == one
        assert sum(a != b for a, b in zip(parent, one, strict=True)) == changes


@given(spaces_with_architectures())
def test_neighbours_are_all_that_differ_in_one_decision(case):
    space, many = case
    listed = space.neighbours(many)
    for parent, neighbours in zip(tuples(many), listed, strict=True):
        assert space.neighbours(parent) == tuples(neighbours)
        expected = {
            (*parent[:i], option, *parent[i + 1 :])
            for i, n in enumerate(space.n_options)
            for option in range(n)
            if option != parent[i]
        }
        assert len(neighbours) == len(expected)
        assert set(tuples(neighbours)) == expected


@given(spaces, seeds)
def test_samples_are_of_the_space(space, seed):
    rng = np.random.default_rng(seed)
    assert space.sample(rng, 0).shape == (0, len(space.decisions))
    for a in [*tuples(space.sample(rng, 20)), *(space.sample(rng) for _ in range(20))]:
        assert space.validate(a) == a


@given(spaces_with_architectures(), st.data())
def test_options_out_of_range_are_refused(case, data):
    space, many = case
    i = data.draw(st.integers(0, len(space.decisions) - 1))
    n = space.n_options[i]
    option = data.draw(st.integers(-(2**40), -1) | st.integers(n, 2**40))
    many[-1, i] = option
    wrong = tuples(many)[-1]
    for call in (space.validate, space.index, space.to_string, space.neighbours, space.encode):
        with pytest.raises(InvalidArchitectureError, match=f"from 0 to {n - 1} .*got {option};"):
            call(wrong)
    for call in (space.index, space.to_string, space.neighbours, space.encode):
        with pytest.raises(InvalidArchitectureError, match=f"from 0 to {n - 1} .*got {option};"):
            call(many)


@given(spaces_with_architectures(), st.integers(0, 9))
def test_architectures_of_a_wrong_length_are_refused(case, length):
    space, many = case
    d = len(space.decisions)
    assume(length != d)
    with pytest.raises(InvalidArchitectureError, match=rf"{d} decisions? .* but got {length}"):
        space.validate((0,) * length)
    with pytest.raises(InvalidArchitectureError, match=rf"shape \(n, {d}\)"):
        space.index(np.zeros((len(many), length), dtype=np.int64))


@given(spaces_with_architectures())
def test_spaces_survive_pickling(case):
    space, many = case
    space.index(many)  # fills what is kept
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert hash(copy) == hash(space)
    assert copy.size == math.prod(space.n_options)
    assert (copy.index(many) == space.index(many)).all()
    assert (copy.encode(many) == space.encode(many)).all()


@pytest.mark.parametrize("name", SPACES)
@given(data=st.data())
def test_reading_a_damaged_string_gives_an_architecture_or_a_refusal(name, data):
    space = get_space(name)
    text = space.to_string(space.sample(np.random.default_rng(data.draw(seeds))))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 4)))
    text = text[:start] + data.draw(st.text("0123|+~[],'\" nogc\n", max_size=3)) + text[stop:]
    try:
        architecture = space.from_string(text)
    except InvalidArchitectureError:
        pass  # and no other error
    else:
        assert space.from_string(space.to_string(architecture)) == architecture


@pytest.mark.parametrize("name", SPACES)
@given(text=st.text())
def test_reading_any_text_is_refused(name, text):
    with pytest.raises(InvalidArchitectureError, match="Expected"):
        get_space(name).from_string(text)
