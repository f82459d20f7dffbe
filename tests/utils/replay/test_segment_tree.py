"""The segment tree against a plain array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.replay import segment_tree
from utils.replay.segment_tree import SegmentTree

# Whole numbers: sums of them are exact in any order, so the naive answer is the only right one.
masses = st.lists(st.integers(0, 20), min_size=1, max_size=40)


@pytest.fixture(params=[(segment_tree.TOP, segment_tree.CLOSE), (2, 0), (0, 4)], ids=str, scope="module", autouse=True)
def _short_cuts(request):
    """All tests with the short cuts that large trees take, and without: neither may change an answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_tree, "TOP", request.param[0])
        patch.setattr(segment_tree, "CLOSE", request.param[1])
        yield


def sum_tree(leaves):
    tree = SegmentTree(len(leaves))
    tree.set(np.arange(len(leaves)), np.array(leaves, np.float64))
    return tree


def naive_find(leaves, prefix_sum):
    before = 0
    for i, mass in enumerate(leaves):
        if before <= prefix_sum < before + mass:
            return i
        before += mass
    return max(i for i, mass in enumerate(leaves) if mass)  # at the root's edge


@pytest.mark.parametrize(
    ("prefix_sum", "leaf"),
    [
        (0.0, 1),  # leaf 0 is empty
        (2.9, 1),
        (3.0, 2),  # a leaf holds its lower edge, not its upper one
        (3.5, 2),
        (4.0, 4),  # leaf 3 is empty
        (9.9, 4),
        (10.0, 4),  # the root's edge: the last leaf with mass, not the empty one after it
    ],
)
def test_find_returns_the_leaf_that_holds_the_prefix_sum(prefix_sum, leaf):
    assert sum_tree([0, 3, 1, 0, 6, 0]).find(np.array(prefix_sum)) == leaf


@settings(max_examples=100, deadline=None)
@given(masses, st.data())
def test_find_agrees_with_walking_along_the_leaves(leaves, data):
    tree, total = sum_tree(leaves), sum(leaves)
    assert tree.root == total
    if total:
        quarters = data.draw(st.lists(st.integers(0, 4 * total), min_size=1, max_size=10))
        prefix_sums = [quarter / 4 for quarter in quarters]
        assert tree.find(np.array(prefix_sums)).tolist() == [naive_find(leaves, x) for x in prefix_sums]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1e6)), min_size=1, max_size=40).filter(any))
def test_find_never_returns_a_zero_leaf_despite_rounding(leaves):
    tree = sum_tree(leaves)
    edges = np.cumsum(leaves)
    near_edges = np.concatenate([edges, np.nextafter(edges, 0.0), np.nextafter(edges, np.inf), [0.0, tree.root]])
    prefix_sums = np.sort(np.clip(near_edges, 0.0, tree.root))
    found = tree.find(prefix_sums)
    assert (np.array(leaves)[found] > 0).all()
    assert (np.diff(found) >= 0).all()  # greater prefix sums, later leaves


def test_find_keeps_the_shape_of_its_input():
    tree = sum_tree([1, 1, 1, 1])
    assert tree.find(np.array([[0.5, 1.5], [2.5, 3.5]])).tolist() == [[0, 1], [2, 3]]
    assert tree.find(np.zeros((2, 0, 3))).shape == (2, 0, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 33), st.data())
def test_any_sequence_of_sets_gives_what_an_array_gives(capacity, data):
    tree, array = SegmentTree(capacity), [0.0] * capacity
    writes = st.lists(st.tuples(st.integers(0, capacity - 1), st.integers(0, 1000)), max_size=8)
    for write in data.draw(st.lists(writes, max_size=5)):
        tree.set(np.array([i for i, _ in write], np.int64), np.array([value for _, value in write], np.float64))
        for i, value in write:  # in order: of an index given twice the last value counts
            array[i] = float(value)
        assert tree.leaves.tolist() == array
        assert tree.root == sum(array)
        assert tree.problems() == []


def test_set_uses_the_last_value_of_a_repeated_index():
    tree = sum_tree([1, 1, 1])
    tree.set(np.array([2, 0, 2, 2]), np.array([7.0, 5.0, 8.0, 9.0]))
    assert tree.leaves.tolist() == [5, 1, 9]
    assert tree.root == 15


def test_set_does_not_change_its_arguments():
    tree, indices, values = SegmentTree(4), np.array([3, 1]), np.array([2.0, 5.0])
    tree.set(indices, values)
    assert indices.tolist() == [3, 1]
    assert values.tolist() == [2, 5]
    prefix_sums = np.array([6.0, 1.0])
    tree.find(prefix_sums)
    assert prefix_sums.tolist() == [6, 1]


def test_an_empty_tree_has_the_neutral_root():
    assert SegmentTree(5).root == 0.0


def test_a_tree_of_one_leaf_is_its_own_root():
    tree = sum_tree([3])
    assert tree.root == 3.0
    assert tree.find(np.array([0.0, 2.0, 3.0])).tolist() == [0, 0, 0]
    assert tree.problems() == []


def test_parents_do_not_drift_over_many_updates():
    # Adjusting parents by differences would leave the rounding of each of them behind, here even after all is small again.
    rng = np.random.default_rng(1)
    tree = SegmentTree(1000)
    for _ in range(300):
        tree.set(rng.integers(0, 1000, 64), 10.0 ** rng.uniform(-8, 8, 64))
    tree.set(np.arange(1000), np.full(1000, 1e-9))
    assert tree.root == sum_tree([1e-9] * 1000).root
    assert tree.root == pytest.approx(1e-6, rel=1e-12)


def test_problems_names_a_parent_that_differs_from_its_children():
    tree = sum_tree([1, 2, 3, 4])
    tree._nodes[3] += 0.5  # the parent of leaves 2 and 3
    assert tree.problems() == [
        "node 1 holds 10.0, its children give 10.5",
        "node 3 holds 7.5, its children give 7.0",
    ]


@pytest.mark.parametrize("capacity", [1, 2, 5, 8, 1000])
def test_filling_is_setting_the_first_leaves_of_an_empty_tree(capacity):
    rng = np.random.default_rng(0)
    for count in {0, 1, capacity // 2, capacity}:
        filled, by_set = SegmentTree(capacity), SegmentTree(capacity)
        filled.set(np.arange(capacity), rng.random(capacity))  # what was there before goes
        values = rng.random(count)
        filled.fill(values)
        by_set.set(np.arange(count), values)
        assert np.array_equal(filled._nodes[1:], by_set._nodes[1:])
        assert filled.problems() == []
