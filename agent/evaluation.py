"""Scoring a policy: noise-free episodes from fixed seeds or start states."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from agent.loading import LoadedCheckpoint
from params import HERE
from utils.envs.environment import Environment
from utils.errors import ParameterError
from utils.replay.transitions import Episode, Step


class PolicyLike(Protocol):
    """Anything that maps observations [n, S] to actions [n, A]."""

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions [n, A] for observations [n, S]."""
        ...


class Difference(NamedTuple):
    """The mean of differences in pairs, and its standard error."""

    mean: float
    sem: float


def standard_error(values: np.ndarray) -> float:
    """Standard error of the mean of values [n], with ddof 1; 0 for a single one."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Score:
    """The returns of some episodes, in raw rewards, in the order of their seeds."""

    episodes: list[Episode]

    @property
    def returns(self) -> np.ndarray:
        """float64 [episodes]."""
        return np.array([episode.episode_return for episode in self.episodes])

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def sem(self) -> float:
        """Standard error of the mean."""
        return standard_error(self.returns)

    def minus(self, others: np.ndarray) -> "Difference":
        """The difference to the returns `others` [episodes] from the same starts."""
        gaps = self.returns - others
        return Difference(float(gaps.mean()), standard_error(gaps))

    def row(self, loaded: LoadedCheckpoint, first_seed: int | None, starts: str = "") -> dict[str, Any]:
        """A row of the results; `starts` names the file of the start states, if there is one."""
        figures = dict(mean=self.mean, sem=self.sem, min=self.returns.min(), max=self.returns.max())
        return {
            "learner_step": loaded.learner_step,
            "env_step": loaded.env_step,
            "seconds": loaded.seconds,
            **{name: round(float(value), 4) for name, value in figures.items()},
            "episodes": len(self.episodes),
            "first_seed": "" if first_seed is None else first_seed,
            "starts": starts,
            "run_id": loaded.run_id,
            "checkpoint": loaded.path.name,
        }


def evaluate(
    policy: PolicyLike,
    make: Callable[[], Environment],
    seeds: Sequence[int],
    starts: np.ndarray | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Score:
    """Play one episode from each of `seeds`, one after the other, and return the score.

    The return depends on the policy and the seed alone. Each episode has a new environment, and the policy is
    called with one observation at a time (see `play`). `starts` [episodes, 2] replaces the start state of
    Pendulum (angle and speed). `stop()` ends the evaluation early, with the complete episodes.
    """
    episodes: list[Episode] = []
    for i, seed in enumerate(seeds):
        with contextlib.closing(make()) as env:
            length, score = 0, 0.0
            for step, score in play(policy, env, int(seed), None if starts is None else starts[i]):  # noqa: B007
                length += step.env_steps
                if stop():
                    return Score(episodes)
        episodes.append(Episode(score, length))
    return Score(episodes)


def play(policy: PolicyLike, env: Environment, seed: int, start: np.ndarray | None = None) -> Iterator[tuple[Step, float]]:
    """One noise-free episode: each step, and the reward up to it. `start` sets Pendulum's angle and speed.

    The policy gets one row in every call. The last bit of a BLAS product depends on the number of rows and on the index
    of a row, and in a chaotic environment one bit changes the return. Padding to 32 rows is not enough: OpenBLAS' Haswell
    kernel rounds rows 0 to 5, 6 to 11 and 24 to 31 differently.
    """
    (obs, _), score, ended = env.reset(seed=seed), 0.0, False
    if start is not None:
        obs = start_pendulum(env, start)
    while not ended:
        (action,) = policy.act(obs[None])
        next_obs, reward, terminated, truncated, info = env.step(action)
        score += reward
        yield Step(obs, action, reward, next_obs, terminated, truncated, info["env_steps"]), score
        obs, ended = next_obs, terminated or truncated


def read_returns(path: str | Path, seeds: Sequence[int]) -> np.ndarray:
    """Returns of another policy for `seeds`, float64 [episodes], from a CSV file with the columns seed and return.

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
        raise ParameterError(f"{path} holds no start states, or a number that is not finite.")
    return starts


def _columns(name: str | Path, first: str, second: str) -> list[tuple[float, float]]:
    path = Path(name)
    try:
        path = _located(path)
        if path.exists() and not path.is_file():  # a pipe or a device may have no end
            raise OSError("it is no file")
        with open(path, newline="") as file:
            return [(float(row[first]), float(row[second])) for row in csv.DictReader(file)]
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error}.") from None
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ParameterError(f"{path} needs the columns {first} and {second} with a number in each row: {error!r}.") from None


def _located(path: Path) -> Path:
    """`path` relative to the current folder if it exists there, else relative to the project's folder if it exists there."""
    return path if path.exists() or not (HERE / path).exists() else HERE / path
