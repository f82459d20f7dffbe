"""Agents in processes: the same transitions as in a thread, and a new process after death or hang."""

import json
import os
import threading
import time

import numpy as np
import pytest
from factories import make_networks, make_replay, make_scaling
from processes import descendants

from agent.training.counters import RunCounters
from agent.training.workers import process_agent
from agent.training.workers.pool import WorkerPool
from agent.training.workers.process_agent import ProcessAgent
from agent.training.workers.remote import AgentArguments, RemoteAgent
from agent.training.workers.replay_writer import ReplayWriter
from params import TrainParams
from utils.console import Console
from utils.errors import EnvironmentFailure, ParameterError
from utils.replay.rate_limiter import RateLimiter


def arguments(index=0, env="remote_envs:Once-v0", **kwargs):
    params = TrainParams(env=env, env_kwargs=json.dumps(kwargs), v_min=-1.0, v_max=1.0, num_agents=1)
    return AgentArguments(index, params, make_scaling(), np.random.SeedSequence(5))


@pytest.fixture
def start(tmp_path):
    """Makes agents, and ends their processes."""
    started = []

    def make(**given):
        started.append(ProcessAgent(arguments(**given), tmp_path / "stacks.txt"))
        return started[-1]

    yield make
    for agent in started:
        agent.abandon()


def columns(batch):
    return [batch.obs, batch.action, batch.reward, batch.discount, batch.next_obs]


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- the agent in the other process


def test_reply_holds_the_batch_and_the_state_after_it():
    remote, local = RemoteAgent(arguments(), arguments().agent().state()), arguments().agent()
    reply = remote.collect(10, None)
    np.testing.assert_equal(columns(reply.batch), columns(local.collect(10, None)))
    assert (reply.failure, reply.state) == (None, local.state())
    assert remote.waiting() is None


def test_after_a_failure_the_next_call_makes_a_new_environment(tmp_path):
    given = arguments(fault="fail", marker=str(tmp_path / "marker"))
    remote = RemoteAgent(given, given.agent().state())
    assert "a gear is broken" in remote.collect(10, None).failure
    assert len(remote.collect(10, None).batch) == 10


# ---- the process


def test_process_collects_what_a_thread_collects(start):
    policy, _ = make_networks(make_scaling())
    agent, local = start(), arguments().agent()
    for given in (None, policy, policy):
        np.testing.assert_equal(columns(agent.collect(20, given)), columns(local.collect(20, given)))
        assert (agent.state(), agent.episodes) == (local.state(), local.episodes)
    assert agent.waiting_since is None


def test_process_continues_from_a_restored_state(start):
    first, second, local = start(), start(), arguments().agent()
    state = (first.collect(16, None), first.state())[1]
    second.restore(state)
    local.restore(state)
    np.testing.assert_equal(columns(second.collect(16, None)), columns(local.collect(16, None)))


def test_process_imports_no_tensorflow(start):
    assert start(env="remote_envs:Imports-v0").collect(16, None).reward.max() == 0.0


def test_an_environment_that_fails_is_made_again_in_the_same_process(start, tmp_path):
    agent = start(fault="fail", marker=str(tmp_path / "marker"))
    with pytest.raises(EnvironmentFailure, match="agent 0, its environment step 3.*a gear is broken"):
        agent.collect(10, None)
    before = descendants()
    agent.restart()
    assert len(agent.collect(10, None)) == 10
    assert descendants() == before


def test_a_process_that_dies_is_named_with_its_signal_and_replaced(start, tmp_path):
    agent = start(fault="die", marker=str(tmp_path / "marker"))
    with pytest.raises(EnvironmentFailure, match="the process of agent 0 ended by SIGKILL"):
        agent.collect(10, None)
    agent.restart()
    assert len(agent.collect(10, None)) == 10


def test_errors_of_parameters_come_back_as_they_are(start):
    with pytest.raises(ParameterError, match="NoSuch"):
        start(env="NoSuch-v0").collect(1, None)


def test_waiting_is_reported_while_an_environment_hangs_and_its_stack_is_written(start, tmp_path, monkeypatch):
    monkeypatch.setattr(process_agent, "MOMENT", 3.0)  # after the usual 0.3 s a busy machine would need SIGKILL
    agent = start(fault="hang", marker=str(tmp_path / "marker"))
    errors = []

    def collect():
        with pytest.raises(EnvironmentFailure) as caught:
            agent.collect(10, None)
        errors.append(caught.value)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    until(lambda: agent.waiting_since is not None and time.monotonic() - agent.waiting_since > 0.5)
    agent.abandon()
    thread.join(10)
    assert "ended by SIGTERM" in str(errors[0]) or "exit code" in str(errors[0])
    assert "in hang" in (tmp_path / "stacks.txt").read_text()


def test_environments_are_closed_at_the_end(start, tmp_path):
    marker = tmp_path / "closed"
    agent = start(marker=str(marker))
    agent.collect(1, None)
    agent.abandon()
    assert marker.exists()


def test_ctrl_c_does_not_reach_the_process(start):
    agent = start()
    agent.collect(1, None)
    (pid,) = (pid for pid in descendants() if os.getpgid(pid) == pid)
    assert os.getpgid(pid) != os.getpgrp()  # the terminal signals the group of the foreground


# ---- in the pool


@pytest.mark.parametrize("fault", ["die", "hang"])
def test_pool_replaces_a_process_that_dies_or_hangs_and_leaves_none(tmp_path, fault, capsys):
    given = {0: arguments(0, fault=fault, marker=str(tmp_path / "marker"), seconds=0.001), 1: arguments(1, seconds=0.001)}
    failures, stop, before = [], threading.Event(), descendants()
    pool = WorkerPool(
        lambda index: ProcessAgent(given[index], tmp_path / "stacks.txt"),
        2,
        3,
        2.0,
        lambda index, error: failures.append((index, str(error))),
        tmp_path / "stacks.txt",
        Console(),
    )
    writer = ReplayWriter(make_replay(10_000, 1, 1), RateLimiter(0.0, 10, 1.0), RunCounters(), *2 * [lambda batch: None])
    thread = threading.Thread(target=pool.run, args=(NoPolicy(), writer, stop), daemon=True)
    thread.start()
    until(lambda: all(worker.agent.episodes > 20 for worker in pool.workers))
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert descendants() == before
    said = capsys.readouterr().out
    assert ("It is replaced." in said, [index for index, _ in failures]) == ((True, []) if fault == "hang" else (False, [0]))


class NoPolicy:
    """A learner without a policy yet."""

    policy = None
