"""Tiny environments, healthy and faulty, registered with Gymnasium on import.

In a test: `import faulty_envs`, then EnvSpec("NanReward-v0").make(). For a script in a subprocess: tests/ on its
PYTHONPATH and --env faulty_envs:NanReward-v0. Wrappers to name are here too, as faulty_envs:DoubledReward. All but the
refused ones act and observe one number in [-1, 1] unless said otherwise.
"""

import math
import os
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple

FAULTY_STEP = 3  # of an episode: the two steps before it are sound
UNIT = Box(-1.0, 1.0, (1,), np.float32)


class Tiny(gymnasium.Env):
    """Observes a number drawn again in each step, rewards an action near it, and ends after `length` steps.

    `fault(obs, reward)` replaces what step FAULTY_STEP of each episode would give, or raises; `answer` replaces all five
    things that this step would return; `picture` what it would draw then, or raises when called. What was done to it is
    kept: `received` actions, `resets` seeds.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(
        self, observes=UNIT, acts=UNIT, length=8, truncates=False, fault=None, answer=None, picture=None, render_mode=None
    ):
        self.observation_space, self.action_space, self.render_mode = observes, acts, render_mode
        self._length, self._truncates, self._fault, self._answer = length, truncates, fault, answer
        self._picture = picture
        self._t = 0
        self.received, self.resets = [], []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append(seed)
        self._t = 0
        return self._observe(), {}

    def step(self, action):
        self.received.append(action)
        reward = 1.0 - float(np.abs(np.mean(action) - np.mean(self._obs)))
        self._t += 1
        obs, ended = self._observe(), self._t >= self._length
        if self._fault and self._t == FAULTY_STEP:
            obs, reward = self._fault(obs, reward)
        if self._answer is not None and self._t == FAULTY_STEP:
            return self._answer
        return obs, reward, ended and not self._truncates, ended and self._truncates, {}

    def render(self):
        sound = np.full((48, 64, 3), 10 * self._t % 256, np.uint8)
        return self._picture(sound) if self._picture and self._t >= FAULTY_STEP else sound

    def _observe(self):
        space = self.observation_space
        shape = space.shape or (1,)
        self._obs = (self.np_random.uniform(-1.0, 1.0, shape) * (100 if space.dtype == np.uint8 else 1)).astype(np.float64)
        return np.abs(self._obs).astype(np.uint8) if space.dtype == np.uint8 else self._obs.astype(space.dtype or np.float32)


class CrashInReset(Tiny):
    """Cannot begin a second episode."""

    def reset(self, *, seed=None, options=None):
        if self.resets:
            raise RuntimeError("the simulator did not come back")
        return super().reset(seed=seed, options=options)


class NanInReset(Tiny):
    """Begins with nothing that is a number."""

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed, options=options)
        return obs * np.nan, info


class OldReset(Tiny):
    """Answers a reset as Gym did before 0.26, without an info."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)[0]


class CrashInClose(Tiny):
    """Cannot be closed."""

    def close(self):
        raise RuntimeError("the simulator is gone already")


class CrashInMake(Tiny):
    """Cannot be made."""

    def __init__(self, render_mode=None):
        raise RuntimeError("no licence for the simulator")


class NoActionSpace(gymnasium.Env):
    """Does not say how it acts."""

    observation_space = UNIT


class BadMetadata(Tiny):
    """Says nothing sensible of its pictures."""

    metadata = {"render_modes": None, "render_fps": "fast"}


class Mute(Exception):
    """Cannot say what it is about."""

    def __str__(self):
        raise ValueError("this error has no words")


class OneArray(Tiny):
    """Hands out the same array each time and goes on writing to it."""

    def _observe(self):
        self._obs = getattr(self, "_obs", np.zeros(1, np.float32))
        self._obs += 1.0
        return self._obs


class Strict(Tiny):
    """Refuses actions that its space does not contain, as some simulators do."""

    def step(self, action):
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        return super().step(action)


class Deaf(Tiny):
    """Rewards the same whatever is done."""

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, 1.0, *rest


class Constant(Tiny):
    """Observes the same in each step."""

    def __init__(self, observation, **given):
        super().__init__(**given)
        self._obs, self._observation = 0.0, observation

    def _observe(self):
        return self._observation


