"""The film for TensorBoard is made by a child process, within its time."""

import pytest
from callback_events import make_pendulum
from factories import make_params, save_checkpoint

from agent.training.callbacks import recording as module
from agent.training.callbacks.recording import record_checkpoint
from utils.envs.spec import EnvSpec
from utils.errors import DependencyError
from utils.storage.verified_folder import remove_verified


@pytest.fixture
def checkpoint(tmp_path):
    return save_checkpoint(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-32", make_pendulum())


def test_film_is_a_gif_rendered_in_another_process(checkpoint, monkeypatch):
    def render(env_id):
        raise AssertionError("rendered here")

    monkeypatch.setattr("utils.envs.spec._check_may_render", render)
    assert record_checkpoint(make_params(max_ep_length=8), checkpoint).startswith(b"GIF8")


def test_film_of_an_environment_whose_module_has_a_dot(tmp_path):
    env = "examples.my_env:Rocket-v0"
    checkpoint = save_checkpoint(tmp_path / "examples.my_env_Rocket-v0.ckpt-32", EnvSpec(env).make())
    assert record_checkpoint(make_params(env=env, max_ep_length=8), checkpoint).startswith(b"GIF8")


def test_film_of_a_missing_checkpoint_names_the_reason(checkpoint):
    remove_verified(checkpoint)
    with pytest.raises(DependencyError, match=r"^there is no checkpoint "):
        record_checkpoint(make_params(max_ep_length=8), checkpoint)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_film_ends_with_its_time_and_with_the_training(checkpoint, monkeypatch, is_stopped):
    monkeypatch.setattr(module, "RECORDING_SECONDS", 600.0 if is_stopped else 0.1)
    with pytest.raises(DependencyError, match="it took more than"):
        record_checkpoint(make_params(max_ep_length=8), checkpoint, lambda: is_stopped)
