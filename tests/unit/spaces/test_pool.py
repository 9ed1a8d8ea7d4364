"""Spaces of measured architectures only, by brute force over all their members."""

import itertools
import pickle

import numpy as np
import pytest
from scipy.stats import chisquare

from nasbench_lab.errors import InvalidArchitectureError
from nasbench_lab.spaces import Decision, PoolSpace, SearchSpace, get_space

P_MIN = 0.001  # seeds are fixed; a sound generator fails one seed in a thousand

PRODUCT = SearchSpace(
    "networks",
    [
        Decision("layers", (1, 2, 3, 4), ordered=True),
        Decision("width", (16, 32, 64, 128, 256), ordered=True),
        Decision("activation", ("relu", "tanh", "gelu")),
        Decision("only", ("one",)),
        Decision("rate", (0.1, 0.01, 0.001), ordered=True),
    ],
)
CONDITIONAL = SearchSpace(
    "layers",
    [
        Decision("layers", (1, 2, 3), ordered=True),
        Decision("operation", ("conv", "pool")),
        Decision("kernel", (1, 3, 5), ordered=True, active_if={"operation": "conv"}),
        *(
            Decision(f"width {i}", (8, 16, 32), ordered=True, active_if={"layers": range(i, 4)})
            for i in (1, 2, 3)
        ),
        Decision("rate", (0.1, 0.01, 0.001), ordered=True),
    ],
)
BASES = {
    "product": PRODUCT,
    "conditional": CONDITIONAL,
    "nb201": get_space("nb201"),
    "nas-bench-graph-proteins": get_space("nas-bench-graph-proteins"),
    "nb101": get_space("nb101"),
}


class Made:
    """A pool over a space, and what brute force says of it."""

    def __init__(self, base, n, canonical, seed=1):
        drawn = base.sample(np.random.default_rng(seed), n)
        self.given = base.canonical(drawn) if canonical else drawn
        self.base, self.pool = base, PoolSpace(base, self.given)
        self.members = sorted(set(map(tuple, self.given.tolist())), key=base.index)
        self.first = {}
        for member in self.members:
            self.first.setdefault(base.canonical(member), member)

    def stands_for(self, architecture):
        """The member that is an architecture of the space, or is isomorphic to it."""
        if architecture in self.members:
            return architecture
        return self.first.get(self.base.canonical(architecture))

    def steps(self, options, member):
        decisions = self.base.decisions
        return sum(
            abs(a - b) for a, b, d in zip(options, member, decisions, strict=True) if d.ordered
        )

    def differing(self, one, other):
        exist = self.base.active(np.array([one, other])).all(axis=0).tolist()
        return sum(a != b for a, b, both in zip(one, other, exist, strict=True) if both)

    def nearest(self, options):
        """All members that are equally near to options that no member stands for."""
        near = least(self.members, lambda member: self.differing(options, member))
        return least(near, lambda member: self.steps(options, member))

    def ends(self, start, changed):
        """All members that are equally fit to be where a change leads."""
        there = self.stands_for(changed)
        if there not in (None, start):
            return [there]
        others = [member for member in self.members if member != start]
        near = least(others, lambda member: self.differing(changed, member))
        near = least(near, lambda member: self.differing(start, member))
        return least(near, lambda member: self.steps(changed, member))


def least(members, key):
    keys = list(map(key, members))
    return [member for member, k in zip(members, keys, strict=True) if k == min(keys)]


@pytest.fixture(scope="module", params=itertools.product(BASES, (True, False)), ids=str)
def made(request):
    """Sparse enough that few members have measured neighbours."""
    name, canonical = request.param
    return Made(BASES[name], 40 if name in ("product", "conditional") else 150, canonical)


