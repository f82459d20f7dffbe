"""Workers in threads: hanging ones are replaced, failed ones stop, and the run ends when none is left."""

import threading
import time
from functools import partial

import gymnasium
import numpy as np
import pytest
from factories import make_replay, make_scaling
from trainings import slowed

from agent.agent import Agent
from agent.training.counters import RunCounters
from agent.training.workers.pool import WorkerPool
from agent.training.workers.replay_writer import ReplayWriter
from params import TrainParams
from utils.console import Console
from utils.envs.environment import Environment
from utils.errors import EnvironmentFailure
from utils.replay.rate_limiter import RateLimiter

UNIT = np.ones(1, np.float32)
SCALING = make_scaling()


class Simulator(gymnasium.Env):
    """Observes 0, and calls `fault()` in its third step, `closing()` in close and `resetting()` in reset."""

    observation_space = action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, fault=lambda: None, closing=lambda: None, resetting=lambda: None):
        self.fault, self.closing, self.resetting, self.steps = fault, closing, resetting, 0

    def reset(self, *, seed=None, options=None):
        self.resetting()
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 3:
            self.fault()
        time.sleep(0.001)
        return np.zeros(1, np.float32), 1.0, False, self.steps % 8 == 0, {}

    def close(self):
        self.closing()


def fail():
    raise EnvironmentFailure("a gear is broken")


class Uniform:
    """A learner without a policy yet."""

    policy = None


class Work:
    """A running WorkerPool; `make(index, number of environments made before)` makes its environments."""

    def __init__(self, tmp_path, make, size=2, env_timeout=0.5, env_restarts=2, **given):
        params = TrainParams(v_min=-1.0, v_max=1.0, **given)
        self.made, self.stop, self.failures = [0] * size, threading.Event(), []
        self.replay = make_replay(100_000, 1, 1)
        limiter = RateLimiter(0.0, 10, 1.0)

        def make_env(index):
            self.made[index] += 1
            return Environment(make(index, self.made[index] - 1), "Simulator")

        def make_agent(index):
            return Agent(index, partial(make_env, index), params, SCALING, np.random.SeedSequence(index))

        self.thread_dumps = tmp_path / "stacks.txt"
        self.pool = WorkerPool(
            make_agent,
            size,
            env_restarts,
            env_timeout,
            lambda agent, error: self.failures.append(agent),
            self.thread_dumps,
            Console(),
        )
        writer = ReplayWriter(self.replay, limiter, RunCounters(), lambda batch: None, lambda batch: None)
        self.error = None

        def run():
            try:
                self.pool.run(Uniform(), writer, self.stop)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def agents(self):
        return [worker.agent for worker in self.pool.workers]

    def until(self, condition, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.made, self.failures, self.error)
            time.sleep(0.01)

    def end(self):
        """Have all stop; the seconds that took."""
        self.stop.set()
        begun = time.monotonic()
        self.thread.join(120.0)
        assert not self.thread.is_alive()
        return time.monotonic() - begun


@pytest.fixture
def never():
    """What a hanging environment waits for; it is let go when the test is over."""
    event = threading.Event()
    yield lambda: event.wait(60) and None
    event.set()


def test_all_agents_act_until_told_to_stop(tmp_path):
    work = Work(tmp_path, lambda index, before: Simulator(), size=3)
    work.until(lambda: min(agent.env_steps for agent in work.agents()) > 100)
    assert work.end() < 2.0
    assert (work.error, work.made, work.failures) == (None, [1, 1, 1], [])


def test_environments_are_closed_at_the_end(tmp_path):
    closed = []
    work = Work(tmp_path, lambda index, before: Simulator(closing=lambda: closed.append(index)), size=2, envs_per_agent=2)
    work.until(lambda: min(agent.env_steps for agent in work.agents()) > 20)
    assert closed == []
    work.end()
    work.until(lambda: sorted(closed) == [0, 0, 1, 1])


def test_an_agent_whose_environment_hangs_is_replaced_and_its_stack_is_written(tmp_path, never, capsys):
    work = Work(tmp_path, lambda index, before: Simulator(never if index == 1 and before == 0 else lambda: None))
    hanging = work.pool.workers[1]
    work.until(lambda: work.made[1] == 2 and work.agents()[1].env_steps > 50)
    assert hanging.is_retired
    assert hanging.agent.env_steps == 2  # and the one in its place counts on from there
    assert "self.fault()" in work.thread_dumps.read_text()
    work.end()
    said = capsys.readouterr().out
    assert "agent 1 has waited for its environment for more than 0.5 seconds; its stack is in" in said
    assert "It is replaced." in said
    assert work.error is None


