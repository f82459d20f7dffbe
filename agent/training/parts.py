"""The parts of a run that learn, act and store, built from its parameters."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.scaling import Scaling
from agent.training.counters import RunCounters
from agent.training.workers.pool import OnFailure
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.runners import Workers, make_workers
from params import TrainParams
from utils.console import Console, quiet_stderr
from utils.envs.environment import Environment
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from agent.learning.learner import Learner

NETWORKS, REPLAY, AGENTS = range(3)  # roles of the seed sequences


@dataclass(frozen=True)
class Parts:
    """The parts of a run that a checkpoint holds."""

    learner: "Learner"
    workers: Workers
    counters: RunCounters
    replay: PrioritisedReplay
    limiter: RateLimiter


def build_parts(
    config: TrainParams,
    first_env: Environment,
    scaling: Scaling,
    cluster: RayCluster | None,
    resume_count: int,
    on_failure: OnFailure,
    thread_dumps: Path,
    console: Console,
) -> Parts:
    """Build the parts. `first_env`, which the sizes were read from, becomes the first agent's where that is a thread.

    Each part draws its random numbers from seeds of its own, which differ after each resume. Imports TensorFlow.
    """

    def seeds(role: int, index: int = 0) -> np.random.SeedSequence:
        return np.random.SeedSequence(config.random_seed, spawn_key=(role, index, resume_count))

    replay = PrioritisedReplay(
        config.replay_mem_size,
        first_env.obs_size,
        first_env.action_size,
        config.priority_alpha,
        config.priority_epsilon,
        np.random.default_rng(seeds(REPLAY)),
    )
    with quiet_stderr(), _paused_collection():
        from agent.learning.learner import Learner  # imports TensorFlow: not before everything else has been checked

        learner = Learner(config, scaling, replay, np.random.default_rng(seeds(NETWORKS)), console.say)
    workers = make_workers(config, first_env, scaling, partial(seeds, AGENTS), cluster, on_failure, thread_dumps, console)
    limiter = RateLimiter.fitting(
        config.samples_per_insert, config.learning_starts, config.updates_per_call * config.batch_size, workers.in_flight
    )
    return Parts(learner, workers, RunCounters(), replay, limiter)


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Pause the garbage collector. The import of TensorFlow leaves it nothing to free, and costs a sixth less."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
