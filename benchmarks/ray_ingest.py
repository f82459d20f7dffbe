"""How many transitions Ray's driver takes from many workers, and what that costs the learner.

python benchmarks/ray_ingest.py                       5 minutes
python benchmarks/ray_ingest.py --seconds 600         the memory over 10 minutes

Remote workers hand over one batch of noise again and again, of BipedalWalker's sizes: so two cores imitate many agents.
"learner off" is what the driver takes at most. With the learner on, as in a training with 32 samples for each insert,
the rate of its updates is compared with agents in threads that hand over the same noise, in turns. The model at the
end takes what was measured, and says how many workers the driver has room for.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import itertools
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agent.policy import Policy
from agent.scaling import Scaling
from agent.training.counters import RunCounters
from agent.training.workers.pool import WorkerPool
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.ray_workers import BATCH_LENGTH as RAY_BATCH_LENGTH
from agent.training.workers.ray_workers import RayWorkers
from agent.training.workers.remote import AgentArguments, Reply
from agent.training.workers.replay_writer import ReplayWriter
from params import TrainParams
from utils.console import Console
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter
from utils.replay.transitions import TransitionBatch

OBS, ACTION = 24, 4
RATIO, WARM_UP = 32.0, 3.0  # samples for each insert; seconds
WORKERS = (2, 4, 8)
MODEL_WORKERS, MODEL_MILLISECONDS = (4, 16, 64, 256), (0.3, 5.0, 50.0)  # BipedalWalker's step takes 0.3 ms
STATE = {"episodes": 0, "env_steps": 0, "generators": {}}
PARAMS = TrainParams(
    env="BipedalWalker-v3",
    v_min=-40.0,
    v_max=40.0,
    normalise_observations=False,
    learning_starts=1_000,
    num_steps_train=10**9,
    save_ckpt_step=10**9,
)


class NoiseAgent:
    """An agent in a thread that hands over the same batch again and again."""

    def __init__(self, index: int = 0):
        self.index, self.episodes, self.waiting_since = index, 0, None
        self._batches: dict[int, TransitionBatch] = {}

    def collect(self, transitions: int, policy: Policy | None) -> TransitionBatch:
        """The batch; a policy is ignored."""
        if transitions not in self._batches:
            self._batches[transitions] = timing.random_batch(transitions, OBS, ACTION, np.random.default_rng(self.index))
        return self._batches[transitions]

    def restart(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing to do."""

    def state(self) -> dict[str, Any]:
        """The state of an agent, empty."""
        return STATE

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


class RemoteNoise:
    """The same on Ray. The state that travels with each batch has the size of an agent's."""

    def __init__(self, arguments: AgentArguments, state: dict[str, Any]):
        self._agent, self._state = NoiseAgent(arguments.index), state

    def waiting(self) -> float | None:
        """None: it never waits."""
        return None

    def collect(self, transitions: int, policy: Policy | None) -> Reply:
        """The batch and the state."""
        return Reply(self._agent.collect(transitions, policy), None, self._state)


class Off:
    """A learner that is off. Its first policy is its last."""

    policy: Policy | None = None


class Ingest:
    """Workers that fill a replay, in threads or on Ray (where there is a cluster), with the learner on or off."""

    def __init__(self, cluster: RayCluster | None, workers: int, learns: bool):
        unit = np.ones(ACTION, np.float32)
        scaling = Scaling(np.zeros(OBS, np.float32), np.ones(OBS, np.float32), np.inf, 10.0, -unit, unit)
        params = TrainParams(**vars(PARAMS) | {"num_agents": workers, "ray_cpus_per_agent": 2.0 / max(2, workers)})
        self.replay = PrioritisedReplay(100_000, OBS, ACTION, 0.6, 1e-5, np.random.default_rng(0))
        self.workers: WorkerPool | RayWorkers
        if cluster is None:
            self.workers = WorkerPool(NoiseAgent, workers, 10, 60.0, print, Path(os.devnull), Console())
        else:

            def arguments(index: int) -> AgentArguments:
                return AgentArguments(index, params, scaling, np.random.SeedSequence(index))

            self.workers = RayWorkers(cluster, arguments, params, print, Console(), remote=RemoteNoise)
        ratio = RATIO if learns else 0.0
        calls = params.updates_per_call * params.batch_size
        self.limiter = RateLimiter.fitting(ratio, params.learning_starts, calls, self.workers.in_flight)
        self.writer = ReplayWriter(self.replay, self.limiter, RunCounters(), lambda batch: None, lambda batch: None)
        self.learner: Any = Off()
        if learns:
            from agent.learning.learner import Learner

            self.learner = Learner(params, scaling, self.replay, np.random.default_rng(0), print)
        self.stop = threading.Event()
        loops = [lambda: self.workers.run(self.learner, self.writer, self.stop)]
        if learns:
            loops.append(lambda: self.learner.run(self.limiter, self.stop, None))
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guarded, args=(loop,), daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()
        while not self._errors and (
            self.limiter.inserts < params.learning_starts or (learns and self.learner.learner_step == 0)
        ):
            time.sleep(0.1)
        time.sleep(WARM_UP)

    def rates(self, seconds: float) -> tuple[float, float]:
        """Transitions/s and updates/s over so many seconds."""
        before, begun = (self.limiter.inserts, getattr(self.learner, "learner_step", 0)), time.perf_counter()
        time.sleep(seconds)
        took = time.perf_counter() - begun
        if self._errors:
            raise self._errors[0]
        return (self.limiter.inserts - before[0]) / took, (getattr(self.learner, "learner_step", 0) - before[1]) / took

    def _guarded(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            self._errors.append(error)

    def end(self) -> None:
        """Stop everything."""
        self.stop.set()
        for thread in self._threads:
            thread.join()


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__, seconds=dict(type=float, help="only the memory while the driver takes batches, over so long"))
    cluster = RayCluster(TrainParams(ray_cpus_per_agent=0.01), Console())
    try:
        if given.seconds:
            timing.Result("ray_ingest_memory", rows=memory(cluster, given.seconds)).publish(given.json)
        else:
            rows, figures = measure(cluster, given.quick)
            timing.Result("ray_ingest", figures, rows).publish(given.json)
    finally:
        cluster.close()


