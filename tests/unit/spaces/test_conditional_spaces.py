"""Spaces with decisions that exist only under conditions, by brute force over all combinations."""

import itertools
import math
import pickle
from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import chisquare

from nasbench_lab.errors import InvalidArchitectureError, SpaceError
from nasbench_lab.spaces import Decision, SearchSpace
from nasbench_lab.spaces.conditions import MOST_NEIGHBOURS

P_MIN = 0.001  # seeds are fixed; a sound generator fails one seed in a thousand

SPACES = {
    "layers": SearchSpace(
        "layers",
        [
            Decision("layers", (1, 2, 3), ordered=True),
            *(
                Decision(
                    f"width {i}", (16, 32, 64), ordered=True, active_if={"layers": range(i, 4)}
                )
                for i in (1, 2, 3)
            ),
            Decision("rate", (0.1, 0.01, 0.001), ordered=True),
        ],
    ),
    "nested": SearchSpace(
        "nested",
        [
            Decision("kind", ("conv", "mlp", "none")),
            Decision("kernel", (1, 3, 5), active_if={"kind": "conv"}),
            Decision("dilation", (1, 2), active_if={"kernel": [3, 5]}),
            Decision("padding", ("same", "valid"), active_if={"dilation": 2}),
            Decision("bias", (True, False), active_if={"kind": ["conv", "mlp"]}),
        ],
    ),
    "two conditions": SearchSpace(
        "two conditions",
        [
            Decision("a", ("x", "y", "z")),
            Decision("b", ("u", "v")),
            Decision("only", ("one",), active_if={"b": "u"}),
            Decision("c", (1, 2, 3), active_if={"a": ("x", "z"), "b": "v"}),
            Decision("d", (1, 2), active_if=[("a", ["x", "y"]), ("a", ["y", "z"])]),
            Decision("e", ("p", "q", "r"), active_if={"only": "one", "a": "z"}),
        ],
    ),
    "switches first": SearchSpace(
        "switches first",
        [
            *(Decision(f"drop {i}", ("no", "yes")) for i in range(4)),
            *(
                Decision(f"share {i}", (0.1, 0.2, 0.5), active_if={f"drop {i}": "yes"})
                for i in range(4)
            ),
        ],
    ),
    "one root": SearchSpace(
        "one root",
        [
            Decision("only", ("one",)),
            Decision("more", ("a", "b"), active_if={"only": "one"}),
            Decision("last", ("c", "d"), active_if={"more": "b"}),
        ],
    ),
}
SIZES = {"layers": 3 * (3 + 9 + 27), "nested": 2 * (1 + 2 * (1 + 2)) + 2 + 1, "one root": 3}


def existing(space, options):
    """Which decisions exist, straight from what ``active_if`` means."""
    exists = {}
    for decision in space.decisions:
        exists[decision.name] = all(
            exists[name]
            and space.decisions[[d.name for d in space.decisions].index(name)].options[
                options[[d.name for d in space.decisions].index(name)]
            ]
            in allowed
            for name, allowed in decision.active_if
        )
    return list(exists.values())


def blanked(space, options):
    return tuple(o if e else 0 for o, e in zip(options, existing(space, options), strict=True))


@pytest.fixture(scope="module", params=SPACES)
def space(request):
    return SPACES[request.param]


@pytest.fixture(scope="module")
def combinations(space):
    return list(itertools.product(*map(range, space.n_options)))


@pytest.fixture(scope="module")
def distinct(space, combinations):
    """All architectures, by brute force."""
    return sorted({blanked(space, options) for options in combinations})


@pytest.fixture(scope="module")
def every(space):
    return space.at(np.arange(space.size))


def tuples(architectures):
    return list(map(tuple, architectures.tolist()))


def completions(space, parent):
    """What a change leads to, with its chance."""
    before = existing(space, parent)
    free = [i for i, n in enumerate(space.n_options) if n > 1 and before[i]]
    chances = defaultdict(float)
    for i in free:
        for option in set(range(space.n_options[i])) - {parent[i]}:
            base = (*parent[:i], option, *parent[i + 1 :])
            new = [j for j, here in enumerate(before) if not here]
            for drawn in itertools.product(*(range(space.n_options[j]) for j in new)):
                options = list(base)
                for j, o in zip(new, drawn, strict=True):
                    options[j] = o
                chances[blanked(space, options)] += 1 / (
                    len(free)
                    * (space.n_options[i] - 1)
                    * math.prod(space.n_options[j] for j in new)
                )
    return chances


# Membership and numbers


def test_the_size_counts_each_architecture_once(space, distinct):
    assert space.conditional
    assert space.size == len(distinct) == SIZES.get(space.name, len(distinct))


