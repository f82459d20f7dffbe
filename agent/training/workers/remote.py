"""An agent outside of the learner's process, and its replies."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from agent.agent import Agent
from agent.environment import training_env
from agent.policy import Policy
from agent.scaling import Scaling
from params import TrainParams
from utils.envs.environment import Environment, select_renderer
from utils.errors import EnvironmentFailure
from utils.replay.transitions import TransitionBatch


@dataclass(frozen=True)
class AgentArguments:
    """The arguments that make the same agent in any process."""

    index: int
    params: TrainParams
    scaling: Scaling
    seeds: np.random.SeedSequence

    def agent(self, make: Callable[[], Environment] | None = None) -> Agent:
        """The agent, without environments yet; `make` makes them where they are not those of the parameters."""
        return Agent(self.index, make or partial(training_env, self.params), self.params, self.scaling, self.seeds)


class Reply(NamedTuple):
    """`batch` is None after `failure`, the message of an EnvironmentFailure. `state` is the agent's after the call."""

    batch: TransitionBatch | None
    failure: str | None
    state: dict[str, Any]


class RemoteAgent:
    """An agent that continues from a state. Imports no TensorFlow."""

    def __init__(self, arguments: AgentArguments, state: dict[str, Any]):
        select_renderer(renders=False)
        self._limits = threadpool_limits(1, "blas")
        self._agent = arguments.agent()
        self._agent.restore(state)
        self._has_failed = False

    def waiting(self) -> float | None:
        """Seconds since the start of the oldest call of an environment in progress; None between calls."""
        since = self._agent.waiting_since
        return None if since is None else time.monotonic() - since

    def collect(self, transitions: int, policy: Policy | None) -> Reply:
        """As Agent.collect. After a failure the next call makes new environments.

        Raises what making an environment raises, except EnvironmentFailure.
        """
        if self._has_failed:
            self.restart()
        try:
            return Reply(self._agent.collect(transitions, policy), None, self._agent.state())
        except EnvironmentFailure as error:
            self._has_failed = True
            return Reply(None, str(error), self._agent.state())

    def restart(self) -> None:
        """Close the environments. The next `collect` makes new ones."""
        self._agent.restart()
        self._has_failed = False
