"""The door to Gymnasium: what is refused and how it is said, and that what comes through is sound."""

import contextlib
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import faulty_envs
import numpy as np
import pytest

from params import ENVS
from utils.envs import environment as envs
from utils.envs.spec import EnvSpec
from utils.errors import DependencyError, EnvironmentFailure, ParameterError

ZERO = np.zeros(1, np.float32)
ROOT = Path(__file__).resolve().parents[3]


def stepped_to_the_fault(env_id):
    """An environment whose next step is its faulty one."""
    env = EnvSpec(env_id).make()
    env.reset(seed=0)
    for _ in range(faulty_envs.FAULTY_STEP - 1):
        env.step(ZERO)
    return env


# ---- what is refused


@pytest.mark.parametrize("name", faulty_envs.REFUSED)
def test_a_space_that_is_not_supported_is_refused_naming_it_and_what_is(name):
    observes, _, word = faulty_envs.REFUSED[name]
    with pytest.raises(ParameterError) as caught:
        EnvSpec(f"{name}-v0").make()
    said = str(caught.value)
    assert f"{name}-v0" in said
    assert word in said
    assert "observation space" in said if observes is not faulty_envs.UNIT else "action space" in said
    assert "supported" in said or "add --action-bound" in said or "must exceed" in said


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")  # Gymnasium's, before the error that counts
@pytest.mark.parametrize(
    ("env_id", "said"),
    [
        ("Pendulun-v1", "Did you mean: `Pendulum`"),  # Gymnasium's suggestion is kept
        ("Pendulum-v0", "Please use `Pendulum-v1`"),
        ("Pendulum-v99", "It provides versioned environments: [ `v1` ]"),
        ("NoSuchThing-v0", "doesn't exist"),
        ("nowhere/Thing-v0", "Namespace nowhere not found"),
        ("no id at all!", "Malformed environment ID"),
        ("", "Malformed environment ID"),
        ("no_such_module:Thing-v0", "No module named 'no_such_module'"),
        ("os:Thing-v0", "doesn't exist"),
        ("one:two:Three-v0", "one:two:Three-v0"),
        (":Pendulum-v1", ":Pendulum-v1"),
        (".relative:Thing-v0", ".relative:Thing-v0"),
        ("../folder:Thing-v0", "../folder:Thing-v0"),
    ],
)
def test_an_id_that_is_no_environment_is_refused_in_one_sentence(env_id, said):
    with pytest.raises(ParameterError) as caught:
        EnvSpec(env_id).make()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert env_id in str(caught.value)


@pytest.mark.parametrize(
    ("env_id", "said"),
    [
        ("NeedsPackage-v0", 'pip install "box2d"'),  # Gymnasium's install line is kept
        ("NeedsLibrary-v0", "libGL.so.1"),
        ("NeedsModule-v0", "no_such_package"),
    ],
)
def test_a_missing_dependency_is_named(env_id, said):
    with pytest.raises(DependencyError) as caught:
        EnvSpec(env_id).make()
    assert env_id in str(caught.value)
    assert said in str(caught.value)


def test_spaces_of_an_environment_that_was_never_registered_are_checked_too():
    with pytest.raises(ParameterError, match=r"Mine has the action space Discrete\(3\)"):
        envs.Environment(faulty_envs.Tiny(acts=faulty_envs.Discrete(3)), "Mine")


# ---- what is known of an environment


def test_sizes_and_bounds_are_those_of_the_spaces():
    env = EnvSpec("Asymmetric-v0").make()
    assert (env.obs_size, env.action_size) == (1, 3)
    assert env.action_low.tolist() == [-1, 0, 2]
    assert env.action_high.tolist() == [0.5, 10, 3]
    assert env.action_low.dtype == env.action_high.dtype == np.float32


@pytest.mark.parametrize("env_id", ["Healthy-v0", "faulty_envs:Healthy-v0"])
def test_the_id_is_the_one_that_was_asked_for(env_id):
    # A checkpoint records the id it was trained with, and is compared with this one.
    assert EnvSpec(env_id).make().id == env_id


