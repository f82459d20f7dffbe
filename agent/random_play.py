"""Plays random actions in an environment and measures its behaviour, within a time limit."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Space, Tuple
from gymnasium.wrappers import FlattenObservation

from agent.config import horizon
from agent.environment import training_env
from agent.policy import UniformPolicy
from agent.scaling import Scaling
from params import TrainParams
from utils.envs.environment import Environment
from utils.errors import EnvironmentFailure
from utils.threads import ThreadGroup

EPISODES, ACTIONS, NUMBERS = 50, 20_000, 10**7  # at most; NUMBERS are those in all observations
ENORMOUS, OFFSET = 1e6, 1e4  # of an observation: a size, and a mean in standard deviations
REPEATED = 100  # actions that are taken again after a reset with the same seed


@dataclass
class Rollout:
    """An episode of random actions, or the beginning of one."""

    obs: list[np.ndarray] = field(default_factory=list)  # float32 [S] each, one more than there are actions
    actions: list[np.ndarray] = field(default_factory=list)  # float32 [A] each
    rewards: list[float] = field(default_factory=list)  # that training gets for each action
    episode_return: float = 0.0  # of the environment itself, without --train-wrapper and --reward-clip
    env_steps: int = 0
    terminated: bool = False
    truncated: bool = False
    reset_seconds: float = 0.0
    step_seconds: float = 0.0  # of all steps

    @property
    def has_ended(self) -> bool:
        """Whether the episode is complete."""
        return self.terminated or self.truncated


@dataclass
class RandomPlay:
    """Measurements of an environment. Filled step by step, so that they can be read while a call hangs."""

    call: str | None = "its constructor"  # in progress; None when all is done
    env: Environment | None = None
    scaling: Scaling | None = None
    own_limit: int | None = None  # environment steps: the time limit that it is registered with
    rollouts: list[Rollout] = field(default_factory=list)  # each from a seed of its own
    repeated: Rollout = field(default_factory=Rollout)  # the first REPEATED actions of the first rollout once more
    failure: EnvironmentFailure | None = None

    @property
    def observation_space(self) -> Space:
        """As the environment gives it, before it is flattened."""
        env = cast(Environment, self.env).env
        return env.env.observation_space if isinstance(env, FlattenObservation) else env.observation_space


def measure(params: TrainParams, seconds: float, patience: float) -> RandomPlay:
    """Play random actions for at most `seconds`. An environment that fails or hangs is noted in `failure`.

    A call that takes `patience` seconds longer hangs, and is left behind in its thread. This cannot be done for native code
    that never releases the interpreter's lock. Raises ParameterError, DependencyError and EnvironmentFailure where the
    environment cannot be made.
    """
    found, stop = RandomPlay(), threading.Event()
    loops: dict[str, Callable[[], object]] = {
        "random play": lambda: _measure(found, params, seconds),
        "limit": lambda: stop.wait(seconds + patience),
    }
    ThreadGroup(loops).run(stop, patience=0.1)
    if found.failure is None and found.call is not None:
        found.failure = EnvironmentFailure(
            f"{params.env} has not returned from {found.call} for {patience:g} seconds or longer"
        )
    return found


def _measure(found: RandomPlay, params: TrainParams, seconds: float) -> None:
    began, rng = time.monotonic(), np.random.default_rng(params.random_seed)
    found.env = env = training_env(params)
    found.scaling, found.own_limit = Scaling.from_env(env, params), _own_limit(env)
    uniform, nothing = UniformPolicy(found.scaling, rng), np.empty((1, env.obs_size), np.float32)
    actions = (uniform.act(nothing)[0] for _ in range(max(1, min(ACTIONS, NUMBERS // env.obs_size))))
    try:
        for i in range(EPISODES):
            seed = int(rng.integers(2**31))
            found.rollouts.append(rollout := Rollout())
            _play(found, rollout, seed, actions, until=began + seconds * (0.5 if i == 0 else 1.0))
            if i == 0 and time.monotonic() < began + 0.75 * seconds:
                _play(found, found.repeated, seed, rollout.actions[:REPEATED], until=began + 0.75 * seconds)
            if time.monotonic() > began + seconds or (i > 0 and not rollout.has_ended):
                break
    except EnvironmentFailure as error:
        found.failure = error  # noted before the close, which may hang
    found.call = "its close"
    env.close()
    found.call = None


def _play(found: RandomPlay, rollout: Rollout, seed: int, actions: Iterable[np.ndarray], until: float) -> None:
    """Take the actions from a reset on, until they or the episode or the time ends."""
    env, found.call = cast(Environment, found.env), "a reset"
    began = time.perf_counter()
    obs, _ = env.reset(seed=seed)
    rollout.reset_seconds = time.perf_counter() - began
    rollout.obs.append(obs)
    found.call = "a step"
    for action in actions:
        began = time.perf_counter()
        obs, reward, rollout.terminated, rollout.truncated, info = env.step(action)
        rollout.step_seconds += time.perf_counter() - began
        rollout.obs.append(obs)
        rollout.actions.append(action)
        rollout.rewards.append(reward)
        rollout.episode_return += info.get("raw_reward", reward)
        rollout.env_steps += info["env_steps"]
        if rollout.has_ended or time.monotonic() > until:
            break


def _own_limit(env: Environment) -> int | None:
    spec = env.unwrapped.spec  # without the limit itself
    registered = gymnasium.registry.get(spec.id) if spec else None
    return registered.max_episode_steps if registered else None


def first_difference(one: Rollout, other: Rollout) -> int | None:
    """The first action after which two rollouts differ, 0 for the reset. None if the longer one begins as the shorter one."""
    actions = min(len(one.actions), len(other.actions))
    for i in range(actions + 1):
        if not np.array_equal(one.obs[i], other.obs[i]) or (i and one.rewards[i - 1] != other.rewards[i - 1]):
            return i
    ends = [rollout.has_ended and len(rollout.actions) == actions for rollout in (one, other)]
    return None if ends[0] == ends[1] else actions


def dtypes(space: Space) -> set[str]:
    """The types of the numbers in a space."""
    if isinstance(space, Dict | Tuple):
        return set().union(*map(dtypes, space.spaces.values() if isinstance(space, Dict) else space.spaces))
    return {str(space.dtype)}


def discounted_returns(rollout: Rollout, params: TrainParams) -> list[float]:
    """The discounted return from each action on. After a rollout that did not terminate it continues with its mean reward."""
    value = 0.0 if rollout.terminated else sum(rollout.rewards) / len(rollout.rewards) * horizon(params)
    returns = []
    for reward in reversed(rollout.rewards):
        value = reward + params.discount_rate * value
        returns.append(value)
    return returns[::-1]


def end_of(rollout: Rollout, own_limit: int | None, params: TrainParams) -> str:
    """How a complete episode ended, in words."""
    if rollout.terminated:
        return "terminated"
    limits = {params.max_ep_length: "--max-ep-length", own_limit: "its time limit"}
    return f"truncated by {limits.get(rollout.env_steps, 'the environment')}"


class LostDigits(NamedTuple):
    """Dimensions of observations [n, S], bool [S]: `constant`, and too `large` for what float32 tells apart."""

    constant: np.ndarray
    large: np.ndarray


def lost_digits(obs: np.ndarray) -> LostDigits:
    """Which dimensions of `obs` [n, S] are constant, and which exceed ENORMOUS or have a mean of many deviations."""
    constant = obs.min(axis=0) == obs.max(axis=0)
    mean, deviation = obs.mean(axis=0, dtype=np.float64), obs.std(axis=0, dtype=np.float64)
    return LostDigits(constant, (np.abs(obs).max(axis=0) > ENORMOUS) | (~constant & (np.abs(mean) > OFFSET * deviation)))
