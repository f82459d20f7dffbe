"""Where the agents act: in threads or processes of this machine, or on Ray."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import numpy as np

from agent.agent import Agent
from agent.environment import training_env
from agent.scaling import Scaling
from agent.training.workers.pool import OnFailure, PolicySource, WorkerPool
from agent.training.workers.process_agent import ProcessAgent
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.ray_workers import RayWorkers
from agent.training.workers.remote import AgentArguments
from agent.training.workers.replay_writer import ReplayWriter
from params import TrainParams
from utils.console import Console
from utils.envs.environment import Environment


class Workers(Protocol):
    """All agents of a run: WorkerPool, or RayWorkers."""

    @property
    def in_flight(self) -> int:
        """Transitions that all workers may add at once."""
        ...

    @property
    def episodes(self) -> int:
        """Finished episodes, across restarts."""
        ...

    def run(self, source: PolicySource, writer: ReplayWriter, stop: Event) -> None:
        """Collect until `stop` is set. Raises EnvironmentFailure when every worker has failed."""
        ...

    def state(self) -> list[dict[str, Any]]:
        """The agents' states, for `restore`."""
        ...

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Continue from saved states. Agents without one start new."""
        ...


def make_workers(
    params: TrainParams,
    first_env: Environment,
    scaling: Scaling,
    seeds: Callable[[int], np.random.SeedSequence],
    cluster: RayCluster | None,
    on_failure: OnFailure,
    thread_dumps: Path,
    console: Console,
) -> Workers:
    """The workers of `params.runner`. `first_env` becomes the first agent's, or is closed; `seeds(index)` are an agent's.

    `cluster` is Ray's, where that is the runner.
    """

    def arguments(index: int) -> AgentArguments:
        return AgentArguments(index, params, scaling, seeds(index))

    unused = [first_env]

    def make_env(index: int) -> Environment:
        return unused.pop() if index == 0 and unused else training_env(params)

    def make_agent(index: int) -> Agent | ProcessAgent:
        if params.runner == "processes":
            return ProcessAgent(arguments(index), thread_dumps)
        return arguments(index).agent(partial(make_env, index))

    if params.runner != "threads":
        first_env.close()
    if cluster is not None:
        return RayWorkers(cluster, arguments, params, on_failure, console)
    return WorkerPool(make_agent, params.num_agents, params.env_restarts, params.env_timeout, on_failure, thread_dumps, console)
