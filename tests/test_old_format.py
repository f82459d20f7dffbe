"""A run that the first version of the toolkit wrote (tests/data/format_1) still loads, scores and resumes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_learner import omit_recording

import params
from agent.loading import load_checkpoint
from agent.policy import Critic, Policy
from agent.training import train

OLD = Path(__file__).parent / "data" / "format_1" / "Pendulum-v1"
CHECKPOINT = "Pendulum-v1.ckpt-16"


def test_networks_give_the_same_numbers():
    policy, critic = Policy.load(OLD / CHECKPOINT), Critic.load(OLD / CHECKPOINT)
    obs = np.array([[1, 0, 0], [0, 1, -4]], np.float32)
    np.testing.assert_allclose(policy.act(obs), [[9.202957e-05], [1.9717216e-04]], rtol=1e-4)
    np.testing.assert_allclose(critic.value(obs, policy.act(obs)), [-999.21759, -998.91248], rtol=1e-5)


def test_checkpoint_without_an_env_spec_is_loaded_for_its_environment():
    given = params.TestParams(ckpt_dir=str(OLD.parent))
    loaded = load_checkpoint(given)
    assert (loaded.learner_step, loaded.env_spec.id) == (16, "Pendulum-v1")


@pytest.mark.slow(seconds=15)
def test_run_resumes_with_its_replay_and_its_parameters(tmp_path, monkeypatch):
    omit_recording(monkeypatch)
    shutil.copytree(OLD, tmp_path / "ckpts" / "Pendulum-v1")
    folders = {f"{name}_dir": str(tmp_path / f"{name}s") for name in ("ckpt", "log", "results")}
    result = train(resume=True, num_steps_train=24, max_ep_length=20, **folders)
    assert (result.learner_step, result.status) == (24, "done")
    manifest = load_checkpoint(params.TestParams(ckpt_file=str(result.checkpoint))).manifest
    assert manifest["params"]["dense1_size"] == 8  # recorded by the old run, not the default
    assert manifest["env_step"] > 64  # the old run's steps count
