"""Which checkpoint a person means."""

import numpy as np
import pytest
from small_checkpoints import save

import params as parameters
from agent import choice
from agent.choice import choose
from utils.env_spec import EnvSpec
from utils.errors import CheckpointError


@pytest.fixture
def env():
    return EnvSpec("Pendulum-v1").make()


def params(tmp_path, **changes):
    return parameters.TestParams(ckpt_dir=str(tmp_path), **changes)


def test_the_newest_by_learner_step_not_by_name(tmp_path, env):
    for step in (9, 100, 20):
        save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", env)
    chosen = choose(params(tmp_path), env)
    assert (chosen.learner_step, chosen.run_id, chosen.env_step, chosen.seconds) == (100, "r1", 800, 1.5)
    assert chosen.policy.act(np.zeros((4, 3))).shape == (4, 1)


def test_a_damaged_newest_is_passed_over_and_said(tmp_path, env):
    for step in (10, 20):
        newest = save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", env)
    (newest / "critic.npz").write_bytes(b"rubbish")
    chosen = choose(params(tmp_path), env)
    assert chosen.learner_step == 10
    assert "ckpt-20" in chosen.notes[0]


def test_a_run_has_its_own_folder(tmp_path, env):
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    save(tmp_path / "Pendulum-v1" / "mine" / "Pendulum-v1.ckpt-5", env)
    assert choose(params(tmp_path, run="mine"), env).learner_step == 5


def test_a_named_one_by_path_or_by_name_in_the_folder(tmp_path, env):
    path = save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-20", env)
    assert choose(params(tmp_path, ckpt_file=str(path)), env).learner_step == 10
    assert choose(params(tmp_path, ckpt_file=path.name), env).learner_step == 10
    with pytest.raises(CheckpointError, match="there is no checkpoint nowhere"):
        choose(params(tmp_path, ckpt_file="nowhere"), env)


def test_only_damaged_ones_are_an_error_not_a_reason_to_take_the_shipped(tmp_path, env):
    path = save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    (path / "policy.npz").unlink()
    with pytest.raises(CheckpointError, match="policy.npz is missing"):
        choose(params(tmp_path), env)


def test_the_shipped_one_when_there_is_no_own(tmp_path, env, monkeypatch):
    monkeypatch.setattr(choice, "HERE", tmp_path)
    with pytest.raises(CheckpointError, match="none is shipped"):
        choose(params(tmp_path), env)
    save(tmp_path / "ckpts" / "shipped" / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    chosen = choose(params(tmp_path), env)
    assert chosen.learner_step == 10
    assert "shipped" in chosen.notes[0]


def test_one_of_another_environment_is_refused_by_name_and_by_size(tmp_path, env):
    other = save(tmp_path / "X.ckpt-1", env, env_id="LunarLanderContinuous-v3")
    with pytest.raises(CheckpointError, match="add --env LunarLanderContinuous-v3"):
        choose(params(tmp_path, ckpt_file=str(other)), env)
    other = save(tmp_path / "X.ckpt-2", env, obs_size=4)
    with pytest.raises(CheckpointError, match="observations of 4 numbers, not 3"):
        choose(params(tmp_path, ckpt_file=str(other)), env)