def test_unbounded_observations_are_fine():
    assert EnvSpec("UnboundedObservation-v0").make().reset(seed=0)[0].shape == (2,)


@pytest.mark.parametrize("name", faulty_envs.FLATTENED)
def test_structured_observations_become_vectors(name):
    env, expected = EnvSpec(f"{name}-v0").make(), faulty_envs.FLATTENED[name][2]
    assert env.obs_size == len(expected)
    for obs in (env.reset(seed=0)[0], env.step(ZERO)[0]):
        assert obs.dtype == np.float32
        assert obs.tolist() == expected


def test_actions_of_any_shape_are_vectors_here_and_have_their_shape_in_the_environment():
    matrix, scalar = EnvSpec("MatrixAction-v0").make(), EnvSpec("ScalarAction-v0").make()
    assert (matrix.action_low.tolist(), matrix.action_high.tolist()) == ([-1, 0, 2, 3], [1, 1, 4, 5])
    for env in (matrix, scalar):
        env.reset(seed=0)
    matrix.step(np.float32([0, 9, 2.5, 3.5]))
    assert matrix.unwrapped.received[0].tolist() == [[0, 1], [2.5, 3.5]]
    scalar.step(np.float32([0.5]))
    assert scalar.unwrapped.received[0].shape == ()


def test_an_environment_whose_constructor_takes_nothing_can_be_made():
    env = EnvSpec("Bare-v0").make()
    assert env.reset(seed=0)[0].tolist() == [0]
    assert env.step(ZERO)[1:4] == (0.0, True, False)


@pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")  # as an error it crashes Box2D's import
@pytest.mark.parametrize("env_id", sorted(ENVS))
def test_the_environments_of_params_can_be_made(env_id):
    env = EnvSpec(env_id).make()
    obs, _ = env.reset(seed=3)
    middle = (env.action_low + env.action_high) / 2
    next_obs, reward, terminated, truncated, _ = env.step(middle)
    for seen in (obs, next_obs):
        assert seen.shape == (env.obs_size,)
        assert seen.dtype == np.float32
    assert type(reward) is float
    assert type(terminated) is type(truncated) is bool
    np.testing.assert_array_equal(env.reset(seed=3)[0], obs)  # the seed alone decides where an episode starts
    env.close()


# ---- observations


@pytest.mark.parametrize("env_id", ["Float64-v0", "Float16-v0", "Uint8-v0", "Int64-v0", "Bool-v0"])
def test_every_observation_is_float32(env_id):
    env = EnvSpec(env_id).make()
    for obs in (env.reset(seed=0)[0], env.step(ZERO)[0]):
        assert obs.dtype == np.float32
        assert obs.shape == (3,)


def test_uint8_values_are_not_scaled():
    env = EnvSpec("Uint8-v0").make()
    obs, _ = env.reset(seed=0)
    np.testing.assert_array_equal(obs, np.round(obs))
    assert obs.max() > 1  # nothing is scaled


def test_a_returned_observation_does_not_change_later():
    env = EnvSpec("OneArray-v0").make()
    first, _ = env.reset(seed=0)
    second = env.step(ZERO)[0]
    assert second[0] == first[0] + 1


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of 1e39 to float32, which is the case here
@pytest.mark.parametrize("name", ["NanObservation", "InfObservation", "HugeObservation"])
def test_an_observation_that_is_not_finite_fails_naming_environment_and_step(name):
    env = stepped_to_the_fault(f"{name}-v0")
    with pytest.raises(EnvironmentFailure, match=f"{name}-v0 returned the observation .* in step 3"):
        env.step(ZERO)


def test_a_first_observation_that_is_not_finite_fails():
    with pytest.raises(EnvironmentFailure, match="NanInReset-v0 returned the observation"):
        EnvSpec("NanInReset-v0").make().reset(seed=0)


@pytest.mark.parametrize(("name", "shape"), [("LateShape", "(2,)"), ("LateScalar", "()"), ("LateMatrix", "(1, 1)")])
def test_a_shape_that_changes_late_fails_naming_both(name, shape):
    env = stepped_to_the_fault(f"{name}-v0")
    with pytest.raises(EnvironmentFailure) as caught:
        env.step(ZERO)
    assert (
        str(caught.value) == f"{name}-v0 returned an observation of shape {shape} in step 3 of an episode, its space says (1,)"
    )