def test_numbers_are_those_of_all_architectures(space, distinct, every):
    assert sorted(tuples(every)) == distinct
    assert (space.index(every) == np.arange(space.size)).all()
    assert [space.index(a) for a in tuples(every)] == list(range(space.size))
    assert [space.at(i) for i in range(space.size)] == tuples(every)
    assert {type(o) for a in map(space.at, range(space.size)) for o in a} == {int}
    for wrong in (-1, space.size):
        with pytest.raises(InvalidArchitectureError, match="index from 0"):
            space.at(wrong)


def test_only_one_form_of_a_network_is_an_architecture(space, combinations, distinct):
    for options in combinations:
        assert space.nearest(options) == blanked(space, options)
        if blanked(space, options) == options:
            assert space.validate(options) == options
            continue
        name = next(
            d.name
            for d, o, e in zip(space.decisions, options, existing(space, options), strict=True)
            if o and not e
        )
        many = np.array([distinct[0], options])
        calls = [space.validate, space.index, space.to_string, space.neighbours, space.encode]
        for call, wrong in [*((call, options) for call in calls), *((c, many) for c in calls[1:3])]:
            with pytest.raises(InvalidArchitectureError, match=f"Expected 0 for {name!r} "):
                call(wrong)
        with pytest.raises(InvalidArchitectureError, match=f"Expected 0 for {name!r} "):
            space.mutate(many, np.random.default_rng(0))


def test_nearest_refuses_what_no_options_are(space):
    d = len(space.decisions)
    for wrong in ((0,) * (d - 1), (0,) * (d + 1), (9,) * d, (-1,) + (0,) * (d - 1)):
        with pytest.raises(InvalidArchitectureError, match="Expected"):
            space.nearest(wrong)


def test_active_says_which_decisions_exist(space, combinations):
    expected = [existing(space, options) for options in combinations]
    assert space.active(np.array(combinations)).tolist() == expected


def test_architectures_are_their_own_classes(space, every):
    assert (space.canonical(every) == every).all()
    assert [space.canonical(a) for a in tuples(every)] == tuples(every)
    assert (space.classes == every).all()


# Text and numbers


def test_strings_have_blanks_and_round_trip(space, every):
    texts = space.to_string(every)
    assert len(set(texts)) == space.size
    assert [space.to_string(a) for a in tuples(every)] == texts
    assert (space.from_string(texts) == every).all()
    for text, architecture in zip(texts, tuples(every), strict=True):
        assert [bool(part) for part in text.split(":")] == existing(space, architecture)


def test_strings_that_do_not_fit_the_conditions_are_refused():
    space = SPACES["layers"]
    assert space.from_string("2:16:32::1e-2") == (1, 0, 1, 0, 1)
    assert space.from_string(" 2.0:16:3.2e1: :0.010 ") == (1, 0, 1, 0, 1)
    with pytest.raises(
        InvalidArchitectureError, match=r"'width 2' .* but got a blank .*16, 32, 64"
    ):
        space.from_string("2:16:::0.01")
    with pytest.raises(
        InvalidArchitectureError,
        match=r"Expected a blank for 'width 3' .* exists only if layers is 3, but got '64'",
    ):
        space.from_string("2:16:32:64:0.01")
    with pytest.raises(InvalidArchitectureError, match=r"Expected 5 options .* but got 4"):
        space.from_string("2:16:32:0.01")


def test_encodings_are_zero_where_a_decision_does_not_exist(space, every):
    encoded = space.encode(every)
    assert (np.array([space.encode(a) for a in tuples(every)]) == encoded).all()
    blocks = np.split(encoded, np.cumsum(space.n_options)[:-1], axis=1)
    for i, block in enumerate(blocks):
        exists = np.array([existing(space, a)[i] for a in tuples(every)])
        assert (block.sum(axis=1) == exists).all()
        assert (block.argmax(axis=1) == every[:, i]).all()
    assert len(np.unique(encoded, axis=0)) == space.size
    assert space.graph(tuples(every)[0]) is None


# Moves


@pytest.mark.parametrize("many", [False, True])
def test_samples_are_uniform_over_all_architectures(space, many):
    rng, n = np.random.default_rng(1), 200 * space.size
    drawn = space.sample(rng, n) if many else np.array([space.sample(rng) for _ in range(n)])
    counts = np.bincount(space.index(drawn), minlength=space.size)
    assert chisquare(counts).pvalue > P_MIN
    assert space.sample(rng, 0).shape == (0, len(space.decisions))


