"""An agent: environments and exploration noise. It collects transitions and knows nothing of threads or of the replay."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from agent.config import horizon
from agent.exploration import ExplorationNoise
from agent.policy import Policy, UniformPolicy
from agent.scaling import Scaling
from params import TrainParams
from utils.envs.environment import Environment
from utils.errors import EnvironmentFailure
from utils.replay.returns import PIECE, ReturnRange, ReturnTracker
from utils.replay.transitions import Episode, NStep, Step, Transition, TransitionBatch, rollout

FIRST_SEED = 10_000_000  # of training episodes: lower ones are of tests


class Agent:
    """Collects N-step transitions by following a policy with exploration noise.

    Environments are made when they are first needed, in the thread that needs them.
    """

    def __init__(
        self,
        index: int,
        make: Callable[[], Environment],
        params: TrainParams,
        scaling: Scaling,
        seeds: np.random.SeedSequence,
    ):
        self.index = index
        self._make, self._params = make, params
        self._half_range = (scaling.action_high - scaling.action_low) / 2.0
        self._low, self._high = scaling.action_low, scaling.action_high
        noise, resets, uniform = (np.random.default_rng(seed) for seed in seeds.spawn(3))
        self._generators = {"noise": noise, "resets": resets, "uniform": uniform}
        self.noise = ExplorationNoise(params, index, noise)
        self._uniform = UniformPolicy(scaling, uniform)
        self._policy: Policy | None = None  # of the current `collect`
        self.env_steps = 0
        self._acted: np.ndarray | None = None  # the actions being taken, for a failure's message
        self._envs: list[Environment] = []
        self._making_since: float | None = None  # monotonic start of the construction in progress
        self._ready: list[Transition] = []
        self._episodes: list[Episode] = []
        self._ranges: list[ReturnRange] = []  # of discounted returns, for the support
        self._reported_steps = 0  # environment steps that earlier batches have counted
        self.restart()

    def restart(self) -> None:
        """Close the environments and drop their unfinished steps. New environments are made at the next step."""
        self.close()
        count = self._params.envs_per_agent
        self._windows = [NStep(self._params.n_step_returns, self._params.discount_rate) for _ in range(count)]
        self._trackers = [self._tracker() for _ in range(count)]
        self._returns = [0.0] * count  # of the episodes in progress
        self._lengths = [0] * count
        self.noise.restart()
        self._steps: Iterator[tuple[int, Step]] = self._rollout()

    @property
    def waiting_since(self) -> float | None:
        """Monotonic start of the oldest call of an environment in progress, its construction included; None between calls."""
        starts = [self._making_since, *(env.waiting_since for env in self._envs)]
        return min((start for start in starts if start is not None), default=None)

    @property
    def episodes(self) -> int:
        """Finished episodes."""
        return self.noise.episodes

    def collect(self, transitions: int, policy: Policy | None) -> TransitionBatch:
        """Step the environments until so many transitions are complete. Without a policy, actions are uniformly random.

        Raises EnvironmentFailure naming agent, environment step and action; `restart` must follow. Transitions that
        were complete before the failure are returned by the next call.
        """
        self._policy = policy
        while len(self._ready) < transitions:
            try:
                i, step = next(self._steps)
            except EnvironmentFailure as error:
                raise EnvironmentFailure(
                    f"agent {self.index}, its environment step {self.env_steps + 1}, action {self._acted}: {error}"
                ) from error
            self._count(i, step)
            self._ready += self._windows[i].push(step)
        return self._batch(transitions)

    def truncate(self) -> TransitionBatch | None:
        """End the episodes in progress as truncated and restart. Returns the remaining transitions, None if there are none."""
        for i, window in enumerate(self._windows):
            self._ready += window.truncate()
            if self._lengths[i]:
                self.noise.finish_episode(i)  # its return is not that of an episode, so it is not reported
        batch = self._batch(len(self._ready)) if self._ready else None
        self._episodes, self._ranges = [], []
        self.restart()
        return batch

    def close(self) -> None:
        """Close the environments, in the thread that steps them."""
        for env in self._envs:
            env.close()
        self._envs = []

    def abandon(self) -> None:
        """Do nothing. The caller drops an agent that hangs; its thread stays."""

    def state(self) -> dict[str, Any]:
        """The state for `restore`, which continues from the start of an episode."""
        return {
            "episodes": self.noise.episodes,
            "env_steps": self.env_steps,
            "generators": {name: generator.bit_generator.state for name, generator in self._generators.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of an agent, of this process or another."""
        self.noise.episodes, self.env_steps = int(state["episodes"]), int(state["env_steps"])
        self._reported_steps = self.noise.env_steps = self.env_steps
        for name, generator in self._generators.items():
            generator.bit_generator.state = state["generators"][name]

    def _batch(self, transitions: int) -> TransitionBatch:
        batch = TransitionBatch.stack(
            self._ready[:transitions],
            self._episodes,
            policy_version=self._policy.version if self._policy else 0,
            env_steps=self.env_steps - self._reported_steps,
            agent=self.index,
            noise=self.noise.deviation,
            returns=self._ranges,
        )
        self._ready, self._reported_steps = self._ready[transitions:], self.env_steps
        self._episodes, self._ranges = [], []
        return batch

    def _tracker(self) -> ReturnTracker:
        """A tracker of discounted returns. Its pieces are short enough for two from each environment before learning starts."""
        params = self._params
        endless = horizon(params)
        first = params.learning_starts // (2 * params.num_agents * params.envs_per_agent)
        return ReturnTracker(params.discount_rate, max(1, min(int(PIECE * endless), first)), endless)

    def _rollout(self) -> Iterator[tuple[int, Step]]:
        self._acted = None
        for _ in self._windows:
            self._making_since = time.monotonic()
            try:
                self._envs.append(self._make())
            finally:
                self._making_since = None
        yield from rollout(self._envs, self._act, lambda: int(self._generators["resets"].integers(FIRST_SEED, 2**31)))

    def _act(self, obs: np.ndarray) -> np.ndarray:
        if self._policy is None:
            self._acted = self._uniform.act(obs)
        else:
            noise = self.noise.sample(len(self._low)) * self._half_range
            self._acted = np.minimum(np.maximum(self._policy.act(obs) + noise, self._low), self._high)  # faster than clip
        return self._acted

    def _count(self, i: int, step: Step) -> None:
        self.env_steps += step.env_steps
        self.noise.env_steps = self.env_steps
        self._returns[i] += step.reward if step.raw_reward is None else step.raw_reward
        self._lengths[i] += step.env_steps
        if (piece := self._trackers[i].push(step.reward, step.terminated, step.truncated)) is not None:
            self._ranges.append(piece)
        if step.terminated or step.truncated:
            self._finish_episode(i)

    def _finish_episode(self, i: int) -> None:
        self._episodes.append(Episode(self._returns[i], self._lengths[i]))
        self._returns[i], self._lengths[i] = 0.0, 0
        self.noise.finish_episode(i)
