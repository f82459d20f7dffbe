"""Environment steps/s and updates/s with agents in threads, in processes and on Ray.

python benchmarks/runners.py                          10 minutes

"off": four agents act in BipedalWalker by a fixed policy and fill a replay, without a learner. "on": trainings on an
environment whose step computes in Python for 2 or 5 ms (slow_env.py), four agents, 128 samples for each insert.
The contenders take turns.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import itertools
import os
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import loop
from agent.environment import training_env
from agent.policy import Policy
from agent.scaling import Scaling
from agent.training.counters import RunCounters
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.replay_writer import ReplayWriter
from agent.training.workers.runners import make_workers
from params import TrainParams
from utils.console import Console
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter

AGENTS = 4
RUNNERS = ("threads", "processes", "ray")
MILLISECONDS = (2.0, 5.0)
UNITS = (400, 300)
WARM_UP = 3.0  # seconds


class Fixed:
    """Publishes one policy with random weights."""

    def __init__(self, scaling: Scaling):
        rng, sizes = np.random.default_rng(0), (len(scaling.obs_mean), *UNITS, len(scaling.action_low))
        weights = {}
        for name, inputs, outputs in zip(("dense1", "dense2", "output"), sizes, sizes[1:], strict=False):
            weights[f"{name}/kernel"] = rng.normal(scale=inputs**-0.5, size=(inputs, outputs)).astype(np.float32)
            weights[f"{name}/bias"] = np.zeros(outputs, np.float32)
        self.policy: Policy | None = Policy(weights, scaling, version=1)


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__)
    os.environ["PYTHONPATH"] = str(timing.ROOT / "benchmarks")  # where trainings and their agents find slow_env
    seconds, rounds = (1.0, 1) if given.quick else (10.0, 5)
    rows, figures = acting(seconds, rounds)
    rows += [row for ms in MILLISECONDS[: 1 if given.quick else None] for row in learning(ms, given.quick)]
    timing.Result("runners", figures, rows).publish(given.json)


def acting(seconds: float, rounds: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """A row for each runner without a learner, and the memory of one remote worker."""
    rates: dict[str, list[float]] = {runner: [] for runner in RUNNERS}
    cluster, memory = RayCluster(TrainParams(ray_cpus_per_agent=0.01), Console()), 0.0
    try:
        for _, runner in itertools.product(range(rounds), RUNNERS):
            rate, resident = act(runner, cluster, seconds)
            rates[runner].append(rate)
            memory = max(memory, resident)
    finally:
        cluster.close()
    threads = rates["threads"]
    rows = [
        {
            "learner": "off",
            "environment": "BipedalWalker-v3",
            "runner": runner,
            "env steps/s": statistics.median(found),
            "updates/s": "",
            "over threads": statistics.median(one / other for one, other in zip(found, threads, strict=True)),
        }
        for runner, found in rates.items()
    ]
    return rows, {"largest remote worker on Ray, MB": memory / 1e6}


def act(runner: str, cluster: RayCluster, seconds: float) -> tuple[float, float]:
    """Environment steps/s, and the bytes in memory of the largest remote worker."""
    params = TrainParams(
        env="BipedalWalker-v3", v_min=-40.0, v_max=40.0, num_agents=AGENTS, runner=runner, ray_cpus_per_agent=0.5
    )
    env = training_env(params)
    scaling, counters, stop = Scaling.from_env(env, params), RunCounters(), threading.Event()
    replay = PrioritisedReplay(100_000, env.obs_size, env.action_size, 0.6, 1e-5, np.random.default_rng(0))
    writer = ReplayWriter(replay, RateLimiter(0.0, 1, 1.0), counters, lambda batch: None, lambda batch: None)
    workers = make_workers(
        params,
        env,
        scaling,
        np.random.SeedSequence,
        cluster if runner == "ray" else None,
        print,
        Path(os.devnull),
        Console(),
    )
    thread = threading.Thread(target=workers.run, args=(Fixed(scaling), writer, stop))
    thread.start()
    while counters.env_steps == 0:
        time.sleep(0.1)
    time.sleep(WARM_UP)
    before, begun = counters.env_steps, time.perf_counter()
    time.sleep(seconds)
    rate, memory = (counters.env_steps - before) / (time.perf_counter() - begun), largest("ray::RemoteAgent")
    stop.set()
    thread.join()
    return rate, memory


def largest(name: str) -> float:
    """The bytes in memory of the largest process whose command line begins with `name`; 0 where the system does not tell."""
    sizes = [0]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_text().startswith(name):
                sizes.append(timing.resident(folder.name))
        except OSError:  # it has ended
            continue
    return float(max(sizes))


def learning(ms: float, quick: bool) -> list[dict[str, Any]]:
    """A row for each runner of trainings on an environment whose step takes so long."""
    rounds, rows = (1, 1) if quick else (2, 3)
    found: dict[str, list[loop.Rates]] = {runner: [] for runner in RUNNERS}
    for _, runner in itertools.product(range(rounds), RUNNERS):
        flags = ["--env-kwargs", f'{{"ms": {ms}}}', "--runner", runner, "--learning-starts", "600", "--hidden-sizes"]
        flags += [*map(str, UNITS), *(("--ray-cpus-per-agent", "0.5") if runner == "ray" else ())]
        with loop.training("slow_env:Slow-v0", *flags) as training:
            found[runner].append(training.rates(rows))
    threads = found["threads"]
    return [
        {
            "learner": "on",
            "environment": f"{ms:g} ms of Python",
            "runner": runner,
            "env steps/s": statistics.median(rate.env_steps for rate in rates),
            "updates/s": statistics.median(rate.updates for rate in rates),
            "over threads": statistics.median(one.updates / two.updates for one, two in zip(rates, threads, strict=True)),
        }
        for runner, rates in found.items()
    ]


if __name__ == "__main__":
    main()
