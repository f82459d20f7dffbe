"""Prioritised experience replay (Schaul et al., 2016, arXiv 1511.05952), proportional variant."""

import threading
from typing import NamedTuple

import numpy as np

from utils.experience import Block
from utils.segment_tree import SegmentTree

HIGHEST_PRIORITY = 1e4  # a greater one, from a loss gone wild, would be drawn for ever


class Sample(NamedTuple):
    """`batches` batches of B transitions. ids int64 [batches, B]; the rest float32 with the same two leading axes."""

    ids: np.ndarray
    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    next_obs: np.ndarray
    weights: np.ndarray


class PrioritisedReplay:
    """A ring of arrays and two segment trees, behind one lock.

    A transition's id counts all that were ever added; it lives in slot id % capacity until it is overwritten.
    """

    def __init__(self, capacity: int, obs_size: int, action_size: int, alpha: float, epsilon: float, rng: np.random.Generator):
        self.capacity = capacity
        self._alpha, self._epsilon, self._rng = alpha, epsilon, rng
        self._lock = threading.Lock()
        self._obs = np.empty((capacity, obs_size), np.float32)
        self._action = np.empty((capacity, action_size), np.float32)
        self._reward = np.empty(capacity, np.float32)
        self._discount = np.empty(capacity, np.float32)
        self._next_obs = np.empty((capacity, obs_size), np.float32)
        self._sums = SegmentTree(capacity, np.add)
        self._minima = SegmentTree(capacity, np.minimum)
        self._added = 0
        self._greatest_priority = 1.0
        self.refused_priorities = 0  # not finite or negative: never stored
        self.limited_priorities = 0  # greater than HIGHEST_PRIORITY

    def __len__(self) -> int:
        return min(self._added, self.capacity)

    @property
    def added(self) -> int:
        """Transitions ever added."""
        return self._added

    def add(self, block: Block) -> None:
        """Append a block at the greatest priority seen so far; the oldest transitions make room."""
        with self._lock:
            # Of a block longer than the ring only the end stays.
            ids = np.arange(self._added, self._added + len(block))[-self.capacity :]
            slots = ids % self.capacity
            for column, values in zip(self._columns(), self._values(block), strict=True):
                column[slots] = values[-self.capacity :]
            self._set_priorities(slots, np.full(len(slots), self._greatest_priority))
            self._added += len(block)

    def sample(self, batches: int, batch_size: int, beta: float | np.ndarray) -> Sample:
        """Draw `batches` batches in proportion to priority**alpha, each stratified into batch_size equal segments.

        The weights are (N * probability)**-beta divided by the greatest that any stored transition could have; `beta` is
        one number, or one for each batch [batches, 1].
        Raises ValueError while the replay is empty.
        """
        with self._lock:
            if not self._added:
                raise ValueError("the replay is empty")
            root = self._sums.root
            offsets = np.arange(batch_size) + self._rng.random((batches, batch_size))
            slots = self._sums.find(offsets * (root / batch_size))  # [batches, B], ascending: memory is read in order
            mass = self._sums.leaves[slots]
            ids = slots + (self._added - 1 - slots) // self.capacity * self.capacity  # the newest id in the slot
            # No slot is out of range; with "clip" NumPy believes that, with "raise" it takes twice as long.
            columns = (column.take(slots, axis=0, mode="clip") for column in self._columns())
            obs, action, reward, discount, next_obs = columns
            weights = (self._minima.root / mass) ** beta  # N and the root cancel out
        return Sample(ids, obs, action, reward, discount, next_obs, weights.astype(np.float32))

    def update_priorities(self, ids: np.ndarray, losses: np.ndarray) -> None:
        """Set priorities to losses + epsilon. `ids` and `losses` [batches, B] in the order of the updates.

        A transition overwritten since it was drawn is skipped, and of one drawn twice the last loss counts.
        A loss that is negative or not finite is refused and counted; a huge one is limited.
        """
        ids, losses = ids.ravel(), np.asarray(losses, np.float64).ravel()
        sound = np.isfinite(losses) & (losses >= 0.0)
        priorities = np.minimum(losses + self._epsilon, HIGHEST_PRIORITY)
        with self._lock:
            self.refused_priorities += int((~sound).sum())
            self.limited_priorities += int((losses[sound] > HIGHEST_PRIORITY).sum())
            kept = sound & (ids >= self._added - self.capacity)
            if kept.any():
                self._greatest_priority = max(self._greatest_priority, float(priorities[kept].max()))
                self._set_priorities(ids[kept] % self.capacity, priorities[kept])

    def mean_priority(self) -> float:
        """Mean of priority**alpha over what is stored."""
        with self._lock:
            return self._sums.root / max(1, len(self))

    def problems(self) -> list[str]:
        """What breaks the invariants of the trees; for tests and debugging."""
        with self._lock:
            sums, minima = self._sums.leaves, self._minima.leaves
            problems = self._sums.problems() + self._minima.problems()
            if not np.array_equal(sums[: len(self)], minima[: len(self)]):
                problems.append("the two trees hold different leaves")
            if sums[len(self) :].any():
                problems.append("an empty slot has mass")
            if not (np.isfinite(sums).all() and (sums[: len(self)] > 0).all()):
                problems.append("a priority is not a positive number")
            return problems

    def _set_priorities(self, slots: np.ndarray, priorities: np.ndarray) -> None:
        leaves = priorities**self._alpha
        self._sums.set(slots, leaves)
        self._minima.set(slots, leaves)

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self._obs, self._action, self._reward, self._discount, self._next_obs

    @staticmethod
    def _values(block: Block) -> tuple[np.ndarray, ...]:
        return block.obs, block.action, block.reward, block.discount, block.next_obs
