"""Which checkpoint the parameters select."""

import numpy as np
import pytest
from factories import save_checkpoint as save

import params as config
from agent import loading
from agent.config import run_folder
from agent.loading import load_checkpoint
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, ParameterError
from utils.storage.results import COLUMNS, append_result


@pytest.fixture
def env():
    return EnvSpec("Pendulum-v1").make()


def params(tmp_path, **changes):
    return config.TestParams(ckpt_dir=str(tmp_path), **changes)


def test_the_newest_by_learner_step_not_by_name(tmp_path, env):
    for step in (9, 100, 20):
        save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", env)
    loaded = load_checkpoint(params(tmp_path))
    assert (loaded.learner_step, loaded.run_id, loaded.env_step, loaded.seconds) == (100, "r1", 800, 1.5)
    assert loaded.policy.act(np.zeros((4, 3))).shape == (4, 1)


def test_a_damaged_newest_is_passed_over_and_said(tmp_path, env):
    for step in (10, 20):
        newest = save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", env)
    (newest / "critic.npz").write_bytes(b"rubbish")
    loaded = load_checkpoint(params(tmp_path))
    assert loaded.learner_step == 10
    assert "ckpt-20" in loaded.notes[0]


def test_a_run_has_its_own_folder(tmp_path, env):
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    save(tmp_path / "Pendulum-v1" / "mine" / "Pendulum-v1.ckpt-5", env)
    assert load_checkpoint(params(tmp_path, run="mine")).learner_step == 5


def test_a_named_one_by_path_or_by_name_in_the_folder(tmp_path, env):
    path = save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-20", env)
    assert load_checkpoint(params(tmp_path, ckpt_file=str(path))).learner_step == 10
    assert load_checkpoint(params(tmp_path, ckpt_file=path.name)).learner_step == 10
    with pytest.raises(CheckpointError, match="there is no checkpoint nowhere"):
        load_checkpoint(params(tmp_path, ckpt_file="nowhere"))


def test_damaged_checkpoints_do_not_fall_back_to_the_shipped_one(tmp_path, env):
    path = save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    (path / "policy.npz").unlink()
    with pytest.raises(CheckpointError, match="policy.npz is missing"):
        load_checkpoint(params(tmp_path))


def test_the_shipped_one_when_there_is_no_own(tmp_path, env, monkeypatch):
    monkeypatch.setattr(loading, "HERE", tmp_path)
    with pytest.raises(CheckpointError, match="none is shipped"):
        load_checkpoint(params(tmp_path))
    save(tmp_path / "ckpts" / "shipped" / "Pendulum-v1" / "Pendulum-v1.ckpt-10", env)
    loaded = load_checkpoint(params(tmp_path))
    assert loaded.learner_step == 10
    assert "shipped" in loaded.notes[0]


def test_one_of_another_environment_is_refused_by_name_and_by_size(tmp_path, env):
    other = save(tmp_path / "X.ckpt-1", env, env_id="LunarLanderContinuous-v3")
    with pytest.raises(CheckpointError, match="add --env LunarLanderContinuous-v3"):
        load_checkpoint(params(tmp_path, ckpt_file=str(other)))
    other = save(tmp_path / "X.ckpt-2", env, obs_size=4)
    with pytest.raises(CheckpointError, match="observations of 4 numbers, not 3"):
        load_checkpoint(params(tmp_path, ckpt_file=str(other)))


# ---- --shipped and --ckpt-file best


def test_shipped_selects_the_shipped_policy_beside_a_run(tmp_path, env):
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-999", env)
    loaded = load_checkpoint(params(tmp_path, shipped=True))
    assert loaded.path == config.HERE / "ckpts" / "shipped" / "Pendulum-v1" / "Pendulum-v1.ckpt-190000"
    assert loaded.notes == []
    assert [one.learner_step for one in loading.load_series(params(tmp_path, shipped=True), 6)] == [190000]


@pytest.mark.parametrize("more", [{"run": "mine"}, {"ckpt_file": "best"}])
def test_shipped_excludes_a_run_and_a_name(tmp_path, env, more):
    with pytest.raises(ParameterError, match="goes with neither --run nor --ckpt-file"):
        load_checkpoint(params(tmp_path, shipped=True, **more))


def test_shipped_says_when_no_policy_is_shipped(tmp_path, env, monkeypatch):
    monkeypatch.setattr(loading, "HERE", tmp_path)
    with pytest.raises(CheckpointError, match="^none is shipped for Pendulum-v1"):
        load_checkpoint(params(tmp_path, shipped=True))


def test_outputs_of_the_shipped_policy_are_those_of_a_run_named_shipped(tmp_path):
    assert run_folder("root", params(tmp_path, shipped=True)).as_posix() == "root/Pendulum-v1/shipped"


def best(tmp_path):
    return params(tmp_path, ckpt_file="best", results_dir=str(tmp_path / "results"))


def score(tmp_path, learner_step, mean, first_seed=1_000_000, episodes=100):
    row = dict(learner_step=learner_step, mean=mean, sem=0.0, first_seed=first_seed, episodes=episodes, run_id="r1")
    append_result(tmp_path / "results" / "Pendulum-v1", dict.fromkeys(COLUMNS, "") | row)


def test_best_is_the_checkpoint_with_the_best_score_of_the_watcher(tmp_path, env):
    paths = {step: save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", env) for step in (10, 20, 30)}
    for learner_step, mean in ((10, -150.0), (20, -140.0), (30, -160.0), (40, -1.0)):  # 40 was deleted
        score(tmp_path, learner_step, mean)
    score(tmp_path, 30, -2.0, first_seed=0)  # published scores do not choose
    score(tmp_path, 10, -3.0, first_seed=7, episodes=3)  # nor does a score of another kind
    loaded = load_checkpoint(best(tmp_path))
    assert loaded.learner_step == 20
    assert loaded.notes == ["The best score of 3 checkpoints, -140.00, is that of Pendulum-v1.ckpt-20."]
    (paths[20] / "policy.npz").write_bytes(b"rubbish")
    loaded = load_checkpoint(best(tmp_path))
    assert loaded.learner_step == 10
    assert "Skipped" in loaded.notes[0]


def test_without_scores_best_is_the_newest_and_a_note_says_so(tmp_path, env):
    for step in (10, 20):
        save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", env)
    loaded = load_checkpoint(best(tmp_path))
    assert loaded.learner_step == 20
    assert "has a score of test_every_new_ckpt.py, so this is the newest" in loaded.notes[0]