def test_members_are_numbered_in_the_order_of_the_space(made):
    pool, members = made.pool, made.members
    assert pool.size == len(members) < made.base.size
    assert [pool.at(i) for i in range(pool.size)] == members
    assert [pool.index(member) for member in members] == list(range(pool.size))
    every = np.array(members)
    assert (pool.at(np.arange(pool.size)) == every).all()
    assert (pool.index(every) == np.arange(pool.size)).all()
    assert [pool.validate(member) for member in members] == members
    assert type(pool.index(members[0])) is int
    assert (pool.decisions, pool.n_options) == (made.base.decisions, made.base.n_options)


def test_what_was_not_measured_is_refused(made):
    others = made.base.sample(np.random.default_rng(2), 200)
    absent = [a for a in map(tuple, others.tolist()) if a not in made.members]
    assert absent
    for architecture in absent[:20]:
        words = f"Expected one of the {made.pool.size:,} measured architectures of "
        for refuses in (made.pool.validate, made.pool.index, made.pool.neighbours):
            with pytest.raises(InvalidArchitectureError, match=words):
                refuses(architecture)
    with pytest.raises(InvalidArchitectureError, match="measured architectures"):
        made.pool.index(np.array([made.members[0], absent[0]]))
    for number in (-1, made.pool.size):
        with pytest.raises(InvalidArchitectureError, match=f"got {number}"):
            made.pool.at(number)
        with pytest.raises(InvalidArchitectureError, match=f"got {number}"):
            made.pool.at(np.array([0, number]))
    with pytest.raises(InvalidArchitectureError):
        made.pool.validate((99, *made.members[0][1:]))