@pytest.mark.parametrize("many", [False, True])
def test_mutation_has_the_chances_that_it_should(space, many, distinct):
    rng = np.random.default_rng(2)
    for parent in distinct[:: max(1, len(distinct) // 12)]:
        chances = completions(space, parent)
        n = 40 * len(chances)
        before = np.array([parent] * n)
        mutants = (
            space.mutate(before, rng)
            if many
            else np.array([space.mutate(parent, rng) for _ in range(n)])
        )
        assert (before == parent).all()
        assert parent not in set(tuples(mutants))
        numbers = np.array([space.index(a) for a in chances])
        counts = np.bincount(space.index(mutants), minlength=space.size)
        assert counts.sum() == counts[numbers].sum()
        assert sum(chances.values()) == pytest.approx(1)
        if len(chances) > 1:
            expected = n * np.array(list(chances.values()))
            assert chisquare(counts[numbers], expected).pvalue > P_MIN / 12
    assert space.mutate(before[:0], rng).shape == (0, len(space.decisions))


def test_neighbours_are_all_that_one_change_leads_to(space, distinct):
    lists = {a: space.neighbours(a) for a in distinct}
    for architecture, near in lists.items():
        assert len(set(near)) == len(near)
        assert set(near) == set(completions(space, architecture))
        assert all(architecture in lists[other] for other in near), "not both ways"
        assert tuples(space.neighbours(np.array([architecture]))[0]) == near
    if len(set(map(len, lists.values()))) > 1:
        with pytest.raises(
            InvalidArchitectureError, match=r"equal numbers of neighbours .*one at a"
        ):
            space.neighbours(np.array(distinct))
    assert space.neighbours(np.array(distinct)[:0]).shape == (0, 0, len(space.decisions))


def test_the_same_seed_gives_the_same_moves(space, every):
    def moves(seed):
        rng = np.random.default_rng(seed)
        one = [space.sample(rng) for _ in range(20)]
        return (
            one,
            [space.mutate(a, rng) for a in one],
            space.sample(rng, 20).tolist(),
            space.mutate(every, rng).tolist(),
        )

    assert moves(1) == moves(1)
    assert moves(1) != moves(2)


def test_a_space_of_one_architecture_stays_where_it_is():
    space = SearchSpace("one", [Decision("a", ("x",)), Decision("b", ("y",), active_if={"a": "x"})])
    rng = np.random.default_rng(0)
    assert space.size == 1
    assert space.mutate((0, 0), rng) == (0, 0)
    assert space.mutate(np.zeros((3, 2), dtype=np.int64), rng).tolist() == [[0, 0]] * 3
    assert space.neighbours((0, 0)) == []
    assert space.sample(rng) == (0, 0)


# Large spaces


def deep(layers):
    return SearchSpace(
        "deep",
        [
            Decision("layers", tuple(range(1, layers + 1)), ordered=True),
            *(
                Decision(f"width {i}", (8, 16, 32, 64), active_if={"layers": range(i, layers + 1)})
                for i in range(1, layers + 1)
            ),
        ],
    )


def test_spaces_of_any_size_are_counted_and_drawn():
    space = deep(100)
    assert space.size == sum(4**n for n in range(1, 101))
    rng = np.random.default_rng(3)
    many = space.sample(rng, 2_000)
    # Of all networks, three quarters have the most layers.
    assert abs((many[:, 0] == 99).mean() - 0.75) < 0.06  # 6 standard errors
    for a in [*tuples(many[:20]), space.sample(rng), space.mutate(space.at(0), rng)]:
        assert space.at(space.index(a)) == a
    assert space.validate(space.at(space.size - 1))[0] == 99
    with pytest.raises(OverflowError, match="too large to number"):
        space.index(many)
    with pytest.raises(InvalidArchitectureError, match=f"more than {MOST_NEIGHBOURS:,} neighbours"):
        space.neighbours(space.at(0))


def test_switches_and_all_that_hangs_on_them_may_be_far_apart():
    space = SearchSpace(
        "far apart",
        [
            *(Decision(f"use {i}", ("no", "yes")) for i in range(60)),
            *(Decision(f"how {i}", ("a", "b"), active_if={f"use {i}": "yes"}) for i in range(60)),
        ],
    )
    assert space.size == 3**60


def test_conditions_without_end_are_refused():
    switches = [Decision(f"use {i}", ("no", "yes")) for i in range(40)]
    last = Decision("last", ("a", "b"), active_if={f"use {i}": "yes" for i in range(40)})
    late = [
        Decision(f"how {i}", ("a", "b"), active_if={f"use {i}": "yes", "last": "a"})
        for i in range(40)
    ]
    with pytest.raises(SpaceError, match="depend on each other in more than"):
        SearchSpace("tangled", [*switches, last, *late])


def test_very_many_options_with_very_many_conditions_are_refused():
    many = Decision("many", tuple(range(50_000)))
    rest = [Decision(f"d{i}", ("a", "b"), active_if={"many": i}) for i in range(900)]
    with pytest.raises(SpaceError, match="depend on each other in more than"):
        SearchSpace("wide", [many, *rest])


# What makes no space


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (
            [("a", "xy", {"b": "u"}), ("b", "uv", {})],
            "earlier decision but got 'b', which comes lat",
        ),
        ([("a", "xy", {"a": "x"})], "earlier decision but got 'a', which comes later. .*are: none"),
        ([("a", "xy", {}), ("b", "uv", {"c": "x"})], "earlier decision but got 'c'.*are: a"),
        (
            [("a", "xy", {}), ("b", "uv", {"a": "z"})],
            "options of 'a' but got 'z'; options are x, y",
        ),
        ([("a", (1, 2), {}), ("b", "uv", {"a": [2, 3]})], "options of 'a' but got 3"),
        ([("a", "xy", {}), ("b", "uv", {"a": []})], "options of 'a' but got none"),
        ([("a", "xy", {}), ("a", "uv", {"a": "x"})], "Two decisions .* the name 'a'"),
        (
            [("a", "xy", {}), ("b", "uv", {"a": "x"}), ("c", "pq", {"a": "y", "b": "u"})],
            "'c' .* can never exist: its conditions a is y and b is u never hold together",
        ),
        ([("a", "xy", {}), ("b", ("u", " "), {"a": "x"})], "'b' .* has a blank option"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(decisions, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace("odd", [Decision(n, o, active_if=c) for n, o, c in decisions])


@pytest.mark.parametrize("active_if", [3, "layers", ["layers"], {3: "x"}, [("a", "b", "c")]])
def test_conditions_that_are_none_are_refused(active_if):
    with pytest.raises(SpaceError, match="mapping from names of decisions to options"):
        Decision("a", ("x", "y"), active_if=active_if)


@pytest.mark.parametrize("options", [(None,), ((1, 2),), (math.nan,), 3])
def test_options_that_are_none_are_refused(options):
    with pytest.raises(SpaceError, match="Expected texts or numbers as options of 'a'"):
        Decision("a", options)


def test_conditions_may_be_written_in_several_ways():
    one = Decision("b", ("u", "v"), active_if={"a": 3})
    assert one == Decision("b", ["u", "v"], active_if=(("a", (3,)),))
    assert one == Decision("b", np.array(["u", "v"]), active_if={"a": np.array([3])})
    assert hash(one) == hash(Decision("b", ("u", "v"), active_if={"a": [3.0]}))
    assert one.active_if == (("a", (3,)),)
    by_value = [Decision("a", (1, 3)), Decision("b", ("u", "v"), active_if={"a": "3.0"})]
    assert SearchSpace("s", by_value).size == 3


def test_equality_is_by_decisions(space):
    plain = SearchSpace(space.name, [Decision(d.name, d.options) for d in space.decisions])
    assert plain != space
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert hash(copy) == hash(space)
    assert copy.size == space.size
    assert (copy.index(copy.at(np.arange(copy.size))) == np.arange(copy.size)).all()


# Options by value


@pytest.mark.parametrize(
    ("text", "position"),
    [
        *(("0.0001", 0), ("1e-4", 0), ("1E-4", 0), ("0.00010", 0), (" 1.0e-04 ", 0), (1e-4, 0)),
        *(("3", 1), ("3.0", 1), ("+3", 1), (3.0, 1), (np.int64(3), 1), (np.float32(3), 1)),
        *(("adam", 2), ("Adam", None), ("True", 3), ("true", 3), (True, 3), (np.True_, 3)),
        *(("1", None), (1, None), ("", None), (None, None), (math.nan, None), ("1_0", None)),
        *((9007199254740993, 4), ("9007199254740993", 4), ("9007199254740992", None)),
    ],
)
def test_numbers_match_by_value(text, position):
    decision = Decision("mixed", (1e-4, 3, "adam", True, 9007199254740993))
    assert decision.position(text) == position


def test_equal_numbers_with_different_texts_match_by_text_only():
    decision = Decision("odd", (1, 1.0))
    assert [decision.position(text) for text in ("1", "1.0", "1.00")] == [0, 1, None]


@pytest.mark.parametrize("texts", [("a:b", "c"), ('a"b', '"'), ("a:", ":"), ("x\ny", " z ")])
def test_options_with_colons_and_quotation_marks_round_trip(texts):
    space = SearchSpace("signs", [Decision("one", texts), Decision("two", ("p", *texts))])
    every = space.at(np.arange(space.size))
    written = space.to_string(every)
    assert len(set(written)) == space.size
    assert (space.from_string(written) == every).all()