def measure(cluster: RayCluster, quick: bool) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """A row for each way of handing over, and figures of the model."""
    seconds, rounds = (1.0, 1) if quick else (15.0, 5)
    rows: list[dict[str, Any]] = []
    for workers in WORKERS[: 1 if quick else None]:
        ingest = Ingest(cluster, workers, learns=False)
        rows.append(
            {"learner": "off", "workers": f"{workers} on Ray", "transitions/s": ingest.rates(seconds)[0], "updates/s": ""}
        )
        ingest.end()
    most = max(row["transitions/s"] for row in rows)
    found: dict[str, list[tuple[float, float]]] = {"4 in threads": [], "4 on Ray": []}
    for _ in range(rounds):
        for name, where in (("4 in threads", None), ("4 on Ray", cluster)):
            ingest = Ingest(where, 4, learns=True)
            found[name].append(ingest.rates(seconds))
            ingest.end()
    for name, rates in found.items():
        inserts, updates = (statistics.median(column) for column in zip(*rates, strict=True))
        rows.append({"learner": "on", "workers": name, "transitions/s": inserts, "updates/s": updates})
    ratios = [ray[1] / threads[1] for threads, ray in zip(found["4 in threads"], found["4 on Ray"], strict=True)]
    updates, asked = rows[-1]["updates/s"], PARAMS.batch_size / RATIO
    figures = {
        "updates/s on Ray over threads, median of the rounds": statistics.median(ratios),
        "milliseconds of the driver for a batch": 1000.0 * RAY_BATCH_LENGTH / most,
        "share of the driver's time that the learner asks for": updates * asked / most,
        "updates/s at which the driver would be the limit": most / asked,
    }
    return [*rows, *model(most, updates)], figures


def model(most: float, updates: float) -> list[dict[str, Any]]:
    """Rates on machines with a core for each worker, from the rates of driver and learner that were measured here.

    Workers give workers / step time, the driver takes `most`, and at ratio r the learner asks for `updates` * batch size / r
    transitions a second. The least of the three is what happens, and makes r / batch size updates of each transition.
    """
    asked, rows = PARAMS.batch_size / RATIO, []
    for ms, workers in itertools.product(MODEL_MILLISECONDS, MODEL_WORKERS):
        rates = {"workers": 1000.0 * workers / ms, "driver": most, "learner": updates * asked}
        limit = min(rates, key=lambda name: rates[name])
        name = f"{workers}, {ms:g} ms for a step: limited by {limit}"
        rows.append({"learner": "model", "workers": name, "transitions/s": rates[limit], "updates/s": rates[limit] / asked})
    return rows


def memory(cluster: RayCluster, seconds: float) -> list[dict[str, Any]]:
    """The memory of this process and of the object store, ten times while the driver takes what the learner asks for."""
    ingest, rows = Ingest(cluster, 4, learns=True), []
    for _ in range(10):
        inserts, updates = ingest.rates(seconds / 10)
        rows.append(
            {
                "transitions": ingest.limiter.inserts,
                "transitions/s": inserts,
                "updates/s": updates,
                "RSS of the driver, MB": timing.resident() / 1e6,
                "object store, MB": object_store(cluster) / 1e6,
            }
        )
    ingest.end()
    return rows


def object_store(cluster: RayCluster) -> float:
    """Bytes in use in Ray's object store."""
    total = cluster.ray.cluster_resources().get("object_store_memory", 0.0)
    return total - cluster.ray.available_resources().get("object_store_memory", 0.0)


if __name__ == "__main__":
    main()
