"""Drawings: checked against the spaces' adjacency encodings, an XML parser, and geometry."""

import itertools
import re
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import nasbench_lab
from nasbench_lab.drawing.drawing import COLOURS, Drawing, draw
from nasbench_lab.drawing.layout import lay_out, used
from nasbench_lab.drawing.shapes import Box, Line
from nasbench_lab.errors import InvalidArchitectureError, UnknownNameError
from nasbench_lab.spaces import SPACES, Decision, Edge, Graph, SearchSpace, get_space

pytestmark = pytest.mark.long

SVG = "{http://www.w3.org/2000/svg}"
GRAPHS = ("nb201", "nb101", "nas-bench-graph", "nas-bench-graph-proteins")
NB201 = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"


def parsed(drawing):
    return ET.fromstring(drawing.svg())


def nodes(drawing, **wanted):
    found = parsed(drawing).findall(f".//{SVG}g[@data-node]")
    return {int(g.get("data-node")): g for g in found if matches(g, **wanted)}


def edges(drawing, **wanted):
    found = parsed(drawing).findall(f".//{SVG}g[@data-edge]")
    return {tuple(map(int, g.get("data-edge").split("-"))) for g in found if matches(g, **wanted)}


def matches(group, unused=None):
    return unused is None or (group.get("data-unused") is not None) == unused


def texts(drawing):
    return ["".join(text.itertext()) for text in parsed(drawing).iter(f"{SVG}text")]


def samples(name, n, seed=0):
    space = get_space(name)
    rng = np.random.default_rng(seed)
    return [draw(space.sample(rng), space) for _ in range(n)]


# What is drawn


def test_a_cell_of_nb201_has_its_edges_and_operations():
    drawing = draw(NB201)
    adjacency = drawing.space.encode(drawing.architecture, "adjacency")
    carrying = edges(drawing) - {(0, 2), (2, 3)}
    assert len(carrying) == adjacency.sum() == 4
    assert set(nodes(drawing)) == {0, 1, 2, 3}
    on_nodes = ["input", "1", "2", "output"]
    on_edges = re.findall(r"(\w+)~", NB201)
    assert sorted(texts(drawing)) == sorted(on_nodes + on_edges)


def test_what_is_on_no_way_from_input_to_output_of_nb201_is_greyed():
    drawing = draw(NB201)
    assert edges(drawing, unused=False) == {(0, 1), (1, 3), (0, 3)}
    assert set(nodes(drawing, unused=True)) == {2}


@pytest.mark.parametrize("name", ["nas-bench-graph", "nas-bench-graph-proteins"])
def test_all_wirings_of_nas_bench_graph_are_drawn(name):
    space = get_space(name)
    ends = list(itertools.combinations(range(6), 2))
    for wiring in range(9):
        drawing = draw((wiring, 0, 1, 2, 3), space)
        adjacency = space.encode(drawing.architecture, "adjacency")[:15]
        assert edges(drawing) == {e for e, there in zip(ends, adjacency, strict=True) if there}
        assert set(nodes(drawing)) == set(range(6))
        assert not nodes(drawing, unused=True)
        assert texts(drawing) == ["input", *space.operations[:4], "output"]


def test_cells_of_nb101_have_the_edges_of_their_matrix():
    space = get_space("nb101")
    ends = list(itertools.combinations(range(7), 2))
    for drawing in samples("nb101", 40):
        adjacency = space.encode(drawing.architecture, "adjacency")[:21]
        assert edges(drawing) == {e for e, there in zip(ends, adjacency, strict=True) if there}
        matrix, operations = space.to_matrix(drawing.architecture)
        live = edges(drawing, unused=False)
        assert len(live) == matrix.sum()
        assert len({end for edge in live for end in edge}) == len(operations)


