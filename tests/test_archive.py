"""What a run keeps, and how a training goes on from it. Real learners, no training."""

import numpy as np
import pytest

from agent.agent import Agent
from agent.archive import Archive
from agent.crew import Crew
from agent.learner import Learner
from agent.policy import Critic, Policy, Scaling
from params import TrainParams
from utils.checkpoints import Checkpoint, list_checkpoints
from utils.console import Console
from utils.envs import make_env
from utils.errors import CheckpointError
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay
from utils.runs import Run, read_run


def small(**changes):
    return TrainParams(**{"v_min": -20.0, "v_max": 0.0, "dense1_size": 8, "dense2_size": 8, "num_agents": 2} | changes)


def archive_in(folder, params, seed=0, incarnation=0):
    env = make_env(params.env)
    scaling = Scaling.fitting(env, params)
    replay = PrioritisedReplay(100, 3, 1, 0.6, 1e-5, np.random.default_rng(0))
    learner = Learner(params, scaling, replay, np.random.default_rng(seed))
    console = Console()

    def make_agent(index):
        return Agent(index, lambda: make_env(params.env), learner, params, scaling, np.random.SeedSequence(index))

    crew = Crew(make_agent, params.num_agents, 60.0, folder / "stacks.txt", console)
    run = Run(folder)
    archive = Archive(run, params, scaling, learner, crew, replay, RateLimiter(1.0, 10, 1.0), console, incarnation)
    return archive, learner, crew.agents, run


def saved(folder, steps, **changes):
    """A run with checkpoints of these learner steps, whose lock has been let go."""
    archive, learner, agents, run = archive_in(folder, small(**changes))
    for step in steps:
        learner.learner_step = step
        archive.save()
    archive.finish()
    run.close()
    return archive, learner, agents


def test_a_checkpoint_holds_everything_and_says_so(tmp_path):
    archive, learner, agents = saved(tmp_path / "E", [40])
    checkpoint = Checkpoint(tmp_path / "E" / "Pendulum-v1.ckpt-40").verify()
    manifest = checkpoint.manifest
    assert manifest["env"] == "Pendulum-v1"
    assert manifest["learner_step"] == 40
    assert manifest["params"]["num_atoms"] == 51
    assert set(manifest["files"]) == {"policy.npz", "critic.npz", "learner.npz", "state.json"}
    assert set(manifest["versions"]) == {"tensorflow", "keras", "numpy", "gymnasium"}
    assert not any("dir" in name for name in manifest["params"])  # no path of this machine
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(Policy.of(checkpoint).act(obs), 2.0 * learner.actor(obs).numpy(), rtol=1e-4, atol=1e-6)
    assert Critic.of(checkpoint).atoms[0] == -20.0
    assert read_run(tmp_path / "E")["learner_step"] == 40


def test_restore_brings_back_networks_counters_and_noise(tmp_path):
    _, learner, agents = saved(tmp_path / "E", [])
    archive, learner, agents, run = archive_in(tmp_path / "F", small())
    agents[0].noise.episodes, agents[1].noise.episodes = 3, 5
    learner.learner_step = 40
    archive._env_steps_before, archive._seconds_before = 320, 100.0
    path = archive.save_last()
    run.close()

    restored, other, their_agents, _ = archive_in(tmp_path / "F", small(), seed=1)
    assert restored.restore(Checkpoint(path)) == ["The replay is that of learner step 40, 0 transitions."]
    assert other.learner_step == 40
    assert [agent.noise.episodes for agent in their_agents] == [3, 5]
    assert restored.env_step == 320
    assert 100.0 <= restored.seconds < 130.0
    first, second = learner.snapshot()[2], other.snapshot()[2]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_restore_lists_each_size_that_differs_and_says_each_rate_that_changed(tmp_path):
    saved(tmp_path / "E", [40])
    path = tmp_path / "E" / "Pendulum-v1.ckpt-40"
    archive, *_ = archive_in(tmp_path / "F", small(dense1_size=9, v_min=-10.0))
    with pytest.raises(CheckpointError, match="dense1_size was 8 and is 9; v_min was -20.0 and is -10.0"):
        archive.restore(Checkpoint(path))
    archive, *_ = archive_in(tmp_path / "G", small(tau=0.5))
    assert archive.restore(Checkpoint(path)) == ["tau was 0.001 and is 0.5 from here on.", "The replay starts empty."]


def test_the_oldest_checkpoints_go_when_there_are_too_many(tmp_path):
    saved(tmp_path / "E", [10, 20, 30, 40], max_ckpts=1)  # none has been tested, so twice as many stay
    assert [path.name for path in list_checkpoints(tmp_path / "E")] == ["Pendulum-v1.ckpt-30", "Pendulum-v1.ckpt-40"]


def test_saving_the_same_step_again_writes_nothing(tmp_path):
    archive, learner, *_ = archive_in(tmp_path / "E", small())
    learner.learner_step = 10
    path = archive.save_last()
    before = (path / "manifest.json").stat().st_mtime_ns
    assert archive.save_last() == path
    assert (path / "manifest.json").stat().st_mtime_ns == before
    assert archive.newest == path
