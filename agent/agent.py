"""An agent: environments, exploration noise, and the two verbs collect and run."""

from collections.abc import Callable, Iterator
from threading import Event
from typing import Protocol

import numpy as np

from agent.policy import Policy, Scaling, UniformPolicy
from params import TrainParams
from utils.envs import Environment
from utils.errors import EnvironmentFailure
from utils.experience import Block, Episode, NStep, Step, Transition, rollout
from utils.noise import GaussianNoise
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay

BLOCK = 16  # transitions that an agent hands over at once


class Publisher(Protocol):
    """Whoever owns the newest policy; None while there is nothing worth following."""

    @property
    def policy(self) -> Policy | None:
        """The newest, whole and immutable."""
        ...


class Agent:
    """Rolls N-step transitions out of its environments, following the newest policy with noise."""

    def __init__(
        self,
        index: int,
        envs: list[Environment],
        learner: Publisher,
        params: TrainParams,
        scaling: Scaling,
        seeds: np.random.SeedSequence,
    ):
        noise_seed, reset_seed, uniform_seed = seeds.spawn(3)
        self.index = index
        self.noise = GaussianNoise(params.noise_scale, params.noise_decay, np.random.default_rng(noise_seed))
        self.env_steps = 0
        self._envs = envs
        self._learner = learner
        self._half_range = (scaling.action_high - scaling.action_low) / 2.0
        self._low, self._high = scaling.action_low, scaling.action_high
        self._uniform = UniformPolicy(scaling, np.random.default_rng(uniform_seed))
        self._resets = np.random.default_rng(reset_seed)
        self._version = 0
        self._acted: np.ndarray | None = None  # the actions being taken, for a failure's message
        self._windows = [NStep(params.n_step_returns, params.discount_rate) for _ in envs]
        self._scores = [0.0 for _ in envs]  # returns so far of the episodes in progress
        self._lengths = [0 for _ in envs]
        self._ready: list[Transition] = []
        self._episodes: list[Episode] = []
        self._steps: Iterator[tuple[int, Step]] = rollout(envs, self._act, lambda: int(self._resets.integers(2**31)))

    def collect(self, transitions: int) -> Block:
        """Step the environments until so many transitions are complete, and return them with the episodes that ended.

        Raises EnvironmentFailure naming agent, step and action when an environment raises or gives a bad number.
        """
        while len(self._ready) < transitions:
            try:
                i, step = next(self._steps)
            except Exception as error:
                raise EnvironmentFailure(
                    f"agent {self.index}: {self._envs[0].id} failed in environment step {self.env_steps + 1} of this agent, "
                    f"action {self._acted}: {type(error).__name__}: {error}"
                ) from error
            self._count(i, step)
            self._ready += self._windows[i].fold(step)
        block = Block.stack(self._ready[:transitions], self._episodes, self._version)
        self._ready, self._episodes = self._ready[transitions:], []
        return block

    def run(
        self, replay: PrioritisedReplay, limiter: RateLimiter, stop: Event, report: Callable[["Agent", Episode], None]
    ) -> None:
        """Act until told to stop, at the pace the limiter allows; `report(agent, episode)` for each that ends."""
        while not stop.is_set():
            block = self.collect(BLOCK)
            if limiter.may_insert(len(block), stop):
                replay.add(block)
                limiter.inserted(len(block))
            for episode in block.episodes:
                report(self, episode)

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()

    def _act(self, obs: np.ndarray) -> np.ndarray:
        policy = self._learner.policy
        if policy is None:
            self._acted = self._uniform.act(obs)
        else:
            noise = self.noise.sample((len(obs), len(self._low))) * self._half_range
            self._acted = np.clip(policy.act(obs) + noise, self._low, self._high)
            self._version = policy.version
        return self._acted

    def _count(self, i: int, step: Step) -> None:
        self.env_steps += 1
        self._scores[i] += step.reward
        self._lengths[i] += 1
        if step.terminated or step.truncated:
            self._episodes.append(Episode(self._scores[i], self._lengths[i]))
            self._scores[i], self._lengths[i] = 0.0, 0
            self.noise.episodes += 1