def test_isomorphic_cells_of_nb101_have_one_picture_of_their_canonical_form():
    space = get_space("nb101")
    matrix = np.zeros((4, 4), dtype=int)
    matrix[0, 1] = matrix[0, 2] = matrix[1, 3] = matrix[2, 3] = 1
    names = ["input", "conv3x3-bn-relu", "maxpool3x3", "output"]
    one = space.from_matrix(matrix, names)
    other = space.from_matrix(matrix, [names[0], names[2], names[1], names[3]])
    assert draw(one, space).svg() != draw(other, space).svg()
    canonical = [draw(space.canonical(cell), space).svg() for cell in (one, other)]
    assert canonical[0] == canonical[1]


def test_the_canonical_form_of_nb101_has_nothing_unused():
    space = get_space("nb101")
    for drawing in samples("nb101", 10, seed=1):
        canonical = draw(space.canonical(drawing.architecture), space)
        assert not nodes(canonical, unused=True)
        assert not edges(canonical, unused=True)
        assert len(edges(canonical)) == len(edges(drawing, unused=False))


@pytest.mark.parametrize("option", range(5))
def test_cells_of_one_operation(option):
    drawing = draw((option,) * 6, "nb201")
    n_unused = 6 if option == 0 else 0
    assert len(edges(drawing, unused=True)) == n_unused
    assert set(nodes(drawing, unused=True)) == ({1, 2} if option == 0 else set())


