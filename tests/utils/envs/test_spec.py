"""How an environment is described, and made from its description."""

import dataclasses
import json
from types import SimpleNamespace

import faulty_envs
import gymnasium
import numpy as np
import pytest

from utils.envs import spec
from utils.envs.spec import EnvSpec, parse_kwargs, register
from utils.errors import EnvironmentFailure, ParameterError

ZERO = np.zeros(1, np.float32)
FULL = EnvSpec("Deaf-v0", {"length": 2, "truncates": True}, ("faulty_envs:DoubledReward", "faulty_envs:OneMore"), 2, 50)


def test_a_spec_is_the_same_after_json():
    record = json.loads(json.dumps(dataclasses.asdict(FULL)))
    assert EnvSpec.from_json(record) == FULL
    assert hash(EnvSpec.from_json(record)) == hash(FULL)
    assert EnvSpec.from_json({"id": "Pendulum-v1"}) == EnvSpec("Pendulum-v1")


def test_a_spec_is_made_with_its_arguments_wrappers_and_repetition():
    env = FULL.make()
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(ZERO)
    assert reward == 2 * (2 * 1.0 + 1)  # doubled before one is added, in two environment steps
    assert (terminated, truncated, info["env_steps"]) == (False, True, 2)
    assert env.id == "Deaf-v0"


def test_a_time_limit_is_added_and_never_lengthens_that_of_the_environment():
    for max_ep_length, length in ((100, 6), (4, 4)):
        env = EnvSpec("TimeLimited-v0", max_ep_length=max_ep_length).make()  # whose own limit is 6
        env.reset(seed=0)
        assert [env.step(ZERO)[3] for _ in range(length)] == [False] * (length - 1) + [True]


def test_a_faulty_environment_fails_within_wrappers_as_it_does_without():
    env = EnvSpec("NanReward-v0", wrappers=("faulty_envs:DoubledReward",), action_repeat=5).make()
    env.reset(seed=0)
    with pytest.raises(EnvironmentFailure, match="NanReward-v0 returned the reward nan in step 3 of an episode"):
        env.step(ZERO)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"id": 5}, "printable text"),
        ({"id": "Pendulum-v1\x1b[2J"}, "printable text"),
        ({"kwargs": [1]}, "JSON object"),
        ({"kwargs": {"g": np.float32(1)}}, "JSON object"),
        ({"kwargs": {"g": float("nan")}}, "JSON object"),
        ({"kwargs": {"max_episode_steps": 5}}, "must not hold max_episode_steps"),
        ({"kwargs": {"render_mode": "human"}}, "must not hold render_mode"),
        ({"wrappers": ("os",)}, "module:callable"),
        ({"wrappers": ("os:system('ls')",)}, "module:callable"),
        ({"wrappers": "os:getcwd"}, "module:callable"),
        ({"action_repeat": 0}, "action_repeat must be"),
        ({"action_repeat": True}, "action_repeat must be"),
        ({"action_repeat": 10**9}, "action_repeat must be"),
        ({"max_ep_length": 1.5}, "max_ep_length must be"),
        ({"action_bound": 0}, "action_bound must be"),
        ({"action_bound": True}, "action_bound must be"),
        ({"action_bound": float("inf")}, "action_bound must be"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(values, said):
    with pytest.raises(ParameterError, match=said):
        EnvSpec(**{"id": "Healthy-v0"} | values)
    if not isinstance(values.get("kwargs"), dict):  # NumPy is not JSON
        with pytest.raises(ParameterError):
            EnvSpec.from_json({"id": "Healthy-v0"} | values | {"wrappers": list(values.get("wrappers", "x"))})


@pytest.mark.parametrize("record", [None, [], "Pendulum-v1", {}, {"id": "Pendulum-v1", "entry_point": "os:system"}])
def test_a_record_of_another_form_is_refused(record):
    with pytest.raises(ParameterError):
        EnvSpec.from_json(record)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kwargs": {"lenght": 2}}, "'Healthy-v0' is not an environment that Gymnasium can make: .*lenght"),
        (
            {"wrappers": ("no_such_module:Wrapper",)},
            "wrapper no_such_module:Wrapper cannot be imported: ModuleNotFound",
        ),
        ({"wrappers": ("faulty_envs:NoSuchWrapper",)}, "NoSuchWrapper cannot be imported: AttributeError"),
        ({"wrappers": ("faulty_envs:ONE",)}, "the wrapper faulty_envs:ONE is not callable"),
        (
            {"wrappers": ("faulty_envs:no_environment",)},
            "the wrapper faulty_envs:no_environment returned str, not an environment",
        ),
    ],
)
def test_an_environment_that_cannot_be_made_is_one_sentence(given, said):
    with pytest.raises(ParameterError, match=said):
        EnvSpec("Healthy-v0", **given).make()


