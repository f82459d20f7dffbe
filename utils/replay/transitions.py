"""Experience: the steps of an environment become N-step transitions, stacked into batches."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from utils.replay.returns import ReturnRange


class Resets(Protocol):
    """The two methods of a Gymnasium environment that `rollout` calls (utils/envs/environment.py)."""

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """The first observation of an episode, and an info."""
        ...

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """The next observation, reward, terminated, truncated, and an info."""
        ...


class Step(NamedTuple):
    """One action and its result. obs and next_obs float32 [S], action float32 [A].

    `env_steps` counts the environment steps that the action was repeated for; `reward` is the sum of their rewards.
    `raw_reward` is what the environment gave where wrappers of the training gave another reward; None elsewhere.
    """

    obs: np.ndarray
    action: np.ndarray
    reward: float
    next_obs: np.ndarray
    terminated: bool
    truncated: bool
    env_steps: int = 1
    raw_reward: float | None = None


class Transition(NamedTuple):
    """k steps in one: `reward` is their discounted sum, `discount` the factor of the value of next_obs."""

    obs: np.ndarray
    action: np.ndarray
    reward: float
    discount: float
    next_obs: np.ndarray


class Episode(NamedTuple):
    """A finished episode: its undiscounted return in raw rewards, and its length in environment steps."""

    episode_return: float
    length: int


@dataclass(frozen=True)
class TransitionBatch:
    """n transitions, stacked: obs and next_obs [n, S], action [n, A], reward and discount [n], all float32.

    `episodes` ended with these transitions, `policy_version` is the learner step of the policy, `env_steps` counts the
    environment steps taken, `agent` is the agent's index, `noise` the standard deviation of its exploration noise.
    `returns` are ranges of discounted returns that were observed.
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    next_obs: np.ndarray
    episodes: list[Episode] = field(default_factory=list)
    policy_version: int = 0
    env_steps: int = 0
    agent: int = 0
    noise: float = 0.0
    returns: list[ReturnRange] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.reward)

    @classmethod
    def stack(cls, transitions: list[Transition], episodes: list[Episode] | None = None, **about: Any) -> "TransitionBatch":
        """Stack transitions (at least one); `about` holds the remaining fields."""
        obs, action, reward, discount, next_obs = (np.array(column, np.float32) for column in zip(*transitions, strict=True))
        return cls(obs, action, reward, discount, next_obs, episodes or [], **about)


def rollout(
    envs: Sequence[Resets], act: Callable[[np.ndarray], np.ndarray], next_seed: Callable[[], int]
) -> Iterator[tuple[int, Step]]:
    """Step `envs` without end with one `act(obs [n, S]) -> actions [n, A]` for all, and yield (i, Step of environment i).

    Each episode is reset with `next_seed()`. After the end of an episode its environment is reset before the next `act`.
    """
    obs = np.stack([env.reset(seed=next_seed())[0] for env in envs])  # [n, S]
    while True:
        actions = act(obs)  # [n, A]
        following = obs.copy()
        for i, env in enumerate(envs):
            next_obs, reward, terminated, truncated, info = env.step(actions[i])
            following[i] = next_obs
            counted = info.get("env_steps", 1), info.get("raw_reward")
            yield i, Step(obs[i], actions[i], reward, next_obs, terminated, truncated, *counted)
            if terminated or truncated:
                following[i], _ = env.reset(seed=next_seed())
        obs = following


class NStep:
    """Turns the steps of one environment into N-step transitions.

    An agent steps its environments in turn, so steps are pushed one by one. When an episode is interrupted (stop, crash,
    invalid number), drop this object: the open steps do not end in a terminal state.
    """

    def __init__(self, n: int, discount_rate: float):
        self._n = n
        self._rate = discount_rate
        self._open: deque[Step] = deque()  # steps that do not start a transition yet

    def push(self, step: Step) -> list[Transition]:
        """The transitions that `step` completes: one once n steps are open, all open steps at the end of an episode.

        A truncated episode bootstraps from its real last observation; a terminated one has the discount 0.
        """
        self._open.append(step)
        ended = step.terminated or step.truncated
        if not ended and len(self._open) < self._n:
            return []
        if ended:
            return self._all(step)
        oldest = self._oldest(step)
        self._open.popleft()
        return [oldest]

    def truncate(self) -> list[Transition]:
        """End the episode as truncated. Returns the transitions of the open steps, and forgets these."""
        if not self._open:
            return []
        return self._all(self._open[-1])

    def _all(self, last: Step) -> list[Transition]:
        transitions = []
        while self._open:
            transitions.append(self._oldest(last))
            self._open.popleft()
        return transitions

    def _oldest(self, last: Step) -> Transition:
        reward, discount = 0.0, 1.0
        for step in self._open:
            reward += discount * step.reward
            discount *= self._rate
        first = self._open[0]
        return Transition(first.obs, first.action, reward, 0.0 if last.terminated else discount, last.next_obs)