def test_an_agent_is_replaced_by_the_time_of_one_call_not_of_several(tmp_path):
    def reset_slowly():
        time.sleep(0.25)

    # The first step takes 8 * 0.25 = 2 seconds, but no single call comes near the timeout.
    work = Work(tmp_path, lambda *_: Simulator(resetting=reset_slowly), size=1, env_timeout=1.5, envs_per_agent=8)
    work.until(lambda: work.agents()[0].env_steps > 20)
    work.end()
    assert (work.made, work.error) == ([8], None)


def test_an_environment_that_hangs_while_it_is_made_is_replaced(tmp_path, never):
    work = Work(tmp_path, lambda index, before: Simulator() if before else never() or Simulator(), size=1)
    work.until(lambda: work.made == [2] and work.agents()[0].env_steps > 50)
    work.end()
    assert work.error is None


def test_a_retired_worker_counts_no_failures(tmp_path):
    let_go = threading.Event()

    def hang():
        let_go.wait(60)
        fail()

    work = Work(tmp_path, lambda index, before: Simulator(hang if before == 0 else lambda: None), size=1, env_restarts=1)
    work.until(lambda: work.made == [2])
    let_go.set()
    work.until(lambda: work.agents()[0].env_steps > 300)
    time.sleep(0.3)
    work.end()
    assert (work.made, work.failures, work.error) == ([2], [], None)


def test_an_environment_that_fails_and_then_hangs_in_its_close_is_replaced(tmp_path, never):
    work = Work(tmp_path, lambda index, before: Simulator(fail, never) if before == 0 else Simulator(), size=1, env_restarts=5)
    work.until(lambda: work.made == [2] and work.agents()[0].env_steps > 50)
    work.end()
    assert (work.failures, work.error) == ([0], None)


def test_failed_worker_does_not_stop_the_others(tmp_path, capsys):
    work = Work(tmp_path, lambda index, before: Simulator(fail if index == 0 else lambda: None), env_restarts=1)
    work.until(lambda: work.pool.workers[0].error is not None)
    steps = work.agents()[1].env_steps
    work.until(lambda: work.agents()[1].env_steps > steps + 500)
    work.end()
    assert work.error is None
    assert work.made == [2, 1]
    assert capsys.readouterr().out.count("An agent has stopped") == 1


@pytest.mark.parametrize("kind", ["fails", "hangs"])
def test_the_run_ends_when_every_worker_has_failed(tmp_path, never, kind):
    fault = fail if kind == "fails" else never
    work = Work(tmp_path, lambda index, before: Simulator(fault), env_restarts=1, env_timeout=0.3)
    work.thread.join(20.0)
    assert isinstance(work.error, EnvironmentFailure)
    assert "no agent is left; the last one stopped: agent 1" in str(work.error)
    assert work.made == [2, 2]
    work.end()


def test_any_other_error_of_a_worker_ends_the_run_at_once(tmp_path):
    def bug():
        raise ZeroDivisionError("a bug")

    work = Work(tmp_path, lambda index, before: bug() if index == 1 else Simulator())
    work.thread.join(10.0)
    assert isinstance(work.error, ZeroDivisionError)
    work.end()


def test_a_worker_that_hangs_at_the_end_is_left_behind_within_seconds(tmp_path, never, capsys):
    work = Work(tmp_path, lambda index, before: Simulator(never if index == 0 else lambda: None), env_timeout=60.0)
    work.until(lambda: work.agents()[0].env_steps == 2)
    time.sleep(0.1)
    assert work.end() < slowed(5.0)
    assert "agent 0 did not stop and is left behind" in capsys.readouterr().out
    assert "agent 0" in work.thread_dumps.read_text()


def test_states_are_restored_and_missing_ones_start_new(tmp_path):
    work = Work(tmp_path, lambda index, before: Simulator())
    work.until(lambda: min(agent.noise.episodes for agent in work.agents()) > 3)
    work.end()
    states = work.pool.state()
    other = Work(tmp_path, lambda index, before: Simulator(), size=3)
    other.end()
    other.pool.restore(states)
    assert other.pool.state()[:2] == states
    assert [agent.env_steps for agent in other.agents()[:2]] == [state["env_steps"] for state in states]
