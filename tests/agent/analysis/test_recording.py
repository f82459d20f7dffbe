"""Films of checkpoints: one, a pair from the same start, a run's growth."""

import dataclasses
import time

import imageio.v3 as imageio
import numpy as np
import pytest
from factories import save_checkpoint as save
from imageio_ffmpeg import count_frames_and_secs

from agent.analysis.recording import (
    SECONDS_EACH,
    drawing,
    episode_gif,
    frames,
    record_episode,
    record_pair,
    record_series,
    recording_seed,
    returns_window,
)
from agent.evaluation import play
from agent.loading import at_step, load_checkpoint, load_series
from params import PlayParams
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, DependencyError
from utils.media.overlay import GREEN

make = EnvSpec("Pendulum-v1", max_ep_length=8).make


class Pushes:
    """A policy of one action."""

    def __init__(self, torque):
        self._torque = torque

    def act(self, obs):
        return np.full((len(obs), 1), self._torque, np.float32)


def shown(path):
    """The frames of a saved film."""
    return list(imageio.imread(path))


def bars(frame):
    """On which side of the panel's action, whose middle is 0, the bar stands."""
    columns = np.flatnonzero((abs(frame - np.array(GREEN)) < 30).all(axis=2).any(axis=0))  # a GIF has few colours
    return "left" if columns.mean() < (205 + 6 + 320 - 8) / 2 else "right"


@pytest.fixture
def params(tmp_path):
    for step in (10, 20, 30, 40):
        save(tmp_path / "Pendulum-v1" / f"Pendulum-v1.ckpt-{step}", make())
    return PlayParams(ckpt_dir=str(tmp_path))


def test_a_recording_has_a_frame_for_each_step_with_the_panel_below(params, tmp_path):
    path = tmp_path / "film.gif"
    episode = record_episode(make, load_checkpoint(params), 0, path)
    assert [frame.shape for frame in shown(path)] == [
        (320 + 109, 320, 3)
    ] * 5  # of 30 frames a second every other, and the last
    assert episode.length == 8
    assert episode_gif(make, load_checkpoint(params), 0) == path.read_bytes()
    record_episode(make, load_checkpoint(params), 0, path, overlay=False)
    assert shown(path)[0].shape == (320, 320, 3)
    size = path.stat().st_size
    record_episode(make, load_checkpoint(params), 0, path, overlay=False, gif_bytes=size - 1)
    assert path.stat().st_size < size


def test_a_recorded_episode_is_played_to_its_end_and_returned(params, tmp_path):
    episode = record_episode(EnvSpec("Pendulum-v1", max_ep_length=100).make, load_checkpoint(params), 0, tmp_path / "film.gif")
    assert episode.length == 100
    assert episode.episode_return < 0


def test_record_pair_shows_two_checkpoints_from_the_same_start(params, tmp_path):
    pair = [at_step(params, step) for step in (10, 40)]
    record_pair(make, pair, 0, tmp_path / "film.gif")
    first = shown(tmp_path / "film.gif")[0]
    left, right = first[:, :320], first[:, -320:]
    assert first.shape[1] == 644
    np.testing.assert_array_equal(left[30:300], right[30:300])  # the same policy here, so the same pendulum
    assert (left[:18] != right[:18]).any()  # but another step above it


def test_a_step_that_was_not_saved_is_a_sentence_with_those_that_were(params):
    with pytest.raises(CheckpointError, match="no checkpoint of learner step 15 in .*; it has 10, 20, 30, 40"):
        at_step(params, 15)


def test_a_step_that_was_not_saved_names_the_only_one_that_was(tmp_path):
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-600", make())
    with pytest.raises(CheckpointError, match="no checkpoint of learner step 5000 in .*; it has 600 only"):
        at_step(PlayParams(ckpt_dir=str(tmp_path)), 5000)
    with pytest.raises(CheckpointError, match="; it has none"):
        at_step(PlayParams(ckpt_dir=str(tmp_path / "empty")), 5000)


@pytest.mark.parametrize(("at_most", "steps"), [(9, [10, 20, 30, 40]), (3, [10, 30, 40]), (2, [10, 40]), (1, [40])])
def test_a_reduced_series_keeps_the_newest_checkpoint(params, at_most, steps):
    assert [loaded.learner_step for loaded in load_series(params, at_most)] == steps


def test_a_damaged_checkpoint_is_left_out_of_a_series_and_reported(params, tmp_path):
    (tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-20" / "policy.npz").write_bytes(b"rubbish")
    series = load_series(params, 9)
    assert [loaded.learner_step for loaded in series] == [10, 30, 40]
    assert "ckpt-20" in series[-1].notes[0]


def test_a_series_shows_each_checkpoint_with_its_learner_step(params, tmp_path):
    long = EnvSpec("Pendulum-v1", max_ep_length=200).make
    young, old = load_series(params, 2)
    checkpoints = [dataclasses.replace(young, policy=Pushes(-2.0)), dataclasses.replace(old, policy=Pushes(2.0))]
    record_series(long, checkpoints, 0, tmp_path / "film.gif")
    frames_shown = shown(tmp_path / "film.gif")
    assert len(frames_shown) == 2 * SECONDS_EACH * 15 + 1  # of 30 frames a second every other, and the last
    first = frames_shown[0][:20].astype(int)
    titled = [abs(frame[:20] - first).max() < 128 for frame in frames_shown]  # as the first: a GIF has few colours
    assert titled == [True] * 60 + [False] * 61
    assert [bars(frame) for frame in frames_shown] == ["left"] * 60 + ["right"] * 61


def test_a_series_repeats_the_last_frame_of_a_short_episode(params, tmp_path):
    record_series(make, load_series(params, 2), 0, tmp_path / "film.mp4")
    frame_count, _ = count_frames_and_secs(tmp_path / "film.mp4")
    assert frame_count == 2 * (8 + 45)  # 8 steps, and 1.5 seconds of 30 frames


def test_the_panel_axis_holds_the_mass_of_the_complete_episode(params):
    pair = load_series(params, 2)
    low, high = returns_window(pair, make(), 0)
    for loaded in pair:
        for step, _ in play(loaded.policy, make(), 0):
            (probs,) = loaded.critic.distribution(step.obs[None], step.action[None])
            outside = (loaded.critic.atoms < low) | (loaded.critic.atoms > high)
            assert probs[outside].sum() <= 0.01


def test_pendulum_starts_hanging_down_unless_a_seed_is_given():
    (angle_cosine, _, speed), _ = make().reset(seed=recording_seed("Pendulum-v1"))
    assert angle_cosine < -0.999
    assert abs(speed) < 0.1
    assert recording_seed("Pendulum-v1", 999_999) == 999_999
    assert recording_seed("LunarLanderContinuous-v3") == PlayParams.random_seed


def test_an_environment_that_cannot_render_is_a_sentence():
    env = make()
    env.env.unwrapped.metadata = {"render_modes": ["human"]}
    with pytest.raises(DependencyError, match=r"cannot draw into a picture \(it offers \['human'\]\)"):
        drawing(lambda **_: env)


def test_a_hundred_frames_with_the_overlay_take_less_than_five_seconds(params):
    env = drawing(EnvSpec("Pendulum-v1", max_ep_length=100).make)
    begun = time.process_time()  # of this process: the machine may be busy
    drawn = list(frames(load_checkpoint(params), env, 0, lambda frame: 320))
    assert len(drawn) == 100
    assert time.process_time() - begun < 5.0