class Counted(Tiny):
    """Appends a line to the file `path` each time one is made with it."""

    def __init__(self, path=None, render_mode=None):
        super().__init__(render_mode=render_mode)
        if path is not None:
            with open(path, "a") as file:
                file.write("made\n")


class DoubledReward(gymnasium.RewardWrapper):
    """A wrapper to name on the command line."""

    def reward(self, reward):
        return 2.0 * reward


class OneMore(gymnasium.RewardWrapper):
    """Another; the order of the two shows in the reward."""

    def reward(self, reward):
        return reward + 1.0


class Twice(gymnasium.Wrapper):
    """Takes two steps for each, and sums their rewards."""

    def step(self, action):
        _, first, *_ = self.env.step(action)
        obs, second, *ended = self.env.step(action)
        return obs, first + second, *ended


def failing_wrapper(env):
    raise RuntimeError("out of paper")


def no_environment(env):
    return "not an environment"


class Flaky(gymnasium.Wrapper):
    """Crashes in a step now and then, with the probability `p`."""

    def __init__(self, env, p):
        super().__init__(env)
        self._p, self._dice = p, np.random.default_rng()

    def step(self, action):
        if self._dice.random() < self._p:
            raise RuntimeError("the simulator lost its balance")
        return super().step(action)


def flaky(env_id="Healthy-v0", p=0.0005, **given):
    return Flaky(gymnasium.make(env_id, **given), p)


class HangInReset(Tiny):
    """Never begins its second episode."""

    def reset(self, *, seed=None, options=None):
        if self.resets:
            time.sleep(3600)
        return super().reset(seed=seed, options=options)


class Slow(Tiny):
    """Takes 20 ms for a step, and does not end."""

    def __init__(self, render_mode=None):
        super().__init__(length=math.inf, render_mode=render_mode)

    def step(self, action):
        time.sleep(0.02)
        return super().step(action)


class HangInClose(Tiny):
    """Crashes, and cannot be left behind either."""

    def close(self):
        time.sleep(3600)


class Bare(gymnasium.Env):
    """The least that Gymnasium asks for: a constructor without arguments, no pictures."""

    observation_space, action_space = UNIT, UNIT

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, True, False, {}


def crash(obs, reward):
    raise RuntimeError("the simulator exploded")


def mute(obs, reward):
    raise Mute


def end_of_data(obs, reward):
    return next(iter(()))  # StopIteration, which would end a generator as if all were well


def leave(obs, reward):
    sys.exit()  # as hand-written ones do when their window is closed


def verbose(obs, reward):
    raise RuntimeError("the simulator exploded\n" * 1000)


def hang(obs, reward):
    if "HANGS" in os.environ:
        Path(os.environ["HANGS"]).touch()  # a test waits for it
    time.sleep(3600)
    return obs, reward


def needs_package(**_):
    raise gymnasium.error.DependencyNotInstalled('Box2D is not installed, you can install it by run `pip install "box2d"`')


def needs_library(**_):
    raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")


FAULTS = {
    "CrashInStep": crash,
    "MuteCrash": mute,
    "VerboseCrash": verbose,
    "EndOfData": end_of_data,
    "Exit": leave,
    "HangInStep": hang,
    "NanReward": lambda obs, reward: (obs, math.nan),
    "InfReward": lambda obs, reward: (obs, -math.inf),
    "HugeReward": lambda obs, reward: (obs, 1e39),  # finite, but not in float32
    "NoReward": lambda obs, reward: (obs, None),
    "TextReward": lambda obs, reward: (obs, "good"),
    "ManyRewards": lambda obs, reward: (obs, np.array([reward, reward])),
    "WholeReward": lambda obs, reward: (obs, 10**400),  # there is no float for it
    "NoObservation": lambda obs, reward: (None, reward),
    "TextObserved": lambda obs, reward: ("left", reward),
    "DictObserved": lambda obs, reward: ({"a": obs}, reward),
    "RaggedObservation": lambda obs, reward: ([[1.0], [1.0, 2.0]], reward),
    "NanObservation": lambda obs, reward: (obs * np.nan, reward),
    "InfObservation": lambda obs, reward: (obs + np.inf, reward),
    "HugeObservation": lambda obs, reward: (np.array([1e39]), reward),  # finite, but not in float32
    "LateShape": lambda obs, reward: (np.append(obs, obs), reward),
    "LateScalar": lambda obs, reward: (obs[0], reward),
    "LateMatrix": lambda obs, reward: (obs[None], reward),
}

