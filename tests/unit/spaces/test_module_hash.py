"""The hash of a graph; those of cells are compared with the official ones in ``test_nb101``."""

from hashlib import md5

from nasbench_lab.spaces.module_hash import graph_hash


def digest(text):
    return md5(text.encode()).hexdigest()


def test_hash_of_one_edge_by_hand():
    first, last = digest("(1, 0, -1)"), digest("(0, 1, -2)")
    for _ in range(2):
        first, last = digest(f"|{last}|{first}"), digest(f"{first}||{last}")
    expected = digest(str(sorted([first, last])))
    assert graph_hash([[], [0]], [[1], []], [(1, 0, -1), (0, 1, -2)]) == expected


def test_numbers_of_nodes_do_not_matter():
    labels = ["in", "a", "b", "out"]
    one = graph_hash([[], [0], [0], [1, 2]], [[1, 2], [3], [3], []], labels)
    other = graph_hash([[], [0], [0], [2, 1]], [[2, 1], [3], [3], []], ["in", "b", "a", "out"])
    assert one == other
    assert one != graph_hash([[], [0], [1], [2]], [[1], [2], [3], []], labels)
