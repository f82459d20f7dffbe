"""Prioritised experience replay (Schaul et al., 2016, arXiv 1511.05952), proportional variant."""

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from utils.replay.segment_tree import SegmentTree
from utils.replay.transitions import TransitionBatch

HIGHEST_PRIORITY = 1e4  # a greater one, from a diverged loss, would always be drawn
ENTRY_DECAY = 0.9  # factor on the priority of new transitions at each call of update_priorities
CHUNK = 8192  # transitions copied at once for a snapshot: the lock is held for some milliseconds


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
    """A ring of arrays and a segment tree, behind one lock.

    A transition's id counts all that were ever added; it lives in slot id % capacity until it is overwritten.

    New transitions enter at the maximum of the recent priorities, which decays by ENTRY_DECAY with each call of
    `update_priorities`. Schaul et al. take the maximum that never decays, so that each transition is drawn soon once. After
    losses have fallen, or after a single large one, that maximum would prefer new transitions for the rest of the run.
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
        self._sums = SegmentTree(capacity)
        self._added = 0
        self._entry_priority = 1.0  # of new transitions
        self._has_priorities = False  # a loss has come in; until then all priorities are equal
        self.invalid_priorities = 0  # not finite or negative: the lowest priority is stored instead
        self.clipped_priorities = 0  # greater than HIGHEST_PRIORITY

    def __len__(self) -> int:
        return min(self._added, self.capacity)

    @property
    def added(self) -> int:
        """Transitions ever added."""
        return self._added

    def add(self, block: TransitionBatch) -> None:
        """Append a block at the maximum of the recent priorities; the oldest transitions make room."""
        with self._lock:
            # Of a block longer than the ring only the end stays.
            ids = np.arange(self._added, self._added + len(block))[-self.capacity :]
            slots = ids % self.capacity
            for column, values in zip(self._columns(), self._values(block), strict=True):
                column[slots] = values[-self.capacity :]
            self._sums.set(slots, np.full(len(slots), self._entry_priority**self._alpha))
            self._added += len(block)

    def sample(self, batches: int, batch_size: int, beta: float | np.ndarray) -> Sample:
        """Draw `batches` batches in proportion to priority**alpha, each stratified into batch_size equal segments.

        The weights are (N * probability)**-beta divided by the greatest of their batch. Relative to the greatest of all
        stored transitions, as in Schaul et al., one low priority would shrink every weight. `beta` is one number, or one
        for each batch [batches, 1].
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
            weights = (mass.min(axis=1, keepdims=True) / mass) ** beta  # N and the root cancel out
        return Sample(ids, obs, action, reward, discount, next_obs, weights.astype(np.float32))

    def update_priorities(self, ids: np.ndarray, losses: np.ndarray) -> None:
        """Set priorities to losses + epsilon. `ids` and `losses` [batches, B] in the order of the updates.

        A transition overwritten since it was drawn is skipped, and of one drawn twice the last loss counts. A loss that is
        negative or not finite is counted and stored as 0, the lowest priority: a transition that spoils an update should
        rarely be drawn again. A huge loss is clipped.

        Before the first loss all priorities are equal. The first call sets those without a loss to its maximum, so that the
        transitions it has drawn are not preferred.
        """
        ids, losses = ids.ravel(), np.asarray(losses, np.float64).ravel()
        valid = np.isfinite(losses) & (losses >= 0.0)
        priorities = np.minimum(np.where(valid, losses, 0.0) + self._epsilon, HIGHEST_PRIORITY)
        with self._lock:
            self.invalid_priorities += int((~valid).sum())
            self.clipped_priorities += int((losses[valid] > HIGHEST_PRIORITY).sum())
            kept = ids >= self._added - self.capacity
            if (kept & valid).any():
                greatest = float(priorities[kept & valid].max())
                if not self._has_priorities:
                    self._sums.fill(np.full(len(self), greatest**self._alpha))
                    self._entry_priority, self._has_priorities = greatest, True
                self._entry_priority = max(greatest, ENTRY_DECAY * self._entry_priority)
            self._sums.set(ids[kept] % self.capacity, priorities[kept] ** self._alpha)

    def mean_priority(self) -> float:
        """Mean of priority**alpha over the stored transitions."""
        with self._lock:
            return self._sums.root / max(1, len(self))

    # ---- snapshots

    @property
    def row(self) -> np.dtype:
        """A stored transition in a snapshot; `mass` is its priority**alpha."""
        columns = zip(("obs", "action", "reward", "discount", "next_obs"), self._columns(), strict=True)
        return np.dtype([(name, "<f4", column.shape[1:]) for name, column in columns] + [("mass", "<f8")])

    def snapshot(self) -> tuple[dict[str, Any], int, Iterator[np.ndarray]]:
        """The state for `restore`, which then continues exactly: counters, number of rows, and the rows in chunks of CHUNK.

        Other threads may add and sample while the rows are taken. Each row is consistent, with its own priority. Where the
        ring is full, a row that is overwritten meanwhile may be the newer one.
        """
        with self._lock:
            rows = len(self)
            counters = {
                "capacity": self.capacity,
                "alpha": self._alpha,
                "added": self._added,
                "greatest_priority": self._entry_priority,  # its first name
                "has_priorities": self._has_priorities,
                "generator": self._rng.bit_generator.state,
            }
        return counters, rows, (self._rows(slice(first, min(first + CHUNK, rows))) for first in range(0, rows, CHUNK))

    def restore(self, counters: dict[str, Any], rows: np.ndarray) -> None:
        """Replace the content by that of a snapshot. `rows` has the dtype `row`.

        Where the capacity has changed, the newest rows stay. Raises ValueError when the rows or the counters are invalid.
        """
        added, expected = counters["added"], min(counters["added"], counters["capacity"])
        if rows.dtype != self.row or rows.shape != (expected,):
            raise ValueError(f"the rows are {rows.shape} of {rows.dtype}, expected {expected} of {self.row}")
        if not (all(np.isfinite(rows[name]).all() for name in self.row.names or ()) and (rows["mass"] > 0.0).all()):
            raise ValueError("the rows hold numbers that are not finite, or a priority that is not positive")
        greatest, alpha = float(counters["greatest_priority"]), float(counters["alpha"])
        if not (0.0 < greatest <= HIGHEST_PRIORITY and alpha >= 0.0):
            raise ValueError(f"the greatest priority is {greatest} and alpha {alpha}")
        has_priorities = bool(counters.get("has_priorities", True))  # older snapshots were saved after a loss
        generator = type(self._rng.bit_generator)()
        generator.state = counters["generator"]  # raises if it is invalid, before anything has changed
        if counters["capacity"] != self.capacity:
            kept = min(len(rows), self.capacity)
            rows = rows[np.arange(added - kept, added) % max(1, len(rows))]
            added = kept
        mass = rows["mass"] if alpha == self._alpha else rows["mass"] ** (self._alpha / (alpha or 1.0))
        with self._lock:
            for name, column in zip(self.row.names or (), self._columns(), strict=False):
                column[: len(rows)] = rows[name]
            self._sums.fill(mass)
            self._added = added
            self._entry_priority, self._has_priorities = greatest, has_priorities
            self._rng.bit_generator.state = generator.state

    def view(self, count: int) -> np.ndarray:
        """About `count` of the stored transitions, evenly spaced, [n] of dtype `row`. Draws no random number."""
        return self._rows(slice(0, len(self), max(1, len(self) // count)))

    def _rows(self, slots: slice) -> np.ndarray:
        rows = np.empty(len(range(*slots.indices(self.capacity))), self.row)
        with self._lock:
            for name, column in zip(self.row.names or (), self._columns(), strict=False):
                rows[name] = column[slots]
            rows["mass"] = self._sums.leaves[slots]
        return rows

    def problems(self) -> list[str]:
        """Violations of the invariants of the tree; for tests and debugging."""
        with self._lock:
            sums, problems = self._sums.leaves, self._sums.problems()
            if sums[len(self) :].any():
                problems.append("an empty slot has mass")
            if not (np.isfinite(sums).all() and (sums[: len(self)] > 0).all()):
                problems.append("a priority is not a positive number")
            return problems

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self._obs, self._action, self._reward, self._discount, self._next_obs

    @staticmethod
    def _values(block: TransitionBatch) -> tuple[np.ndarray, ...]:
        return block.obs, block.action, block.reward, block.discount, block.next_obs