def test_operations_have_colours_and_black_words_on_them():
    drawing = draw((1, 2, 3, 4, 1, 2), "nb201")
    filled = re.findall(r'fill="(#[0-9A-F]{6})"/><text [^>]*fill="#000"[^>]*>(\w+)', drawing.svg())
    assert set(filled) == set(
        zip(COLOURS, ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"), strict=False)
    )


def test_every_colour_has_enough_contrast_with_black():
    # WCAG 2.1, 1.4.3: at least 4.5 to 1 for small letters.
    for colour in COLOURS:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        assert (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05 > 4.5


def test_modules_of_a_network_are_a_chain():
    drawing = draw("64-1242-basic")
    assert texts(drawing) == [
        *("input", "normal", "channels x2", "channels x2, resolution /2", "channels x2", "output")
    ]
    assert edges(drawing, unused=False) == {(i, i + 1) for i in range(5)}
    assert repr(drawing) == "<Drawing of 64-1242-basic of transnas-macro: 6 nodes, 5 edges>"


def test_sizes_are_bars_in_proportion():
    drawing = draw("8:16:32:64:24")
    widths = [float(r.get("width")) for r in parsed(drawing).iter(f"{SVG}rect")]
    assert np.allclose(
        np.array(widths) / max(widths), np.array([8, 16, 32, 64, 24]) / 64, atol=0.001
    )
    assert texts(drawing)[1::2] == ["8", "16", "32", "64", "24"]


def test_any_other_space_is_a_list_of_decisions():
    decisions = [
        Decision("optimizer", ("sgd", "adam")),
        Decision("rate", (-1, 0.5), True),
        Decision("none at all", (0, 0.0001), True),
    ]
    drawing = draw((1, 0, 0), SearchSpace("mine", decisions))
    assert texts(drawing) == [
        *("optimizer", "adam", "2 of 2", "rate", "-1", "1 of 2", "none at all", "0")
    ]
    assert drawing.describe() == "optimizer: adam, rate: -1, none at all: 0."


# Text


@pytest.mark.parametrize("name", [*GRAPHS, "nats-sss", "transnas-micro", "transnas-macro"])
def test_a_text_finds_its_space(name):
    for drawing in samples(name, 5):
        found = draw(drawing.space.to_string(drawing.architecture))
        assert found.svg() == draw(found.architecture, found.space).svg()
        assert found.space.name.startswith(name.removesuffix("-proteins"))


def test_a_cell_that_two_spaces_share_is_drawn_as_of_the_first():
    text = "Arch([0, 0, 1, 2], ['gcn', 'sage', 'arma', 'fc'])"
    assert draw(text).space.name == "nas-bench-graph"
    assert draw(text, "nas-bench-graph-proteins").space.name == "nas-bench-graph-proteins"


def test_a_text_of_no_space_is_refused_with_examples():
    with pytest.raises(InvalidArchitectureError, match="syntax of a known space") as error:
        draw("<b>conv</b>")
    examples = re.findall(r"^  ([\w-]+): (.+)$", str(error.value), re.MULTILINE)
    assert len(examples) == len(SPACES)
    for space, example in examples:
        assert draw(example, space).space.name == space


def test_a_text_of_several_spaces_is_refused(monkeypatch):
    import nasbench_lab.spaces as spaces

    def other():
        channels = (8, 16, 24, 32, 40, 48, 56, 64)
        return SearchSpace("other", [Decision(f"layer {i}", channels) for i in range(5)])

    monkeypatch.setitem(spaces.SPACES, "other", other)
    with pytest.raises(InvalidArchitectureError, match=r"several spaces.*: nats-sss, other\."):
        draw("8:8:8:8:8")


def test_option_numbers_need_a_space():
    with pytest.raises(InvalidArchitectureError, match=r"Expected the space.*nb201"):
        draw((0, 1, 2, 3, 4, 0))
    with pytest.raises(UnknownNameError, match="space"):
        draw((0,), "no such space")
    with pytest.raises(InvalidArchitectureError, match="6 decisions"):
        draw((0, 1), "nb201")


def test_the_package_offers_it():
    assert nasbench_lab.draw is draw
    assert nasbench_lab.Drawing is Drawing


def test_a_drawing_tells_what_it_is():
    assert repr(draw(NB201)) == f"<Drawing of {NB201} of nb201: 4 nodes, 6 edges>"
    assert draw("8:8:8:8:8").describe().startswith("channels of layer 1: 8, ")
    assert draw(NB201).describe() == (
        "A graph of 4 nodes. input to node 1 by nor_conv_3x3; input to node 2 carries nothing; node 1 "
        "to node 2 by avg_pool_3x3 (on no way from input to output); input to output by skip_connect; "
        "node 1 to output by nor_conv_1x1; node 2 to output carries nothing."
    )
    graph = draw("Arch([0, 1, 2, 1], ['gcn', 'gin', 'fc', 'cheb'])").describe()
    assert "input to node 1 (gcn); node 1 (gcn) to node 2 (gin)" in graph


# SVG


def test_the_svg_can_stand_beside_others_on_any_page():
    svg = draw(NB201).svg()
    assert " id=" not in svg
    assert "url(" not in svg
    assert "href" not in svg
    root = parsed(draw(NB201))
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "Architecture of nb201"
    assert root[1].text == draw(NB201).describe()
    assert root.get("fill") == "currentColor"
    assert draw(NB201)._repr_svg_() == svg


HOSTILE = [
    '<script>alert("1")</script>',
    "a & b",
    "'\"",
    "\x00\x1b[31m\ud800",
    "$x$ \\frac",
    "深層" * 30,
]


def hostile_spaces():
    yield SearchSpace("<i>", [Decision(text, (text, "other")) for text in HOSTILE])
    names = ("input", *HOSTILE, "output")
    ends = range(1, len(names) - 1)
    across = [Edge(0, i) for i in ends] + [Edge(i, len(names) - 1, HOSTILE[0]) for i in ends]

    class Hostile(SearchSpace):
        def graph(self, architecture):
            return Graph(names, tuple(across), tuple(HOSTILE[:3]))

    yield Hostile("&", [Decision("a", (1, 2))])


@pytest.mark.parametrize("space", list(hostile_spaces()), ids=["list", "graph"])
def test_hostile_texts_are_escaped_and_shortened(space, tmp_path):
    drawing = draw((0,) * len(space.decisions), space)
    root = parsed(drawing)
    assert not list(root.iter(f"{SVG}script"))
    shown = texts(drawing)
    assert '<script>alert("1")</script>' in shown
    assert max(map(len, shown)) <= 28
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing.save(tmp_path / "a.png")
        drawing.save(tmp_path / "a.pdf")


# Layout


def boxes_and_lines(drawing):
    shapes = drawing._shapes
    return [s for s in shapes if isinstance(s, Box)], [s for s in shapes if isinstance(s, Line)]


def curve_points(line):
    t = np.linspace(0, 1, 30)[:, None]
    start = np.array(line.points[0])
    for a, b, end in line._curves():
        a, b, end = map(np.array, (a, b, end))
        yield (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * end
        start = end


@pytest.mark.parametrize("name", GRAPHS)
def test_no_box_is_on_another_or_on_a_line(name):
    for drawing in samples(name, 25, seed=2):
        boxes, lines = boxes_and_lines(drawing)
        for one, other in itertools.combinations(boxes, 2):
            beside = abs(one.x - other.x) >= (one.width + other.width) / 2
            assert beside or abs(one.y - other.y) >= 22
        points = np.concatenate([p for line in lines for p in curve_points(line)])
        for box in boxes:
            # Lines begin and end at the upper and lower sides; half a pixel is rounding.
            inside = (np.abs(points - [box.x, box.y]) < [box.width / 2 - 0.5, 10.5]).all(axis=1)
            assert not inside.any()
        width, height = drawing.size
        assert points.min() > 0
        assert (points < [width, height]).all()
        assert all(box.x - box.width / 2 > 0 and box.right < width for box in boxes)


@pytest.mark.parametrize("name", GRAPHS)
def test_all_lines_lead_down_from_their_source_to_their_target(name):
    for drawing in samples(name, 10, seed=3):
        boxes, lines = boxes_and_lines(drawing)
        middle = {box.node: box for box in boxes if box.node is not None}
        for line in lines:
            assert (np.diff([y for _, y in line.points]) > 0).all()
        for edge in edges(drawing):
            parts = [line for line in lines if line.edge == f"{edge[0]}-{edge[1]}"]
            first, last = parts[0].points[0], parts[-1].points[-1]
            for end, node, side in (first, middle[edge[0]], 11), (last, middle[edge[1]], -11):
                assert end[1] == pytest.approx(node.y + side)
                assert abs(end[0] - node.x) < node.width / 2
            assert [part.arrow for part in parts] == [False] * (len(parts) - 1) + [True]


def test_no_lines_cross_where_none_need_to():
    # A ladder: two chains side by side, listed so that the first order crosses.
    names = ("input", "a", "b", "c", "d", "output")
    ladder = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5)]
    graph = Graph(names, tuple(Edge(*ends) for ends in ladder), names)
    vertices, _ = lay_out(graph)
    x = {vertex.node: vertex.x for vertex in vertices}
    assert (x[1] < x[2]) == (x[4] < x[3])


def test_a_graph_whose_input_leads_nowhere_is_drawn():
    edge = Edge(1, 2, "does something")
    graph = Graph(("input", "", "alone", "output"), (edge,), ("does something",))
    assert used(graph).nodes == [False] * 4

    class Cut(SearchSpace):
        def graph(self, architecture):
            return graph

    drawing = draw((0,), Cut("cut", [Decision("a", (1, 2))]))
    assert set(nodes(drawing)) == {0, 1, 2, 3}
    assert edges(drawing, unused=True) == {(1, 2)}


# Files


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<svg")]
)
def test_the_same_architecture_gives_the_same_file(ending, start, tmp_path):
    one, other = (draw(NB201).save(tmp_path / f"{i}.{ending}") for i in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes().startswith(start)


def test_pictures_are_on_white_and_of_the_size_of_the_svg(tmp_path):
    from matplotlib.image import imread

    drawing = draw(NB201)
    image = imread(drawing.save(tmp_path / "a.PNG".lower()))
    width, height = drawing.size
    assert image.shape[:2] == pytest.approx((2 * height, 2 * width), abs=1)
    assert (image[0, 0] == 1).all()
    assert len(np.unique(image[..., :3].reshape(-1, 3), axis=0)) > 50


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"format of a drawing '\.gif'.*pdf, png, svg"):
        draw(NB201).save(tmp_path / "a.gif")
    with pytest.raises(UnknownNameError, match="format of a drawing 'cell'"):
        draw(NB201).save(tmp_path / "cell")
    assert not list(tmp_path.iterdir())
