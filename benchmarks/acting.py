"""Environment steps a second without the learner, and the time of one call of the policy.

python benchmarks/acting.py            three minutes

Agents in threads collect batches as in training, with a fixed policy of 400 and 300 units. A call gets 1, 4 or 16
observations; the NumPy policy of the toolkit is compared with the same actor as a tf.function.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import sys
import threading
import time

import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from agent.agent import Agent
from agent.learning.networks import Hidden, make_actor, named_arrays
from agent.policy import Policy
from agent.scaling import Scaling
from agent.training.workers.pool import BATCH_LENGTH
from params import TrainParams
from utils.envs.spec import EnvSpec
from utils.errors import DependencyError

ENVS = ("Pendulum-v1", "LunarLanderContinuous-v3", "BipedalWalker-v3", "HalfCheetah-v5")
AGENTS, ENVS_PER_AGENT = (1, 2, 4), (1, 4, 16)
DECISIONS = 100  # in a turn


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__)
    envs, agents, seconds = (ENVS[:1], (1, 2), 0.2) if given.quick else (ENVS, AGENTS, 4.0)
    result = timing.Result("acting")
    sys.setswitchinterval(0.0005)  # both as in train.py
    with threadpool_limits(1, "blas"):
        for env in envs:
            try:
                EnvSpec(env).make().close()
            except DependencyError as error:
                result.skipped.append(f"Skipped {env}: {error}")
                continue
            for count in agents:
                row = {"environment": env, "agents": count}
                for each in ENVS_PER_AGENT:
                    row[f"steps/s, {each} environments each"] = steps_per_second(env, count, each, seconds)
                result.rows.append(row)
        for size in ENVS_PER_AGENT:
            result.figures |= decision(size, rounds=3 if given.quick else 50)
    result.publish(given.json)


def steps_per_second(env: str, agents: int, envs_per_agent: int, seconds: float) -> float:
    """Environment steps a second by the number of agents and of environments for each agent."""
    params = TrainParams(noise_decay=1.0, envs_per_agent=envs_per_agent)
    first = EnvSpec(env).make()
    scaling = Scaling.from_env(first, params)
    policy = Policy(weights(first.obs_size, first.action_size), scaling)
    workers = [
        Agent(
            index,
            EnvSpec(env).make,
            params,
            scaling,
            np.random.SeedSequence(index),
        )
        for index in range(agents)
    ]
    stop = threading.Event()

    def collect(agent: Agent) -> None:
        while not stop.is_set():
            agent.collect(BATCH_LENGTH, policy)

    threads = [threading.Thread(target=collect, args=(agent,), daemon=True) for agent in workers]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 4)  # every thread is running now
    before, begun = sum(agent.env_steps for agent in workers), time.perf_counter()
    time.sleep(seconds)
    after, ended = sum(agent.env_steps for agent in workers), time.perf_counter()
    stop.set()
    for thread in threads:
        thread.join()
    for agent in workers:
        agent.restart()  # closes the old ones
    return (after - before) / (ended - begun)


def decision(size: int, rounds: int) -> dict[str, float]:
    """Microseconds of one call of the policy for `size` observations of BipedalWalker, by NumPy and by TensorFlow."""
    actor = make_actor(24, 4, Hidden((400, 300)), 0.003, np.random.default_rng(1))
    env = EnvSpec("BipedalWalker-v3").make()
    policy = Policy(named_arrays(actor), Scaling.from_env(env, TrainParams()))
    obs = np.random.default_rng(2).standard_normal((size, 24), np.float32)
    traced = tf.function(lambda seen: actor(seen, training=False))

    def repeat(decide: object) -> int:
        for _ in range(DECISIONS):
            decide()  # type: ignore[operator]
        return DECISIONS

    timer = timing.AlternatingTimer(
        {"NumPy": lambda: repeat(lambda: policy.act(obs)), "tf.function": lambda: repeat(lambda: traced(obs).numpy())}, rounds
    )
    return {f"microseconds for {size} observations, {by}": timer.seconds(by) * 1e6 for by in ("NumPy", "tf.function")}


def weights(obs_size: int, action_size: int) -> dict[str, np.ndarray]:
    """The policy of an untrained actor."""
    return named_arrays(make_actor(obs_size, action_size, Hidden((400, 300)), 0.003, np.random.default_rng(1)))


if __name__ == "__main__":
    main()