ONE = np.zeros(1, np.float32)

# What step FAULTY_STEP returns instead of five sound things.
ANSWERS = {
    "OldStep": (ONE, 0.0, False, {}),  # as Gym did before 0.26
    "NoAnswer": 0,
    "ManyEnds": (ONE, 0.0, np.array([True, False]), False, {}),
}

# What is drawn from step FAULTY_STEP on instead of a picture like those before, and the words for it.
PICTURES = {
    "NoPicture": (lambda sound: None, "drew NoneType"),
    "TextPicture": (lambda sound: "a pole", "drew str"),
    "ListOfPictures": (lambda sound: [sound], "drew list"),
    "FloatPicture": (lambda sound: sound / 255.0, "drew float64 (48, 64, 3)"),
    "GreyPicture": (lambda sound: sound[:, :, 0], "drew uint8 (48, 64)"),
    "ClearPicture": (lambda sound: np.dstack([sound, sound[:, :, :1]]), "drew uint8 (48, 64, 4)"),
    "EmptyPicture": (lambda sound: sound[:0], "drew uint8 (0, 64, 3)"),
    "LatePicture": (lambda sound: sound[:20], "drew a picture of (20, 64, 3)"),
    "CrashInRender": (lambda sound: crash(None, None), "RuntimeError: the simulator exploded"),
}

# (observation space, action space, the word in the message for what is wrong with it)
REFUSED = {
    "DiscreteAction": (UNIT, Discrete(3), "Discrete(3)"),
    "MultiDiscreteAction": (UNIT, MultiDiscrete([2, 3]), "MultiDiscrete([2 3])"),
    "MultiBinaryAction": (UNIT, MultiBinary(2), "MultiBinary(2)"),
    "IntegerAction": (UNIT, Box(0, 10, (2,), np.int32), "int32"),
    "EmptyAction": (UNIT, Box(-1.0, 1.0, (0,)), "(0,)"),
    "ChoiceAction": (UNIT, OneOf([UNIT, UNIT]), "OneOf("),
    "DictAction": (UNIT, Dict(a=UNIT), "Dict("),
    "TupleAction": (UNIT, Tuple([UNIT, UNIT]), "Tuple("),
    "UnboundedAction": (UNIT, Box(-np.inf, np.inf, (2,)), "unbounded"),
    "HalfBoundedAction": (UNIT, Box(np.array([-1.0, 0.0]), np.array([1.0, np.inf]), dtype=np.float64), "unbounded"),
    "FixedAction": (UNIT, Box(np.float32([-1.0, 2.0]), np.float32([1.0, 2.0])), "upper bound"),
    # Bounds that float32, in which all is computed, cannot tell apart or hold, or whose span it cannot.
    "NarrowAction": (UNIT, Box(np.array([1.0]), np.array([1.0 + 1e-12]), dtype=np.float64), "Box("),
    "WideAction": (UNIT, Box(-1e39, 1e39, (1,), np.float64), "Box("),
    "WidestAction": (UNIT, Box(-np.finfo(np.float32).max, np.finfo(np.float32).max, (1,), np.float32), "Box("),
    "DictOfImages": (Dict(a=UNIT, b=Box(0, 255, (96, 96, 3), np.uint8)), UNIT, "Dict("),
    "DictOfNothing": (Dict(), UNIT, "Dict("),
    "SequenceObservation": (Sequence(UNIT), UNIT, "Sequence("),
    "GraphObservation": (Graph(UNIT, None), UNIT, "Graph("),
    "EmptyObservation": (Box(-1.0, 1.0, (0,)), UNIT, "(0,)"),
    "TupleOfText": (Tuple([UNIT, Text(8)]), UNIT, "Tuple("),
    "TextObservation": (Text(8), UNIT, "Text("),
    "ImageObservation": (Box(0, 255, (96, 96, 3), np.uint8), UNIT, "(96, 96, 3)"),
}

