"""The compiled update, as a fraction of the matrix product rate of this machine.

python benchmarks/learner.py           three environments' sizes, two minutes

gemm_fraction is the update's floating-point operations a second over those of a 2048 x 2048 x 2048 matrix product, both
through TensorFlow, in turns. The operations of an update are those of its dense layers: two for each weight and transition
in a forward pass, two for the gradient of the weights, and two for the gradient of the inputs.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import itertools
from dataclasses import replace
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from agent.learning.learner import Learner
from agent.scaling import Scaling
from params import TrainParams
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.rate_limiter import RateLimiter

SIZES = {"Pendulum-v1": (3, 1), "BipedalWalker-v3": (24, 4), "HalfCheetah-v5": (17, 6)}  # observation, action
HEADLINE = "BipedalWalker-v3"
PARAMS = TrainParams(v_min=-20.0, v_max=20.0, save_ckpt_step=160)
SIDE = 2048
QUICK: dict[str, Any] = dict(
    replay_mem_size=10_000, batch_size=8, dense1_size=16, dense2_size=16, num_atoms=11, save_ckpt_step=16
)


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__, env=dict(choices=SIZES, help="the sizes of this one only"))
    envs = [given.env] if given.env else [HEADLINE] if given.quick else list(SIZES)
    params = replace(PARAMS, **QUICK) if given.quick else PARAMS
    result = timing.Result("learner")
    with threadpool_limits(1, "blas"):  # as in train.py
        for env in envs:
            result.rows.append({"sizes": env} | measure(*SIZES[env], params, rounds=1 if given.quick else 40))
    result.figures = {row["sizes"]: row["gemm_fraction"] for row in result.rows}
    result.publish(given.json)


def measure(obs_size: int, action_size: int, params: TrainParams, rounds: int) -> dict[str, float]:
    """Rates of the compiled call, of `step` (sampling and priorities too), and of `run` (the same, overlapping)."""
    learner, replay = make(obs_size, action_size, params)
    sample = replay.sample(params.updates_per_call, params.batch_size, 0.4)
    square = tf.random.normal((SIDE, SIDE), seed=1)
    product = tf.function(tf.matmul, jit_compile=True)

    def gemm() -> None:
        product(square, square).numpy()

    def compiled() -> int:
        learner.update(params.updates_per_call, 0, sample)
        return params.updates_per_call

    def step() -> int:
        learner.learner_step = 0
        learner.step()
        return learner.learner_step

    def run() -> int:
        learner.learner_step, stop = 0, Event()
        checkpointer = SimpleNamespace(save=stop.set, reload=lambda: False)
        learner.run(RateLimiter(0.0, 0, 0.0), stop, checkpointer)  # until its first checkpoint, without a limit
        return learner.learner_step

    timer = timing.AlternatingTimer({"gemm": gemm, "compiled": compiled, "step": step, "run": run}, rounds)
    work, product_work = operations(obs_size, action_size, params), 2.0 * SIDE**3
    return {
        "gemm_fraction": timer.ratio("gemm", "compiled") * work / product_work,
        "gemm GFLOP/s": product_work / timer.seconds("gemm") / 1e9,
        "GFLOP an update": work / 1e9,
        **{f"{name} updates/s": 1.0 / timer.seconds(name) for name in ("compiled", "step", "run")},
    }


def make(obs_size: int, action_size: int, params: TrainParams) -> tuple[Learner, PrioritisedReplay]:
    """A learner with a full replay, no agents acting."""
    rng = np.random.default_rng(1)
    replay = PrioritisedReplay(
        params.replay_mem_size, obs_size, action_size, params.priority_alpha, params.priority_epsilon, rng
    )
    while len(replay) < replay.capacity:
        replay.add(timing.random_batch(10_000, obs_size, action_size, rng))
    bounds = np.ones(action_size, np.float32)
    scaling = Scaling(np.zeros(obs_size, np.float32), np.ones(obs_size, np.float32), np.inf, 10.0, -bounds, bounds)
    return Learner(params, scaling, replay, rng), replay


def operations(obs_size: int, action_size: int, params: TrainParams) -> float:
    """Floating-point operations of the dense layers in one update, without biases."""
    actor = _weights(obs_size, *params.actor_hidden, action_size)
    critic = _weights(obs_size, *params.critic_hidden, params.num_atoms) + action_size * params.critic_hidden[1]
    # Passes over the actor: target, forward, two backward. Over the critic: target; forward and two backward in its own
    # loss; forward and one backward, for the actions' gradient, in the actor's.
    return 2.0 * params.batch_size * (4 * actor + 6 * critic)


def _weights(*sizes: int) -> int:
    """Weights of dense layers from one size to the next, without biases."""
    return sum(before * after for before, after in itertools.pairwise(sizes))


if __name__ == "__main__":
    main()
