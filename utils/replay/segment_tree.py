"""A segment tree over an array: the sum of all leaves at the root, and the leaf at a given prefix sum."""

import numpy as np

CLOSE = 4  # recompute all of a span with fewer than CLOSE nodes for each node to set
TOP = 10  # levels that `find` skips by one search


class SegmentTree:
    """A complete binary tree whose parents are the sums of their two children, in float64.

    Parents are recomputed from their children, never adjusted by differences, so they are exact.
    All methods take arrays and touch log2(capacity) levels, a few vectorised operations each.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._first_leaf = 1 << max(0, capacity - 1).bit_length()
        self._levels = self._first_leaf.bit_length() - 1
        # Node 1 is the root, the children of node i are 2i and 2i + 1, node 0 is unused.
        self._nodes = np.zeros(2 * self._first_leaf)

    @property
    def root(self) -> float:
        """The sum of all leaves."""
        return float(self._nodes[1])

    @property
    def leaves(self) -> np.ndarray:
        """A view of the leaves, float64 [capacity]."""
        return self._nodes[self._first_leaf : self._first_leaf + self.capacity]

    def set(self, indices: np.ndarray, values: np.ndarray) -> None:
        """Set the leaves at `indices` [n] to `values` [n]; the last value of a repeated index counts."""
        if not len(indices):
            return
        nodes, pairs = self._nodes, self._nodes.reshape(-1, 2)  # node i has the children pairs[i]
        position = indices + self._first_leaf
        nodes[position] = values
        first, last = int(position.min()) >> 1, int(position.max()) >> 1
        while first and last - first >= CLOSE * len(indices):
            position >>= 1
            children = pairs.take(position, axis=0)
            nodes[position] = children[:, 0] + children[:, 1]
            first, last = first >> 1, last >> 1
        while first:  # nodes close together: slices are faster than indices, although more is recomputed
            children = pairs[first : last + 1]
            np.add(children[:, 0], children[:, 1], out=nodes[first : last + 1])
            first, last = first >> 1, last >> 1

    def fill(self, values: np.ndarray) -> None:
        """Set the first leaves to `values` [n] and empty all others."""
        leaves = np.zeros(self.capacity)
        leaves[: len(values)] = values
        self.set(np.arange(self.capacity), leaves)

    def find(self, prefix_sums: np.ndarray) -> np.ndarray:
        """For each of `prefix_sums` [...], in [0, root], the index of the leaf that holds it, int64 [...].

        Leaf i holds [sum of the leaves before i, that sum + leaf i). Despite rounding, a leaf of 0 is never returned while
        another is positive; at the root's edge the result is the last positive leaf.
        """
        nodes = self._nodes
        depth = min(TOP, self._levels)
        edges = np.zeros((1 << depth) + 1)
        np.cumsum(nodes[1 << depth : 2 << depth], out=edges[1:])
        remaining = np.array(prefix_sums, dtype=np.float64)
        position = np.minimum(edges[1:].searchsorted(remaining, "right"), edges[1:].searchsorted(edges[-1]))
        remaining -= edges[position]
        position += 1 << depth
        for _ in range(self._levels - depth):
            position *= 2
            left = nodes.take(position)
            go_right = (remaining >= left) & (nodes.take(position + 1) > 0.0)
            remaining -= left * go_right
            position += go_right
        return position - self._first_leaf

    def problems(self) -> list[str]:
        """Violations of the invariant that each parent is the sum of its children; for tests and debugging."""
        inner = np.arange(1, self._first_leaf)
        expected = self._nodes[2 * inner] + self._nodes[2 * inner + 1]
        wrong = inner[self._nodes[inner] != expected]
        return [f"node {i} holds {self._nodes[i]}, its children give {expected[i - 1]}" for i in wrong]
