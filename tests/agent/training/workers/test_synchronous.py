"""The synchronous mode: the exact ratio, an order that repeats, and checkpoints between episodes."""

import threading

import numpy as np
import pytest
from factories import make_replay

from agent.agent import Agent
from agent.scaling import Scaling
from agent.training.counters import RunCounters
from agent.training.workers.pool import BATCH_LENGTH, Worker
from agent.training.workers.replay_writer import ReplayWriter
from agent.training.workers.synchronous import SynchronousLoop
from params import TrainParams
from utils.envs.spec import EnvSpec
from utils.errors import EnvironmentFailure
from utils.replay.rate_limiter import RateLimiter
from utils.retry_budget import RetryBudget

import faulty_envs  # noqa: F401  (registers)  isort: skip

NEVER = threading.Event()


class Counting:
    """A learner that counts, and says after each of its calls what had been inserted by then."""

    policy = None

    def __init__(self, limiter, total, every=4, stop_at=None):
        self.limiter, self.total, self.every = limiter, total, every
        self.learner_step, self.inserts = 0, []

    def updates_due(self, learner_step):
        return min(2, self.total - learner_step)

    def advance(self, checkpointer, sample=None):
        self.inserts.append(self.limiter.inserts)
        self.learner_step += 2
        if self.learner_step % self.every == 0:
            checkpointer.save()


class CheckpointKeeper:
    def __init__(self):
        self.saved, self.reloads = [], 0

    def save(self):
        self.saved.append("saved")

    def reload(self):
        self.reloads += 1
        return True


def synchronous_of(env_id, total=20, agents=2, ratio=1.0, **changes):
    params = TrainParams(env=env_id, v_min=-1.0, v_max=1.0, n_step_returns=3, **changes)
    replay = make_replay(10_000, 1, 1)
    limiter = RateLimiter(ratio, 10, 1000.0)
    learner, checkpointer = Counting(limiter, total), CheckpointKeeper()
    scaling = Scaling.from_env(EnvSpec(env_id).make(), params)
    episodes, failures = [], []

    def make_worker(index):
        agent = Agent(index, EnvSpec(env_id).make, params, scaling, np.random.SeedSequence(index))
        return Worker(agent, RetryBudget(params.env_restarts), lambda agent, error: failures.append((agent, str(error))))

    workers = [make_worker(index) for index in range(agents)]

    def report(batch):
        episodes.extend((batch.agent, *episode) for episode in batch.episodes)

    writer = ReplayWriter(replay, limiter, RunCounters(), lambda batch: None, report)
    synchronous = SynchronousLoop(learner, workers, writer, limiter, checkpointer)
    return synchronous, learner, checkpointer, replay, limiter, episodes, failures


def test_before_each_call_there_is_what_the_ratio_asks_for_and_no_more():
    synchronous, learner, checkpointer, replay, limiter, *_ = synchronous_of("Endless-v0", total=8, ratio=1.0, agents=2)
    learner.every = 1000
    synchronous.run(8, NEVER)
    assert learner.inserts == [26, 42, 58, 74]  # 10 to start, then 2 * 8 samples a call at one a sample
    assert (limiter.inserts, limiter.samples, replay.added) == (74, 64, 74)


def test_agents_collect_one_batch_each_in_turn():
    synchronous, learner, *_ = synchronous_of("Endless-v0", total=2, agents=3)
    synchronous.run(3 * BATCH_LENGTH, NEVER)  # 10 + 2 * 48 transitions are due
    env_steps = [worker.agent.env_steps for worker in synchronous._workers]
    assert env_steps == [2 * BATCH_LENGTH + 10 + 2] + [2 * BATCH_LENGTH + 2] * 2


def test_at_a_checkpoint_all_episodes_end_and_the_first_agent_is_next():
    synchronous, learner, checkpointer, replay, limiter, episodes, _ = synchronous_of("Endless-v0", total=8)
    synchronous.run(8, NEVER)
    assert checkpointer.saved == ["saved"] * 2
    assert episodes == []  # a cut one is not reported
    assert sum(worker.agent.env_steps for worker in synchronous._workers) == replay.added
    assert all(worker.agent.noise.episodes == 2 for worker in synchronous._workers)
    discounts = replay.sample(1, 256, 0.5).discount
    assert discounts.min() > 0.0  # truncated, not terminated


def test_the_same_seeds_give_the_same_replay():
    first, second = synchronous_of("Healthy-v0"), synchronous_of("Healthy-v0")
    for synchronous, *_ in (first, second):
        synchronous.run(8, NEVER)
    one, other = (np.concatenate([*replay.snapshot()[2]]) for _, _, _, replay, *_ in (first, second))
    assert one.tobytes() == other.tobytes()
    assert first[5] == second[5]


@pytest.mark.parametrize("moment", [0, 2])
def test_stop_ends_it_between_two_calls(moment):
    synchronous, learner, *_ = synchronous_of("Endless-v0", total=10**9)
    stop = threading.Event()
    if not moment:
        stop.set()
    learner.advance = lambda checkpointer: (setattr(learner, "learner_step", learner.learner_step + 2), stop.set())
    synchronous.run(8, stop)
    assert learner.learner_step == moment


def test_an_environment_that_fails_is_made_again_and_too_often_ends_the_run():
    synchronous, *_, failures = synchronous_of("CrashInStep-v0", agents=1, env_restarts=3)
    with pytest.raises(EnvironmentFailure, match="the simulator exploded"):
        synchronous.run(8, NEVER)
    assert len(failures) == 3


def test_reload_is_passed_to_the_checkpointer():
    synchronous, _, checkpointer, *_ = synchronous_of("Healthy-v0")
    assert synchronous.reload()
    assert checkpointer.reloads == 1
