"""The replay writer: adds batches at the limiter's pace, counts environment steps, reports batches."""

import threading

import numpy as np
import pytest
from factories import make_replay

from agent.training.counters import RunCounters
from agent.training.workers.replay_writer import ReplayWriter
from utils.replay.rate_limiter import RateLimiter
from utils.replay.transitions import Episode, TransitionBatch


def batch(length, episodes=(), env_steps=0):
    column = np.zeros((length, 1), np.float32)
    return TransitionBatch(column, column, column[:, 0], column[:, 0], column, [*episodes], env_steps=env_steps)


@pytest.fixture
def parts():
    """Replay, limiter (2 inserts ahead of the learner at most), counters, observed and reported batches, and a writer."""
    replay, limiter, counters, observed, reported = make_replay(), RateLimiter(1.0, 10, 2.0), RunCounters(), [], []
    writer = ReplayWriter(replay, limiter, counters, observed.append, reported.append)
    return replay, limiter, counters, observed, reported, writer


def test_a_batch_is_added_and_counted_everywhere(parts):
    replay, limiter, counters, observed, _, writer = parts
    writer.add_when_allowed(batch(4, env_steps=7), threading.Event())
    assert (len(replay), limiter.inserts, counters.env_steps) == (4, 4, 7)
    assert len(observed) == 1


def test_each_added_batch_is_reported(parts):
    *_, reported, writer = parts
    batches = [batch(4), batch(4, [Episode(1.0, 4)])]
    for one in batches:
        writer.add(one)
    assert reported == batches


def test_a_batch_beyond_the_limit_waits_and_is_dropped_on_stop(parts):
    replay, limiter, counters, *_, writer = parts
    stop = threading.Event()
    writer.add_when_allowed(batch(12, env_steps=12), stop)  # 10 to start and 2 ahead
    thread = threading.Thread(target=writer.add_when_allowed, args=(batch(1, env_steps=1), stop), daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    stop.set()
    thread.join(10.0)
    assert not thread.is_alive()
    assert (len(replay), limiter.inserts, counters.env_steps) == (12, 12, 12)
