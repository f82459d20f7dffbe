"""An agent: environments, exploration noise, and the two verbs collect and run."""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, Protocol

import numpy as np

from agent.policy import Policy, UniformPolicy
from agent.scaling import Scaling
from params import TrainParams
from utils.envs import Environment
from utils.errors import EnvironmentFailure
from utils.experience import Block, Episode, NStep, Step, Transition, rollout
from utils.noise import GaussianNoise
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay
from utils.restarts import Restarts

BLOCK = 16  # transitions that an agent hands over at once


class Publisher(Protocol):
    """Whoever owns the newest policy; None while there is nothing worth following."""

    @property
    def policy(self) -> Policy | None:
        """The newest, whole and immutable."""
        ...


class Agent:
    """Rolls N-step transitions out of its environments, following the newest policy with noise.

    Its environments are made when they are first needed, in the thread that needs them.
    """

    def __init__(
        self,
        index: int,
        make: Callable[[], Environment],
        learner: Publisher,
        params: TrainParams,
        scaling: Scaling,
        seeds: np.random.SeedSequence,
    ):
        self.index = index
        self._make, self._learner, self._params = make, learner, params
        self._half_range = (scaling.action_high - scaling.action_low) / 2.0
        self._low, self._high = scaling.action_low, scaling.action_high
        noise, resets, uniform = (np.random.default_rng(seed) for seed in seeds.spawn(3))
        self._generators = {"noise": noise, "resets": resets, "uniform": uniform}
        self.noise = GaussianNoise(params.noise_scale, params.noise_decay, noise)
        self._uniform = UniformPolicy(scaling, uniform)
        self.env_steps = 0
        self.restarts = Restarts(params.env_restarts)
        self.repeated_steps = 0  # of env_steps: those beyond the first of an action
        self.is_retired = False
        self._version = 0
        self._acted: np.ndarray | None = None  # the actions being taken, for a failure's message
        self._envs: list[Environment] = []
        self._making_since: float | None = None  # monotonic start of the construction in progress
        self._ready: list[Transition] = []
        self._episodes: list[Episode] = []
        self.restart()

    def restart(self) -> None:
        """Leave the environments and what was unfinished in them; new ones are made at the next step."""
        for env in self._envs:
            env.close()
        count = self._params.envs_per_agent
        self._envs = []
        self._windows = [NStep(self._params.n_step_returns, self._params.discount_rate) for _ in range(count)]
        self._scores = [0.0] * count  # returns so far of the episodes in progress
        self._lengths = [0] * count
        self._steps: Iterator[tuple[int, Step]] = self._rollout()

    @property
    def waiting_since(self) -> float | None:
        """Monotonic start of the oldest call of an environment in progress, its construction included; None between calls."""
        starts = [self._making_since, *(env.waiting_since for env in self._envs)]
        return min((start for start in starts if start is not None), default=None)

    def collect(self, transitions: int) -> Block:
        """Step the environments until so many transitions are complete, and return them with the episodes that ended.

        Raises EnvironmentFailure naming agent, step and action when an environment fails; `restart` must follow. What
        was complete before stays for the next call.
        """
        while len(self._ready) < transitions:
            try:
                i, step = next(self._steps)
            except EnvironmentFailure as error:
                raise EnvironmentFailure(
                    f"agent {self.index}, its environment step {self.env_steps + 1}, action {self._acted}: {error}"
                ) from error
            self._count(i, step)
            self._ready += self._windows[i].fold(step)
        block = Block.stack(self._ready[:transitions], self._episodes, self._version)
        self._ready, self._episodes = self._ready[transitions:], []
        return block

    def cut(self) -> Block | None:
        """End the episodes in progress as truncated, and start anew: all transitions that are left, None for none."""
        for i, window in enumerate(self._windows):
            self._ready += window.cut()
            if self._lengths[i]:
                self._finish(i)
        block = Block.stack(self._ready, self._episodes, self._version) if self._ready else None
        self._ready, self._episodes = [], []
        self.restart()
        return block

    def collect_or_restart(
        self, transitions: int, stop: Event, failed: Callable[["Agent", EnvironmentFailure], None]
    ) -> Block | None:
        """Collect; where an environment fails, tell `failed(agent, error)` and go on with a new one after a pause.

        None when told to stop or retired meanwhile. Raises EnvironmentFailure when that has happened too often.
        """
        while not stop.is_set() and not self.is_retired:
            try:
                block = self.collect(transitions)
            except EnvironmentFailure as error:
                if self.is_retired:  # the budget is now that of whoever acts in its place
                    return None
                pause = self.restarts.spend()
                if pause is None:
                    raise
                failed(self, error)
                stop.wait(pause)
                self.restart()
            else:
                self.restarts.earn(len(block))
                return block
        return None

    def run(
        self,
        replay: PrioritisedReplay,
        limiter: RateLimiter,
        stop: Event,
        report: Callable[["Agent", Episode], None],
        failed: Callable[["Agent", EnvironmentFailure], None],
    ) -> None:
        """Act until told to stop or retired, at the pace the limiter allows; `report(agent, episode)` for each that ends."""
        while not self.is_retired:
            block = self.collect_or_restart(BLOCK, stop, failed)
            if block is None or self.is_retired:  # told to stop; or it hung, and somebody else acts in its place
                return
            if limiter.may_insert(len(block), stop):
                replay.add(block)
                limiter.inserted(len(block))
            for episode in block.episodes:
                report(self, episode)

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on as this agent would, from the start of an episode."""
        return {
            "episodes": self.noise.episodes,
            "env_steps": self.env_steps,
            "repeated_steps": self.repeated_steps,
            "generators": {name: generator.bit_generator.state for name, generator in self._generators.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of an agent, in another process or in this one."""
        self.noise.episodes, self.env_steps = int(state["episodes"]), int(state["env_steps"])
        self.repeated_steps = int(state.get("repeated_steps", 0))  # older checkpoints do not have it
        for name, generator in self._generators.items():
            generator.bit_generator.state = state["generators"][name]

    def _rollout(self) -> Iterator[tuple[int, Step]]:
        self._acted = None
        for _ in self._windows:
            self._making_since = time.monotonic()
            try:
                self._envs.append(self._make())
            finally:
                self._making_since = None
        yield from rollout(self._envs, self._act, lambda: int(self._generators["resets"].integers(2**31)))

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
        self.env_steps += step.env_steps
        self.repeated_steps += step.env_steps - 1
        self._scores[i] += step.reward
        self._lengths[i] += step.env_steps
        if step.terminated or step.truncated:
            self._finish(i)

    def _finish(self, i: int) -> None:
        self._episodes.append(Episode(self._scores[i], self._lengths[i]))
        self._scores[i], self._lengths[i] = 0.0, 0
        self.noise.episodes += 1