# (observation space, an observation, what it becomes)
FLATTENED = {
    "DictObservation": (Dict(b=Box(-9, 9, (2,)), a=Discrete(3)), {"a": 1, "b": np.float32([5, 6])}, [5, 6, 0, 1, 0]),
    "TupleObservation": (Tuple([UNIT, Dict(a=UNIT)]), (np.float32([0.5]), {"a": np.float32([1])}), [0.5, 1]),
    "DiscreteObservation": (Discrete(4), 2, [0, 0, 1, 0]),
    "MultiDiscreteObservation": (MultiDiscrete([2, 3]), np.array([1, 0]), [0, 1, 1, 0, 0]),
    "MultiBinaryObservation": (MultiBinary(3), np.int8([1, 0, 1]), [1, 0, 1]),
    "ScalarObservation": (Box(-1.0, 1.0, ()), np.float32(0.5), [0.5]),
    "MatrixObservation": (Box(-9, 9, (2, 2)), np.float32([[1, 2], [3, 4]]), [1, 2, 3, 4]),
}

SOUND = {
    "Healthy": dict(),
    "OneStep": dict(length=1),
    "OneStepTruncated": dict(length=1, truncates=True),
    "Truncated": dict(truncates=True),
    "Endless": dict(length=math.inf),
    "Float64": dict(observes=Box(-1.0, 1.0, (3,), np.float64)),
    "Float16": dict(observes=Box(-1.0, 1.0, (3,), np.float16)),
    "Int64": dict(observes=Box(-9, 9, (3,), np.int64)),
    "Bool": dict(observes=Box(0, 1, (3,), np.bool_)),
    "Uint8": dict(observes=Box(0, 255, (3,), np.uint8)),
    "UnboundedObservation": dict(observes=Box(-np.inf, np.inf, (2,), np.float32)),
    "MatrixAction": dict(acts=Box(np.float32([[-1, 0], [2, 3]]), np.float32([[1, 1], [4, 5]]))),
    "ScalarAction": dict(acts=Box(-1.0, 1.0, ())),
    "Asymmetric": dict(acts=Box(np.float32([-1.0, 0.0, 2.0]), np.float32([0.5, 10.0, 3.0]))),
}


def _register(name, entry_point=Tiny, **kwargs):
    # Gymnasium's own checker only warns, and would speak before what is tested here.
    gymnasium.register(f"{name}-v0", entry_point=entry_point, disable_env_checker=True, **kwargs)


if "Healthy-v0" not in gymnasium.registry:  # pytest and a script may import this under two names
    for name, kwargs in SOUND.items():
        _register(name, kwargs=kwargs)
    for name, fault in FAULTS.items():
        _register(name, kwargs=dict(fault=fault))
    for name, answer in ANSWERS.items():
        _register(name, kwargs=dict(answer=answer))
    for name, (picture, _) in PICTURES.items():
        _register(name, kwargs=dict(picture=picture))
    for name, (observes, acts, _) in REFUSED.items():
        _register(name, kwargs=dict(observes=observes, acts=acts))
    for name, (observes, observation, _) in FLATTENED.items():
        _register(name, Constant, kwargs=dict(observes=observes, observation=observation))
    _register("Counted", Counted)
    _register("TimeLimited", kwargs=dict(length=math.inf), max_episode_steps=6)
    _register("CrashInReset", CrashInReset)
    _register("NanInReset", NanInReset)
    _register("OldReset", OldReset)
    _register("HangInReset", HangInReset)
    _register("HangInClose", HangInClose, kwargs=dict(fault=crash))
    _register("Slow", Slow)
    _register("Flaky", flaky)
    _register("FlakyPendulum", flaky, kwargs=dict(env_id="Pendulum-v1"))
    _register("CrashInClose", CrashInClose)
    _register("CrashInMake", CrashInMake)
    _register("NoActionSpace", NoActionSpace)
    _register("OneArray", OneArray)
    _register("Strict64", Strict, kwargs=dict(acts=Box(np.array([-0.1, 0.7]), np.array([0.3, 0.9]), dtype=np.float64)))
    _register("Deaf", Deaf)
    _register("Bare", Bare)
    _register("NeedsPackage", needs_package)
    _register("NeedsLibrary", needs_library)
    _register("NeedsModule", "no_such_package.envs:Env")
