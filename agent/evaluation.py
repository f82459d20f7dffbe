"""Scoring a policy: noise-free episodes whose start states are fixed by seeds or given."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from agent.choice import Choice
from utils.envs import Environment
from utils.errors import ParameterError
from utils.experience import Episode, Step, rollout

AT_ONCE = 25  # environments stepped with one batched call of the policy


class Acts(Protocol):
    """Anything that maps observations [n, S] to actions [n, A]."""

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions [n, A] for observations [n, S]."""
        ...


class Difference(NamedTuple):
    """The mean of differences in pairs, and its standard error."""

    mean: float
    sem: float


@dataclass(frozen=True)
class Score:
    """The returns of some episodes, in raw rewards, in the order of their seeds."""

    episodes: list[Episode]

    @property
    def returns(self) -> np.ndarray:
        """float64 [episodes]."""
        return np.array([episode.score for episode in self.episodes])

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def sem(self) -> float:
        """Standard error of the mean, with ddof 1; 0 for a single episode."""
        return float(self.returns.std(ddof=1) / len(self.returns) ** 0.5) if len(self.returns) > 1 else 0.0

    def minus(self, others: np.ndarray) -> "Difference":
        """How much more these episodes returned than `others` [episodes] did from the same starts."""
        gaps = self.returns - others
        return Difference(float(gaps.mean()), float(gaps.std(ddof=1) / len(gaps) ** 0.5) if len(gaps) > 1 else 0.0)

    def row(self, choice: Choice, first_seed: int | None, starts: str = "") -> dict[str, Any]:
        """A row of the results; `starts` names the file of the start states where they did not come from seeds."""
        figures = dict(mean=self.mean, sem=self.sem, min=self.returns.min(), max=self.returns.max())
        return {
            "learner_step": choice.learner_step,
            "env_step": choice.env_step,
            "seconds": choice.seconds,
            **{name: round(float(value), 4) for name, value in figures.items()},
            "episodes": len(self.episodes),
            "first_seed": "" if first_seed is None else first_seed,
            "starts": starts,
            "run_id": choice.run_id,
            "checkpoint": choice.path.name,
        }


def evaluate(
    policy: Acts,
    make: Callable[[], Environment],
    seeds: Sequence[int],
    starts: np.ndarray | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Score:
    """Play one episode from each of `seeds` and return the score.

    Each episode has an environment of its own, never reset by itself, so that a start state depends on nothing but its
    seed. Episodes are stepped side by side with one call of the policy. `starts` [episodes, 2] sets Pendulum's angle
    and speed instead of what the seed drew. `stop()` ends it early with the episodes that are complete.
    """
    episodes: list[Episode] = []
    for first in range(0, len(seeds), AT_ONCE):
        chosen = range(first, min(first + AT_ONCE, len(seeds)))
        envs = [make() for _ in chosen]
        obs = np.stack([env.reset(seed=int(seeds[i]))[0] for i, env in zip(chosen, envs, strict=True)])
        if starts is not None:
            obs = np.stack([start_pendulum(env, starts[i]) for i, env in zip(chosen, envs, strict=True)])
        scores, lengths = np.zeros(len(envs)), np.zeros(len(envs), int)
        running = np.arange(len(envs))
        while len(running) and not stop():
            actions = policy.act(obs[running])
            ended = np.zeros(len(running), bool)
            for place, i in enumerate(running):
                obs[i], reward, terminated, truncated, info = envs[i].step(actions[place])
                scores[i] += reward
                lengths[i] += info["env_steps"]
                ended[place] = terminated or truncated
            running = running[~ended]
        complete = np.setdiff1d(np.arange(len(envs)), running)
        episodes += [Episode(float(scores[i]), int(lengths[i])) for i in complete]
        for env in envs:
            env.close()
        if stop():
            break
    return Score(episodes)


def play(policy: Acts, env: Environment, seed: int) -> Iterator[tuple[Step, float]]:
    """One noise-free episode: each step, and the reward up to it."""
    score = 0.0
    for _, step in rollout([env], policy.act, lambda: seed):
        score += step.reward
        yield step, score
        if step.terminated or step.truncated:
            return


def read_returns(path: str | Path, seeds: Sequence[int]) -> np.ndarray:
    """Another policy's returns from `seeds`, float64 [episodes], of a CSV file with the columns seed and return.

    Raises ParameterError.
    """
    returns = dict(_columns(path, "seed", "return"))
    missing = [seed for seed in seeds if seed not in returns]
    if missing:
        raise ParameterError(f"{path} has no return for the seed {missing[0]}, and {len(missing) - 1} more are missing.")
    return np.array([returns[seed] for seed in seeds])


def start_pendulum(env: Environment, start: np.ndarray) -> np.ndarray:
    """Put a freshly reset Pendulum at `start` (angle in radians, speed in radians a second); returns its observation [3]."""
    angle, speed = (float(value) for value in start)
    env.unwrapped.state = np.array([angle, speed])  # type: ignore[attr-defined]
    return np.array([np.cos(angle), np.sin(angle), speed], np.float32)


def read_starts(path: str | Path, env_id: str) -> np.ndarray:
    """The columns theta0 and thetadot0 of a CSV file, float64 [episodes, 2]. Raises ParameterError."""
    if not env_id.startswith("Pendulum"):
        raise ParameterError(f"--starts sets the angle and speed of Pendulum, it does not work for {env_id}.")
    starts = np.array(_columns(path, "theta0", "thetadot0"))
    if not len(starts) or not np.isfinite(starts).all():
        raise ParameterError(f"{path} holds no start states, or one that is not a finite number.")
    return starts


def _columns(path: str | Path, first: str, second: str) -> list[tuple[float, float]]:
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe or a device may have no end
            raise OSError("it is no file")
        with open(path, newline="") as file:
            return [(float(row[first]), float(row[second])) for row in csv.DictReader(file)]
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error}.") from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ParameterError(f"{path} needs the columns {first} and {second} with a number in each row: {error!r}.") from None
