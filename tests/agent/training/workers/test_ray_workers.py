"""Agents on Ray: failed, dead and hanging workers are replaced, and no process is left. Ray runs on this machine."""

import json
import os
import re
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from factories import make_networks, make_replay, make_scaling
from processes import descendants, running

from agent.training.counters import RunCounters
from agent.training.workers import ray_cluster
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.ray_workers import BATCH_LENGTH, RayWorkers
from agent.training.workers.remote import AgentArguments
from agent.training.workers.replay_writer import ReplayWriter
from params import TrainParams
from utils.console import Console
from utils.errors import DependencyError, EnvironmentFailure, ParameterError
from utils.replay.rate_limiter import RateLimiter

pytestmark = pytest.mark.xdist_group("ray")


def connect(**given):
    """The cluster of parameters."""
    return RayCluster(TrainParams(runner="ray", **given), Console())


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine."""
    before = descendants()
    cluster = connect(ray_cpus_per_agent=0.25)
    yield cluster
    cluster.close()
    assert running(spared=before) == set()


class Source:
    """Publishes a policy."""

    policy = None


class Work:
    """RayWorkers in a thread; `kwargs` of each agent's environment."""

    def __init__(self, cluster, *kwargs, env="remote_envs:Once-v0", samples_per_insert=0.0, **given):
        params = {"env_timeout": 2.0, "env_restarts": 3, "ray_cpus_per_agent": 0.5, "num_agents": len(kwargs)} | given
        self.params = TrainParams(env=env, v_min=-1.0, v_max=1.0, runner="ray", **params)
        self.failures, self.batches, self.stop, self.error = [], [], threading.Event(), None
        self.source, self.kwargs = Source(), kwargs
        self.replay = make_replay(100_000, 1, 1)
        self.limiter = RateLimiter(samples_per_insert, 10, 1.0)
        self.workers = RayWorkers(cluster, self.arguments, self.params, self.fail, Console())
        self.writer = ReplayWriter(self.replay, self.limiter, RunCounters(), self.batches.append, lambda batch: None)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def arguments(self, index):
        params = TrainParams(**vars(self.params) | {"env_kwargs": json.dumps(self.kwargs[index])})
        return AgentArguments(index, params, make_scaling(), np.random.SeedSequence(index))

    def fail(self, index, error):
        self.failures.append((index, str(error)))

    def run(self):
        try:
            self.workers.run(self.source, self.writer, self.stop)
        except BaseException as error:
            self.error = error

    def until(self, condition, seconds=60.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.failures, self.error)
            assert self.error is None, self.error
            time.sleep(0.02)

    def episodes(self):
        return [worker.state["episodes"] for worker in self.workers.workers]

    def end(self):
        self.stop.set()
        self.thread.join(20.0)
        assert not self.thread.is_alive()


def test_batches_are_those_of_an_agent_in_a_thread(cluster):
    work = Work(cluster, {})
    local = work.arguments(0).agent()
    work.until(lambda: len(work.batches) >= 3)
    for batch in work.batches[:3]:
        expected = local.collect(BATCH_LENGTH, None)
        np.testing.assert_array_equal(batch.obs, expected.obs)
        np.testing.assert_array_equal(batch.reward, expected.reward)
        assert (batch.env_steps, batch.episodes) == (expected.env_steps, expected.episodes)
    work.end()
    assert (work.error, work.failures, len(work.replay)) == (None, [], BATCH_LENGTH * len(work.batches))


def test_workers_act_by_the_newest_policy_without_tensorflow(cluster):
    work = Work(cluster, {}, env="remote_envs:Imports-v0")
    weights, _ = make_networks(make_scaling())
    work.until(lambda: work.batches)
    work.source.policy = type(weights)(weights.weights(), weights.scaling, version=7)
    work.until(lambda: work.batches[-1].policy_version == 7)
    work.end()
    assert max(batch.reward.max() for batch in work.batches) == 0.0


def test_workers_get_no_more_calls_than_the_limiter_allows(cluster):
    work = Work(cluster, {}, samples_per_insert=1.0)
    work.until(lambda: work.episodes()[0] > 0)
    time.sleep(1.0)
    assert len(work.replay) == 0  # one batch exceeds what learning_starts and the tolerance allow
    work.end()


