"""Prioritised replay of a million transitions of 24 floats, compared with cpprb: speed, memory and waiting.

python benchmarks/replay.py            one minute, 1 GB of memory

Both hold obs, action, reward, a discount (cpprb: done) and next_obs in float32, and draw with alpha 0.6 and beta 0.4.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import itertools
import sys
import threading
import time
from typing import Any

import numpy as np

from agent.training.workers.pool import BATCH_LENGTH
from utils.replay.prioritised import PrioritisedReplay

OBS, ACTION, BATCH, ALPHA, BETA, EPSILON = 24, 4, 256, 0.6, 0.4, 1e-5
AGENTS = 4
# Transitions a second from all agents: BipedalWalker at the default ratio; Pendulum without a limit.
RATES = {2_000: "2,000 transitions/s", 10_000: "10,000 transitions/s", None: "without a pause"}


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__)
    capacity, rounds, seconds = (20_000, 5, 0.3) if given.quick else (1_000_000, 300, 10.0)
    rng = np.random.default_rng(1)
    result = timing.Result("replay", skipped=timing.missing("cpprb"))

    before = timing.resident()
    replay = PrioritisedReplay(capacity, OBS, ACTION, ALPHA, EPSILON, np.random.default_rng(2))
    fill(replay.add, capacity, rng)
    result.figures = {"MB allocated": held(replay) / 1e6, "MB resident": (timing.resident() - before) / 1e6}
    contenders = {f"toolkit {name}": work for name, work in ours(replay, rng).items()}
    if not result.skipped:
        before = timing.resident()
        peer = cpprb_buffer(capacity)
        fill(lambda batch: peer.add(**columns(batch)), capacity, rng)
        result.figures["MB resident, cpprb"] = (timing.resident() - before) / 1e6
        contenders |= {f"cpprb {name}": work for name, work in theirs(peer, rng).items()}
    timer = timing.AlternatingTimer(contenders, rounds)
    for verb in ours(replay, rng):
        row = {"microseconds for": verb, "toolkit": timer.seconds(f"toolkit {verb}") * 1e6}
        if not result.skipped:
            row |= {"cpprb": timer.seconds(f"cpprb {verb}") * 1e6, "ratio": timer.ratio(f"toolkit {verb}", f"cpprb {verb}")}
        result.rows.append(row)
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # as in train.py
    for rate, name in RATES.items():
        share, added = waiting(replay, rng, rate, seconds)
        result.figures[f"share of sampling spent waiting, {AGENTS} threads adding {name}"] = share
        result.figures[f"transitions/s added, {AGENTS} threads adding {name}"] = added
    sys.setswitchinterval(switch_interval)
    result.publish(given.json)


def ours(replay: PrioritisedReplay, rng: np.random.Generator) -> dict[str, Any]:
    """The timed operations on the toolkit's replay, by name."""
    batch = timing.random_batch(BATCH_LENGTH, OBS, ACTION, rng)
    losses = rng.exponential(1.0, (8, BATCH))

    def both(batches: int) -> None:
        sample = replay.sample(batches, BATCH, BETA)
        replay.update_priorities(sample.ids, losses[:batches])

    ids = replay.sample(8, BATCH, BETA).ids
    return {
        f"add {BATCH_LENGTH}": lambda: replay.add(batch),
        f"sample {BATCH}": lambda: just(replay.sample(1, BATCH, BETA)),
        f"update {BATCH}": lambda: replay.update_priorities(ids[:1], losses[:1]),
        f"sample and update {BATCH}": lambda: both(1),
        f"sample 8 x {BATCH}": lambda: just(replay.sample(8, BATCH, BETA)),
        f"update 8 x {BATCH}": lambda: replay.update_priorities(ids, losses),
        f"sample and update 8 x {BATCH}": lambda: both(8),
    }