# ---- rewards


@pytest.mark.parametrize(("name", "value"), [("NanReward", "nan"), ("InfReward", "-inf"), ("HugeReward", "1e\\+39")])
def test_a_reward_that_is_not_finite_in_float32_fails_naming_environment_and_step(name, value):
    # The replay is float32: a reward of 1e39 would be infinite there.
    env = stepped_to_the_fault(f"{name}-v0")
    with pytest.raises(EnvironmentFailure, match=f"{name}-v0 returned the reward {value} in step 3"):
        env.step(ZERO)


def test_a_reset_after_a_failure_starts_a_valid_episode():
    env = stepped_to_the_fault("NanReward-v0")
    with pytest.raises(EnvironmentFailure):
        env.step(ZERO)
    assert np.isfinite(env.reset(seed=1)[0]).all()
    _, reward, *_ = env.step(ZERO)
    assert np.isfinite(reward)


# ---- every exception of an environment is an EnvironmentFailure


@pytest.mark.parametrize("name", [name for name in [*faulty_envs.FAULTS, *faulty_envs.ANSWERS] if name != "HangInStep"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_every_fault_in_a_step_is_one_sentence_that_names_environment_and_step(name):
    env = stepped_to_the_fault(f"{name}-v0")
    with pytest.raises(EnvironmentFailure) as caught:
        env.step(ZERO)
    said = str(caught.value)
    assert said.startswith(f"{name}-v0 ")
    assert "in step 3 of an episode" in said
    assert "\n" not in said
    assert len(said) < 700


def test_the_exception_of_a_step_is_the_cause_and_names_the_action():
    env = stepped_to_the_fault("CrashInStep-v0")
    with pytest.raises(EnvironmentFailure) as caught:
        env.step(np.float32([0.5]))
    assert str(caught.value) == (
        "CrashInStep-v0 failed in step 3 of an episode, action [0.5]: RuntimeError: the simulator exploded"
    )
    assert type(caught.value.__cause__) is RuntimeError  # with its traceback, for --debug


def test_a_reset_that_fails_is_named_with_its_seed():
    env = EnvSpec("CrashInReset-v0").make()
    env.reset(seed=0)
    with pytest.raises(
        EnvironmentFailure, match="CrashInReset-v0 failed in a reset with the seed 7: RuntimeError: .*come back"
    ):
        env.reset(seed=7)
    with pytest.raises(EnvironmentFailure, match="OldReset-v0 failed in a reset"):
        EnvSpec("OldReset-v0").make().reset(seed=0)


@pytest.mark.parametrize(
    ("name", "said"), [("CrashInMake", "no licence"), ("NoActionSpace", "has no observation_space or action_space")]
)
def test_an_environment_that_cannot_be_made_is_named(name, said):
    with pytest.raises(EnvironmentFailure, match=f"{name}-v0 .*{said}"):
        EnvSpec(f"{name}-v0").make()


def test_an_error_in_close_is_ignored():
    env = EnvSpec("CrashInClose-v0").make()
    env.reset(seed=0)
    env.close()


# ---- actions


@pytest.mark.parametrize(
    ("action", "received"),
    [
        ([0.25, 5.0, 2.5], [0.25, 5.0, 2.5]),
        ([9.0, 90.0, 9.0], [0.5, 10.0, 3.0]),
        ([-9.0, -9.0, -9.0], [-1.0, 0.0, 2.0]),
        ([np.inf, -np.inf, 2.0], [0.5, 0.0, 2.0]),
    ],
)
def test_actions_are_clipped_to_the_bounds_of_each_dimension(action, received):
    env = EnvSpec("Asymmetric-v0").make()
    env.reset(seed=0)
    given = np.array(action, np.float32)
    env.step(given)
    (seen,) = env.env.unwrapped.received
    assert seen.tolist() == received
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(given, np.array(action, np.float32))  # the caller's array is left alone


@pytest.mark.parametrize("side", ["action_low", "action_high"])
def test_bounds_in_float64_contain_what_is_stepped(side):
    # float32(0.3) is greater than 0.3, and float32(-0.1) less than -0.1.
    env = EnvSpec("Strict64-v0").make()
    env.reset(seed=0)
    env.step(getattr(env, side))
    (seen,) = env.env.unwrapped.received
    assert seen.dtype == np.float64


def test_an_action_that_is_not_a_number_fails_before_it_is_stepped():
    # Not every environment answers it with NaN, and then it would be stored.
    env = EnvSpec("Deaf-v0").make()
    env.reset(seed=0)
    with pytest.raises(EnvironmentFailure, match="action"):
        env.step(np.array([np.nan], np.float32))
    assert env.env.unwrapped.received == []


@pytest.mark.parametrize("shape", [(3,), (1, 1), ()])
def test_an_action_of_another_shape_fails_before_it_is_stepped(shape):
    # Pendulum, for one, would accept it.
    env = EnvSpec("Healthy-v0").make()
    env.reset(seed=0)
    with pytest.raises((EnvironmentFailure, ValueError), match="shape"):
        env.step(np.zeros(shape, np.float32))
    assert env.env.unwrapped.received == []


# ---- episodes


def test_an_episode_is_truncated_at_max_ep_length_and_the_next_counts_from_zero():
    env = EnvSpec("Endless-v0", max_ep_length=4).make()
    for _ in range(2):
        env.reset(seed=0)
        ends = [env.step(ZERO)[2:4] for _ in range(4)]
        assert ends == [(False, False)] * 3 + [(False, True)]


def test_a_termination_at_max_ep_length_stays_one():
    env = EnvSpec("Healthy-v0", max_ep_length=8).make()  # which is its own length
    env.reset(seed=0)
    ends = [env.step(ZERO)[2:4] for _ in range(8)]
    assert ends[-2] == (False, False)
    assert ends[-1][0]


def test_the_environments_own_time_limit_truncates():
    env = EnvSpec("TimeLimited-v0").make()
    env.reset(seed=0)
    assert [env.step(ZERO)[2:4] for _ in range(6)] == [(False, False)] * 5 + [(False, True)]


@pytest.mark.parametrize(("env_id", "ends"), [("OneStep-v0", (True, False)), ("OneStepTruncated-v0", (False, True))])
def test_episodes_of_one_step_are_episodes(env_id, ends):
    env = EnvSpec(env_id).make()
    for seed in range(3):
        env.reset(seed=seed)
        assert env.step(ZERO)[2:4] == ends


def test_every_reset_passes_its_seed():
    env = EnvSpec("Healthy-v0").make()
    (first, _), (second, _) = env.reset(seed=5), env.reset(seed=6)
    np.testing.assert_array_equal(env.reset(seed=5)[0], first)
    assert first != second
    assert env.env.unwrapped.resets == [5, 6, 5]


def test_an_action_is_repeated_and_its_rewards_are_summed():
    env = EnvSpec("Deaf-v0", action_repeat=3).make()  # pays 1 in each of its 8 environment steps
    for _ in range(2):
        env.reset(seed=0)
        steps = [env.step(ZERO) for _ in range(3)]
        assert [(reward, terminated, info["env_steps"]) for _, reward, terminated, _, info in steps] == [
            (3.0, False, 3),
            (3.0, False, 3),
            (2.0, True, 2),
        ]


def test_max_ep_length_counts_environment_steps_where_actions_are_repeated():
    env = EnvSpec("Endless-v0", action_repeat=3, max_ep_length=4).make()
    env.reset(seed=0)
    assert [(*env.step(ZERO)[2:4], env.fps) for _ in range(2)] == [(False, False, 10.0), (False, True, 10.0)]


# ---- the heartbeat


class Watched(faulty_envs.Tiny):
    """Keeps what the checking wrapper says of itself during each call."""

    wrapper, seen = None, ()

    def reset(self, **given):
        self.seen = [self.wrapper.waiting_since]
        return super().reset(**given)

    def step(self, action):
        self.seen.append(self.wrapper.waiting_since)
        return super().step(action)

    def close(self):
        self.seen.append(self.wrapper.waiting_since)


@pytest.mark.parametrize("fault", [None, faulty_envs.crash])
def test_waiting_since_is_the_start_of_the_call_in_progress(fault):
    inner = Watched(fault=fault)
    inner.wrapper = env = envs.Environment(inner, "Watched", action_repeat=faulty_envs.FAULTY_STEP)
    begun = time.monotonic()
    env.reset(seed=0)
    assert env.waiting_since is None
    with contextlib.suppress(EnvironmentFailure):
        env.step(ZERO)
    assert env.waiting_since is None
    env.close()
    assert env.waiting_since is None
    assert begun <= inner.seen[0]
    assert inner.seen == sorted(inner.seen)
    assert len(set(inner.seen)) == 5  # each of the three steps of one action has a start of its own
    assert inner.seen[-1] <= time.monotonic()


# ---- pictures and screens


def test_a_picture_is_an_array_of_bytes():
    env = EnvSpec("Healthy-v0").make(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (48, 64, 3)
    assert picture.dtype == np.uint8
    env.close()


@pytest.mark.parametrize("name", faulty_envs.PICTURES)
def test_an_invalid_picture_raises_environment_failure_naming_type_and_step(name):
    env = EnvSpec(f"{name}-v0").make(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (48, 64, 3)
    for _ in range(faulty_envs.FAULTY_STEP):
        env.step(ZERO)
    with pytest.raises(EnvironmentFailure) as caught:
        env.render()
    assert str(caught.value).startswith(f"{name}-v0 ")
    assert "after step 3 of an episode" in str(caught.value)
    assert faulty_envs.PICTURES[name][1] in str(caught.value)


def test_render_modes_and_fps_come_from_valid_metadata():
    said, silent = EnvSpec("Healthy-v0").make(), envs.Environment(faulty_envs.BadMetadata(), "Silent")
    assert (said.render_modes, said.fps) == (["rgb_array"], 30)
    assert (silent.render_modes, silent.fps) == ([], 30)
    assert EnvSpec("LunarLanderContinuous-v3").make().fps == 50


def test_a_screen_is_known_by_its_variables(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "")))
    assert not envs.has_screen()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert envs.has_screen()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setenv("DISPLAY", ":0")
    assert envs.has_screen()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "dummy egl"),
        ({"MUJOCO_GL": "osmesa"}, "dummy osmesa"),  # what a person has set is kept
        ({"DISPLAY": ":0"}, "None None"),
    ],
)
def test_without_a_screen_rendering_goes_to_memory(given, expected):
    inherited = {name: value for name, value in os.environ.items() if name == "PATH"}
    code = (
        "import os; os.uname = lambda: os.uname_result(('Linux', '', '', '', ''));"
        "import utils.envs.environment; print(os.environ.get('SDL_VIDEODRIVER'), os.environ.get('MUJOCO_GL'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=inherited | given, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(("given", "drawing", "training"), [("egl", "egl", "disable"), ("osmesa", "osmesa", "osmesa")])
def test_a_training_loads_no_renderer_that_tensorflow_cannot_live_with(monkeypatch, given, drawing, training):
    monkeypatch.setenv("MUJOCO_GL", given)
    for renders, expected in ((False, training), (True, drawing), (False, training)):
        envs.select_renderer(renders)
        assert os.environ["MUJOCO_GL"] == expected
    monkeypatch.delenv("MUJOCO_GL")
    envs.select_renderer(False)
    assert "MUJOCO_GL" not in os.environ


def test_make_and_step_print_nothing():
    # A warning would end up in the middle of the live view.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = EnvSpec("Pendulum-v1").make()
        env.reset(seed=0)
        env.step(ZERO)


def test_a_warning_of_gymnasium_is_shown_once_however_many_environments_are_made(run_code):
    done = run_code(
        """
        from utils.envs.spec import EnvSpec
        for _ in range(5):
            EnvSpec("Pendulum").make()
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Using the latest versioned environment `Pendulum-v1`") == 1