def test_keyword_arguments_are_read_from_json():
    assert parse_kwargs("") == parse_kwargs("{}") == {}
    assert parse_kwargs('{"wind_power": 10, "enable_wind": true}') == {"wind_power": 10, "enable_wind": True}
    for text in ("wind=10", "[1]", "{", "5", "[" * 100_000):
        with pytest.raises(ParameterError, match="env_kwargs must be a JSON object"):
            parse_kwargs(text)


@pytest.mark.parametrize("loaded", [True, False])
def test_process_with_tensorflow_cannot_render(run_code, loaded):
    ended = run_code(
        """
        import sys
        from utils.envs.spec import EnvSpec
        if sys.argv[1] == "True":
            sys.modules["tensorflow"] = object()
        EnvSpec("Pendulum-v1").make().close()
        EnvSpec("Pendulum-v1").make("rgb_array").close()
        """,
        loaded,
    )
    assert (ended.returncode, "RuntimeError: Pendulum-v1 cannot be rendered" in ended.stderr) == (int(loaded), loaded)


@pytest.mark.parametrize("kwargs", [{}, {"a": 1, "b": 0.5, "c": True, "d": None}, {"a": [1, [2.5]], "b": {"c": 1}}])
def test_numbers_and_switches_are_plain(kwargs):
    assert EnvSpec("Healthy-v0", kwargs).has_plain_kwargs


@pytest.mark.parametrize("kwargs", [{"a": "x"}, {"a": ["x"]}, {"a": {"b": [1, {"c": "x"}]}}])
def test_text_is_not_plain(kwargs):
    assert not EnvSpec("Healthy-v0", kwargs).has_plain_kwargs


@pytest.fixture
def registry():
    before = dict(gymnasium.registry)
    yield gymnasium.registry
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


def test_a_callable_is_registered_under_its_name_or_the_given_id(registry):
    def my_env(length=3):
        return faulty_envs.Tiny(length=length)

    assert register(my_env) == "my_env-v0"
    assert register(my_env, "Mine-v2") == "Mine-v2"
    assert register(lambda: faulty_envs.Tiny()) == "lambda-v0"
    assert EnvSpec("Mine-v2", {"length": 1}).make().unwrapped._length == 1


def test_a_later_callable_takes_the_place_of_an_earlier_one(registry):
    for length in (3, 5):
        register(lambda length=length: faulty_envs.Tiny(length=length), "Mine-v0")
    assert EnvSpec("Mine-v0").make().unwrapped._length == 5


def test_a_callable_that_returns_the_same_environment_again_is_refused(registry):
    shared = faulty_envs.Tiny()
    spec = EnvSpec(register(lambda: shared, "Shared-v0"))
    spec.make()
    with pytest.raises(ParameterError, match="returned the same environment twice"):
        spec.make()


@pytest.mark.parametrize("given", [5, faulty_envs.Tiny()])
def test_make_env_must_be_callable(registry, given):
    with pytest.raises(ParameterError, match="make_env must be a function or a class that makes an environment"):
        register(given, "Mine-v0")


def test_the_id_of_an_installed_environment_is_not_taken(registry):
    with pytest.raises(ParameterError, match="Pendulum-v1 is an installed environment"):
        register(faulty_envs.Tiny, "Pendulum-v1")
    assert EnvSpec("Pendulum-v1").make().obs_size == 3
    with pytest.raises(ParameterError, match="cannot be the id of an environment"):
        register(faulty_envs.Tiny, "no id")


# ---- MuJoCo's camera


class Model:
    """A MuJoCo model whose cameras have these names."""

    def __init__(self, *names):
        self.names = names

    def camera(self, name):
        if name not in self.names:
            raise KeyError(name)
        return SimpleNamespace(id=self.names.index(name))


class Filmed(gymnasium.Env):
    """An environment with Gymnasium's renderer for MuJoCo, whose default camera is free."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, render_mode=None, camera_id=-1, cameras=("side", "track"), config=None):
        self.mujoco_renderer = SimpleNamespace(camera_id=camera_id, default_cam_config=config, model=Model(*cameras))


@pytest.mark.parametrize(
    ("camera", "kwargs"),
    [
        (1, {}),  # it would stay where the episode began
        (-1, {"config": {"trackbodyid": 1}}),  # it follows a body already
        (-1, {"cameras": ["side"]}),
        (-1, {"camera_id": -1}),  # somebody wants it
    ],
)
def test_mujocos_camera_follows_the_body(monkeypatch, camera, kwargs):
    monkeypatch.setattr(spec, "_check_may_render", lambda env_id: None)
    env = EnvSpec(register(Filmed), kwargs).make("rgb_array")
    assert env.unwrapped.mujoco_renderer.camera_id == camera