@pytest.mark.parametrize("fault", ["fail", "die", "hang"])
def test_a_worker_that_fails_dies_or_hangs_goes_on_and_so_do_the_others(cluster, fault, tmp_path):
    work = Work(cluster, {"fault": fault, "marker": str(tmp_path / "marker"), "seconds": 0.001}, {"seconds": 0.001})
    work.until(lambda: min(work.episodes()) > 30)
    work.end()
    (failure,) = work.failures
    says = {
        "fail": "a gear is broken",
        "die": "the worker of agent 0 died (ActorDiedError); 2 batches in flight are lost",
        "hang": "agent 0 has waited for its environment for more than 2 seconds; 2 batches in flight are lost",
    }
    assert failure[0] == 0
    assert says[fault] in failure[1]


def test_the_run_ends_when_every_worker_has_failed(cluster, tmp_path):
    work = Work(cluster, {"fault": "die", "marker": str(tmp_path / "no folder" / "marker")}, env_restarts=1)
    work.thread.join(60.0)
    assert isinstance(work.error, EnvironmentFailure)
    assert "no agent is left" in str(work.error)


def test_an_error_of_parameters_ends_the_run_as_it_is(cluster):
    work = Work(cluster, {}, env="NoSuch-v0")
    work.thread.join(60.0)
    assert isinstance(work.error, ParameterError)
    assert "NoSuch" in str(work.error)


def test_agents_without_a_core_wait_and_it_is_said(cluster, capsys):
    cores = cluster.ray.cluster_resources()["CPU"]
    connect(num_agents=2, ray_cpus_per_agent=0.75 * cores)  # that of the fixture
    work = Work(cluster, {}, {}, ray_cpus_per_agent=0.75 * cores)
    work.until(lambda: sum(work.episodes()) > 30)
    time.sleep(2.5)  # longer than env_timeout
    work.end()
    assert (min(work.episodes()), work.failures) == (0, [])
    assert f"Ray has {cores:g} cores, and 2 agents ask for {0.75 * cores:g} each: 1 of them act" in capsys.readouterr().out


def test_cores_that_this_machine_does_not_have_are_refused(cluster):
    with pytest.raises(ParameterError, match="agents ask for 1000 each: 0 of them act, the others never do"):
        connect(ray_cpus_per_agent=1000.0)


def test_a_port_where_something_else_listens_is_refused_in_time(monkeypatch):
    monkeypatch.setattr(ray_cluster, "ANSWERED", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ParameterError, match="there is no Ray cluster at"):
        connect(ray_address=f"127.0.0.1:{server.getsockname()[1]}")


def test_states_are_restored(cluster):
    work = Work(cluster, {})
    work.until(lambda: len(work.batches) >= 2)
    work.end()
    states = work.workers.state()
    other = RayWorkers(cluster, work.arguments, work.params, work.fail, Console())
    other.restore(states)
    assert (other.state(), other.episodes) == (states, work.workers.episodes)


def test_nothing_listens_beyond_this_machine(cluster):
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout.splitlines()
    below = descendants() | {os.getpid()}
    rays = [line.split()[3] for line in lines if {int(pid) for pid in re.findall(r"pid=(\d+)", line)} & below]
    assert len(rays) > 3
    assert all("127.0.0.1" in address for address in rays), rays


def test_without_ray_the_error_has_the_install_line(monkeypatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install -r requirements-ray.txt"):
        connect()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "there is no Ray cluster at --ray-address 127.0.0.1:1: .*refused"),
        ("no-such-host.invalid:6379", "there is no Ray cluster at --ray-address no-such-host.invalid:6379"),
        ("127.0.0.1", "--ray-address must be auto or host:port, got 127.0.0.1"),
        ("ray://127.0.0.1:10001", "--ray-address must be auto or host:port"),
        ("127.0.0.1:x", "--ray-address must be auto or host:port"),
        ("127.0.0.1:99999", "--ray-address must be auto or host:port"),
    ],
)
def test_an_address_without_a_cluster_is_refused(address, says):
    with pytest.raises(ParameterError, match=says):
        connect(ray_address=address)