def test_neighbours_are_where_the_changes_of_the_space_end(made):
    aside = 0
    for member in made.members[:: max(3, len(made.members) // 12)]:
        near = made.pool.neighbours(member)
        (many,) = made.pool.neighbours(np.array([member])).tolist()
        assert list(map(tuple, many)) == near == sorted(set(near), key=made.base.index)
        assert member not in near
        possible = [made.ends(member, one) for one in made.base.neighbours(member)]
        assert all(set(ends) & set(near) for ends in possible)
        assert set(near) <= set(itertools.chain(*possible))
        aside += sum(len(ends) > 1 for ends in possible)
    assert aside  # ends of which any may be chosen


def test_neighbours_of_many_need_equal_numbers_of_them(made):
    near = [made.pool.neighbours(member) for member in made.members]
    counts = list(map(len, near))
    assert len(set(counts)) > 1
    with pytest.raises(InvalidArchitectureError, match=f"got {min(counts)} to {max(counts)}"):
        made.pool.neighbours(np.array(made.members))
    some = [i for i, n in enumerate(counts) if n == counts[0]]
    listed = made.pool.neighbours(np.array(made.members)[some])
    assert listed.shape == (len(some), counts[0], len(made.members[0]))
    assert [list(map(tuple, lines)) for lines in listed.tolist()] == [near[i] for i in some]


def test_moves_in_large_pools_are_the_same(made, monkeypatch):
    every = np.array(made.members)
    small = made.pool.mutate(every, np.random.default_rng(8))
    near = [made.pool.neighbours(member) for member in made.members[:20]]
    monkeypatch.setattr("nasbench_lab.spaces.pool.FEW", 0)
    pool = PoolSpace(made.base, made.given)
    assert (pool.mutate(every, np.random.default_rng(8)) == small).all()
    assert [pool.neighbours(member) for member in made.members[:20]] == near


def test_samples_are_uniform(made):
    rng, n = np.random.default_rng(3), 20_000
    many = made.pool.index(made.pool.sample(rng, n))
    single = np.array([made.pool.index(made.pool.sample(rng)) for _ in range(n)])
    for drawn in (many, single):
        assert chisquare(np.bincount(drawn, minlength=made.pool.size)).pvalue > P_MIN


def test_mutations_are_those_of_the_space_with_their_ends(made):
    rng, again = np.random.default_rng(4), np.random.default_rng(4)
    many = np.array(made.members)
    mutants = list(map(tuple, made.pool.mutate(many, rng).tolist()))
    changed = map(tuple, made.base.mutate(many, again).tolist())
    for start, mutant, change in zip(map(tuple, many.tolist()), mutants, changed, strict=True):
        assert mutant in made.ends(start, change)
    for start in made.members:
        mutant, change = made.pool.mutate(start, rng), made.base.mutate(start, again)
        assert mutant in made.ends(start, change)
    assert rng.random() == again.random()
    if made.base is PRODUCT:
        many = np.array(made.members)
        near, changed = made.pool.mutate(many, rng, 0.1), made.base.mutate(many, again, 0.1)
        pairs = zip(many.tolist(), near.tolist(), changed.tolist(), strict=True)
        assert all(tuple(m) in made.ends(tuple(a), tuple(c)) for a, m, c in pairs)


def test_mutants_are_as_likely_as_the_changes_that_end_at_them():
    made = Made(PRODUCT, 40, True)
    rng, n = np.random.default_rng(5), 2000
    free = [i for i, options in enumerate(PRODUCT.n_options) if options > 1]
    for start in made.members[::8]:
        expected = dict.fromkeys(made.pool.neighbours(start), 0.0)
        for change in PRODUCT.neighbours(start):
            (i,) = (i for i in free if change[i] != start[i])
            end = made.pool._member(made.pool._closest(change, made.pool.index(start)))
            expected[end] += n / len(free) / (PRODUCT.n_options[i] - 1)
        many = made.pool.mutate(np.array([start] * n), rng).tolist()
        for drawn in (map(tuple, many), (made.pool.mutate(start, rng) for _ in range(n))):
            counts = dict.fromkeys(expected, 0)
            for mutant in drawn:
                counts[mutant] += 1
            chances = [expected[end] for end in counts]
            assert len(counts) == 1 or chisquare(list(counts.values()), chances).pvalue > P_MIN


def test_of_a_space_that_was_measured_whole_the_moves_are_those_of_the_space():
    every = PRODUCT.at(np.arange(PRODUCT.size))
    pool = PoolSpace(PRODUCT, every)
    assert [set(pool.neighbours(a)) for a in map(tuple, every.tolist())] == [
        set(PRODUCT.neighbours(a)) for a in map(tuple, every.tolist())
    ]
    rng, again = np.random.default_rng(6), np.random.default_rng(6)
    assert (pool.mutate(every, rng) == PRODUCT.mutate(every, again)).all()
    assert [pool.nearest(a) for a in every.tolist()] == list(map(tuple, every.tolist()))


def test_moves_do_not_go_to_and_fro_between_a_few():
    # 5 % of a space, in which most members have one or two measured ones a single change away.
    space = SearchSpace("large", [Decision(f"decision {i}", range(3)) for i in range(9)])
    drawn = np.random.default_rng(0).choice(space.size, space.size // 20, replace=False)
    pool, rng = PoolSpace(space, space.at(drawn)), np.random.default_rng(1)
    for start in map(tuple, pool.sample(rng, 5).tolist()):
        visited = [start]
        while len(visited) < 300:
            visited.append(pool.mutate(visited[-1], rng))
        assert len(set(visited)) > 150


def test_options_stand_for_the_nearest_member(made):
    rng = np.random.default_rng(5)
    several = 0
    for options in rng.integers(made.base.n_options, size=(100, len(made.base.n_options))).tolist():
        found = made.pool.nearest(options)
        assert found == made.pool.nearest(tuple(options))
        try:  # as the space completes them
            options = list(made.base.nearest(options))
            exact = made.stands_for(tuple(options))
        except InvalidArchitectureError:  # they are no architecture of the space
            exact = None
        near = [exact] if exact else made.nearest(options)
        assert found in near
        several += len(near) > 1 and found != near[0]
    assert several  # not always the first
    for member in made.members:
        assert made.pool.nearest(member) == member
    with pytest.raises(InvalidArchitectureError, match=r"option from 0 to|whole option numbers"):
        made.pool.nearest([99] * len(made.base.n_options))


def test_isomorphic_members_have_one_canonical_form(made):
    for member in made.members:
        expected = made.first[made.base.canonical(member)]
        assert made.pool.canonical(member) == expected
    every = np.array(made.members)
    canonical = list(map(tuple, made.pool.canonical(every).tolist()))
    assert canonical == [made.pool.canonical(member) for member in made.members]
    classes = list(map(tuple, made.pool.classes.tolist()))
    assert classes == sorted(set(canonical), key=made.base.index)
    for one in map(tuple, made.base.sample(np.random.default_rng(6), 300).tolist()):
        if made.stands_for(one) is None:
            with pytest.raises(InvalidArchitectureError, match="measured architectures"):
                made.pool.canonical(one)
        else:
            assert made.pool.canonical(one) == made.first[made.base.canonical(one)]


def test_texts_encodings_and_drawings_are_those_of_the_space(made):
    pool, base, member = made.pool, made.base, made.members[3]
    every = np.array(made.members)
    assert pool.encodings == base.encodings
    for encoding in base.encodings:
        assert (pool.encode(every, encoding) == base.encode(every, encoding)).all()
    assert pool.to_string(member) == base.to_string(member)
    assert pool.to_string(every) == base.to_string(every)
    assert pool.from_string(base.to_string(member)) == member
    assert (pool.from_string(base.to_string(every)) == every).all()
    assert pool.graph(member) == base.graph(member)
    assert (pool.active(every) == base.active(every)).all()


def test_it_is_equal_by_space_and_members_and_pickles_small(made):
    pool = made.pool
    shuffled = np.random.default_rng(7).permutation(np.concatenate([made.given, made.given[:5]]))
    assert pool == PoolSpace(made.base, shuffled)
    assert hash(pool) == hash(PoolSpace(made.base, shuffled))
    assert pool != PoolSpace(made.base, np.array(made.members[1:]))
    assert pool not in (made.base, None)
    assert made.base != pool
    pool.neighbours(made.members[0])
    pool.nearest(made.members[0])
    text = pickle.dumps(pool)
    assert len(text) < 8 * pool.size + 1000 + len(pickle.dumps(made.base))
    copy = pickle.loads(text)
    assert copy == pool
    assert copy.neighbours(made.members[0]) == pool.neighbours(made.members[0])


def test_a_pool_of_one_moves_nowhere():
    member = (1, 2, 0, 0, 1)
    pool, rng = PoolSpace(PRODUCT, np.array([member])), np.random.default_rng(0)
    assert (pool.size, pool.sample(rng), pool.mutate(member, rng)) == (1, member, member)
    assert pool.neighbours(member) == []
    assert pool.neighbours(np.array([member])).shape == (1, 0, 5)
    assert pool.mutate(np.array([member]), rng).tolist() == [list(member)]
    assert pool.nearest((3, 4, 2, 0, 2)) == member


def test_a_pool_needs_members_of_its_space():
    with pytest.raises(ValueError, match="at least one architecture of 'networks'"):
        PoolSpace(PRODUCT, np.empty((0, 5), dtype=np.int64))
    with pytest.raises(InvalidArchitectureError, match="option from 0 to 3"):
        PoolSpace(PRODUCT, np.array([[4, 0, 0, 0, 0]]))


def test_two_members_far_apart_are_neighbours():
    one, other = (0, 0, 0, 0, 0), (3, 4, 2, 0, 2)
    pool = PoolSpace(PRODUCT, np.array([one, other]))
    assert pool.neighbours(one) == [other]
    assert pool.mutate(other, np.random.default_rng(0)) == one


def test_of_equally_many_differing_decisions_fewer_ordered_steps_are_nearer():
    pool = PoolSpace(PRODUCT, np.array([(0, 0, 0, 0, 0), (0, 4, 0, 0, 0)]))
    assert pool.nearest((0, 1, 0, 0, 0)) == (0, 0, 0, 0, 0)
    assert pool.nearest((0, 3, 0, 0, 0)) == (0, 4, 0, 0, 0)