def theirs(peer: Any, rng: np.random.Generator) -> dict[str, Any]:
    """The same on the buffer of cpprb, which draws one batch at a time."""
    batch = columns(timing.random_batch(BATCH_LENGTH, OBS, ACTION, rng))
    losses = rng.exponential(1.0, (8, BATCH))
    indices = [peer.sample(BATCH, BETA)["indexes"] for _ in losses]

    def sample(batches: int) -> None:
        for _ in range(batches):
            peer.sample(BATCH, BETA)

    def update(batches: int) -> None:
        for chosen, values in zip(indices[:batches], losses, strict=False):
            peer.update_priorities(chosen, values)

    def both(batches: int) -> None:
        for values in losses[:batches]:
            peer.update_priorities(peer.sample(BATCH, BETA)["indexes"], values)

    return {
        f"add {BATCH_LENGTH}": lambda: just(peer.add(**batch)),
        f"sample {BATCH}": lambda: sample(1),
        f"update {BATCH}": lambda: update(1),
        f"sample and update {BATCH}": lambda: both(1),
        f"sample 8 x {BATCH}": lambda: sample(8),
        f"update 8 x {BATCH}": lambda: update(8),
        f"sample and update 8 x {BATCH}": lambda: both(8),
    }


def just(_: Any) -> None:
    """Drop a result, so that the operation counts as one unit of work."""


def waiting(replay: PrioritisedReplay, rng: np.random.Generator, rate: int | None, seconds: float) -> tuple[float, float]:
    """The share of the time in `sample` that goes to waiting for the replay's lock, and the transitions/s added meanwhile.

    AGENTS threads add batches, `rate` transitions a second in all, or without pause when it is None.
    """
    stop, added, lock = threading.Event(), itertools.count(), replay._lock
    batch = timing.random_batch(BATCH_LENGTH, OBS, ACTION, rng)

    def adds() -> None:
        while not stop.is_set():
            replay.add(batch)
            next(added)
            if rate is not None:
                stop.wait(AGENTS * BATCH_LENGTH / rate)

    threads = [threading.Thread(target=adds, daemon=True) for _ in range(AGENTS)]
    watched = WatchedLock(lock)
    replay._lock = watched  # type: ignore[assignment]
    for thread in threads:
        thread.start()
    begun, sampling = time.perf_counter(), 0.0
    while time.perf_counter() - begun < seconds:
        entered = time.perf_counter()
        replay.sample(8, BATCH, BETA)
        sampling += time.perf_counter() - entered
    took = time.perf_counter() - begun
    stop.set()
    for thread in threads:
        thread.join()
    replay._lock = lock
    return watched.waited / sampling, next(added) * BATCH_LENGTH / took


class WatchedLock:
    """A lock that sums the waiting time of the thread that created it."""

    def __init__(self, lock: threading.Lock):
        self._lock, self._thread = lock, threading.get_ident()
        self.waited = 0.0

    def __enter__(self) -> None:
        asked = time.perf_counter()
        self._lock.acquire()
        if threading.get_ident() == self._thread:
            self.waited += time.perf_counter() - asked

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def fill(add: Any, capacity: int, rng: np.random.Generator) -> None:
    """Fill a replay."""
    for _ in range(0, capacity, 10_000):
        add(timing.random_batch(10_000, OBS, ACTION, rng))


def held(replay: PrioritisedReplay) -> int:
    """Bytes of a replay's arrays: its columns and its tree."""
    return sum(array.nbytes for array in (*replay._columns(), replay._sums._nodes))


def cpprb_buffer(capacity: int) -> Any:
    """The prioritised buffer of cpprb with the same columns."""
    import cpprb

    shapes = {"obs": OBS, "act": ACTION, "rew": 1, "done": 1, "next_obs": OBS}
    return cpprb.PrioritizedReplayBuffer(
        capacity, {name: {"shape": size} for name, size in shapes.items()}, alpha=ALPHA, eps=EPSILON
    )


def columns(batch: Any) -> dict[str, np.ndarray]:
    """A batch under cpprb's names."""
    return dict(obs=batch.obs, act=batch.action, rew=batch.reward, done=batch.discount, next_obs=batch.next_obs)


if __name__ == "__main__":
    main()
