"""A segment tree over an array: the reduction of all leaves at the root, and the leaf at a given prefix sum."""

import numpy as np


class SegmentTree:
    """A complete binary tree whose parents are `reduce` (np.add or np.minimum) of their two children, in float64.

    Parents are always recomputed from their children, never adjusted by differences, so that they are exact.
    All methods take arrays and touch log2(capacity) levels, one vectorised operation each.
    """

    def __init__(self, capacity: int, reduce: np.ufunc):
        self.capacity = capacity
        self._reduce = reduce
        self._first_leaf = 1 << max(0, capacity - 1).bit_length()
        self._levels = self._first_leaf.bit_length() - 1
        self._empty = 0.0 if reduce is np.add else np.inf
        # Node 1 is the root, the children of node i are 2i and 2i + 1, node 0 is unused.
        self._nodes = np.zeros(2 * self._first_leaf) if reduce is np.add else np.full(2 * self._first_leaf, np.inf)

    @property
    def root(self) -> float:
        """The reduction of all leaves."""
        return float(self._nodes[1])

    @property
    def leaves(self) -> np.ndarray:
        """A view of the leaves, float64 [capacity]."""
        return self._nodes[self._first_leaf : self._first_leaf + self.capacity]

    def set(self, indices: np.ndarray, values: np.ndarray) -> None:
        """Set the leaves at `indices` [n] to `values` [n]; of an index given twice the last value counts."""
        nodes = self._nodes
        position = indices + self._first_leaf
        nodes[position] = values
        for _ in range(self._levels):
            position >>= 1
            left = 2 * position
            nodes[position] = self._reduce(nodes[left], nodes[left + 1])

    def fill(self, values: np.ndarray) -> None:
        """Set the first leaves to `values` [n] and empty all others."""
        nodes, first = self._nodes, self._first_leaf
        nodes[first:] = self._empty
        nodes[first : first + len(values)] = values
        while first > 1:
            first >>= 1
            nodes[first : 2 * first] = self._reduce(nodes[2 * first : 4 * first : 2], nodes[2 * first + 1 : 4 * first : 2])

    def find(self, prefix_sums: np.ndarray) -> np.ndarray:
        """For each of `prefix_sums` [...], in [0, root], the index of the leaf that holds it, int64 [...].

        Leaf i holds [sum of the leaves before i, that sum + leaf i). A leaf without mass is never found while any has
        mass: whatever rounding does, and at the root's edge, the answer is the last leaf with mass.
        """
        nodes = self._nodes
        remaining = np.array(prefix_sums, dtype=np.float64)
        position = np.ones(remaining.shape, dtype=np.int64)
        for _ in range(self._levels):
            position *= 2
            left = nodes[position]
            go_right = (remaining >= left) & (nodes[position + 1] > 0.0)
            remaining -= np.where(go_right, left, 0.0)
            position += go_right
        return position - self._first_leaf

    def problems(self) -> list[str]:
        """What breaks the invariant that each parent is the reduction of its children; for tests and debugging."""
        inner = np.arange(1, self._first_leaf)
        expected = self._reduce(self._nodes[2 * inner], self._nodes[2 * inner + 1])
        wrong = inner[self._nodes[inner] != expected]
        return [f"node {i} holds {self._nodes[i]}, its children give {expected[i - 1]}" for i in wrong]
