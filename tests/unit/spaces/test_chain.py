"""The space of chains: its texts, its canonical forms, and how its decisions depend on each other."""

import itertools

import numpy as np
import pytest

from nasbench_lab.drawing import draw
from nasbench_lab.errors import InvalidArchitectureError, UnsuitedError
from nasbench_lab.predictors.graphs import check_graphs
from nasbench_lab.spaces import get_space
from nasbench_lab.testing import SyntheticBenchmark, check_benchmark

SPACE = get_space("chain")
REST = "dropout=0.2 adam lr=0.01 batch=64 decay=0.0001"
TEXT = f"conv3-16+max+conv5-32+dense-64 gelu norm {REST}"


@pytest.fixture(scope="module")
def many():
    return SPACE.sample(np.random.default_rng(0), 2_000)


def test_its_size_is_that_of_all_combinations():
    convolutions = 2 * 3
    blocks = (convolutions + 2) * (convolutions + 2 + 1) ** 3
    dense = 1 + 3 + 3 * 3
    assert SPACE.size == blocks * dense * 4 * 2 * 3 * 2 * 6 * 3 * 4
    assert get_space("chain-signals").size == SPACE.size


def test_strings_round_trip(many):
    texts = SPACE.to_string(many)
    assert len(set(texts)) == len(np.unique(many, axis=0))
    assert (SPACE.from_string(texts) == many).all()
    assert SPACE.to_string(SPACE.from_string(TEXT)) == TEXT
    assert SPACE.options(SPACE.from_string(TEXT)) == {
        **{"block 1": "convolution", "kernel 1": 3, "filters 1": 16, "block 2": "max pooling"},
        **{"block 3": "convolution", "kernel 3": 5, "filters 3": 32, "block 4": "nothing"},
        **{"dense layers": 1, "units 1": 64, "activation": "gelu", "batch normalisation": "yes"},
        **{"dropout": 0.2, "optimiser": "adam", "learning rate": 0.01, "batch size": 64},
        "weight decay": 0.0001,
    }


def test_numbers_in_texts_match_by_value():
    other = f"conv3-16+max+conv5-32+none+dense-64  gelu norm\n{REST.replace('0.0001', '1e-4')}"
    assert SPACE.from_string(other) == SPACE.from_string(TEXT)


def test_blocks_of_nothing_move_out():
    layers = ("conv3-16", "max", "conv5-32")
    for places in itertools.combinations(range(1, 4), 2):
        blocks = [layers[0], "none", "none", "none"]
        for place, layer in zip(places, layers[1:], strict=True):
            blocks[place] = layer
        text = f"{'+'.join(blocks)}+dense-64 gelu norm {REST}"
        assert SPACE.to_string(SPACE.canonical(SPACE.from_string(text))) == TEXT
    other = TEXT.replace("conv3-16+max", "max+conv3-16")
    assert SPACE.to_string(SPACE.canonical(SPACE.from_string(other))) == other


def test_what_has_no_effect_is_the_same_in_the_canonical_form():
    linear = [f"max+none+avg {a}{n} {REST}" for a in ("relu", "tanh") for n in ("", " norm")]
    found = {SPACE.canonical(SPACE.from_string(text)) for text in linear}
    assert [*map(SPACE.to_string, found)] == [f"max+avg relu {REST}"]
    for kept in (f"max+dense-32 tanh {REST}", f"conv3-8 tanh norm {REST}"):
        assert SPACE.to_string(SPACE.canonical(SPACE.from_string(kept))) == kept


def test_one_and_many_agree(many):
    canonical = SPACE.canonical(many)
    assert (SPACE.canonical(canonical) == canonical).all()
    assert [SPACE.canonical(tuple(a)) for a in many[:200].tolist()] == [
        tuple(a) for a in canonical[:200].tolist()
    ]
    assert (SPACE.at(SPACE.index(canonical)) == canonical).all()
    assert 0 < (canonical != many).any(axis=1).sum() < len(many)


def test_changes_are_real_and_keep_to_the_conditions(many):
    changed = SPACE.mutate(many, np.random.default_rng(1))
    assert (changed != many).any(axis=1).all()
    SPACE.index(changed)  # which refuses what is of no architecture
    neighbours = SPACE.neighbours(SPACE.from_string(TEXT))
    assert len(set(neighbours)) == len(neighbours)
    shrunk = SPACE.from_string(TEXT.replace("+dense-64", ""))
    assert shrunk in neighbours


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expected conv3-16"),
        (TEXT.replace("conv3-16", "none"), "Expected an option for 'block 1'"),
        (TEXT.replace("conv3-16", "conv4-16"), "for 'kernel 1' of 'chain' but got '4'"),
        (TEXT.replace("conv3-16", "conv3-17"), "for 'filters 1' of 'chain' but got '17'"),
        (TEXT.replace("max", "dense-64"), "and then dense layers"),
        (TEXT.replace("max", "fc"), "got 'fc'"),
        (TEXT.replace("max", "max+max+max"), "1 to 4 blocks.* but got 5"),
        (
            TEXT.replace("64 gelu", "64+dense-64+dense-64 gelu"),
            "0 to 2 dense layers but got 3 and 3",
        ),
        (TEXT.replace("gelu", "swish"), "for 'activation' of 'chain' but got 'swish'"),
        (TEXT.replace("adam", "lion"), "options are sgd, adam"),
        (TEXT.replace("lr=0.01", "lr=0.02"), "for 'learning rate' of 'chain' but got '0.02'"),
        (f"dense-64 gelu {REST}", "1 to 4 blocks.* but got 0"),
    ],
)
def test_texts_of_no_chain_are_refused(text, words):
    with pytest.raises(InvalidArchitectureError, match=words):
        SPACE.from_string(text)


@pytest.mark.parametrize("name", ["chain", "chain-signals"])
def test_contract(name):
    check_benchmark(SyntheticBenchmark(get_space(name)), n=10)


def test_a_chain_is_drawn_with_what_is_decided_besides():
    drawing = draw(TEXT.replace("+max", "+none+max"))
    assert drawing.space == SPACE  # the first of the two that have it
    assert repr(draw(TEXT)) == f"<Drawing of {TEXT} of chain: 6 nodes, 5 edges>"
    assert drawing.describe() == (
        "A graph of 6 nodes. input to node 1 (conv3-16); node 1 (conv3-16) to node 2 (max); node 2 "
        "(max) to node 3 (conv5-32); node 3 (conv5-32) to node 4 (dense-64); node 4 (dense-64) to "
        "output. activation: gelu, batch normalisation: yes, dropout: 0.2, optimiser: adam, learning "
        "rate: 0.01, batch size: 64, weight decay: 0.0001."
    )
    assert draw(TEXT).describe() == drawing.describe()
    with_other_rate = draw(TEXT.replace("lr=0.01", "lr=0.1"))
    assert with_other_rate.size[1] == drawing.size[1] > 11 * 20  # five layers, and a line for each
    assert with_other_rate.svg() != drawing.svg()
    assert draw(TEXT.replace("conv5-32", "conv5-64")).space.name == "chain-signals"


def test_what_sees_graphs_only_refuses_chains():
    with pytest.raises(UnsuitedError, match=r"'chain' have activation, .*decay besides\. Take a"):
        check_graphs(SPACE)
    check_graphs(get_space("nb201"))
