"""Small parts for tests: parameters, scaling, replay, policy, critic, checkpoint; no TensorFlow. Their numbers never vary."""

from pathlib import Path
from typing import Any

import numpy as np

from agent.policy import Critic, Policy
from agent.scaling import Scaling
from params import TrainParams
from utils.envs.environment import Environment
from utils.replay.prioritised import PrioritisedReplay
from utils.storage.verified_folder import write_verified

ATOMS = np.linspace(-1, 0, 5, dtype=np.float32)


def make_params(**changes: Any) -> TrainParams:
    """Parameters of a training with hidden layers of 8 units and a support that fits Pendulum."""
    return TrainParams(**{"v_min": -20.0, "v_max": 0.0, "dense1_size": 8, "dense2_size": 8, "num_agents": 2} | changes)


def make_scaling(
    obs_size: int = 1,
    action_size: int = 1,
    reward_scale: float = 1.0,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Scaling:
    """A scaling that leaves observations as they are; actions are within -1 and 1 where no bounds are given."""
    unit = np.ones(action_size, np.float32)
    low, high = -unit if low is None else low, unit if high is None else high
    return Scaling(np.zeros(obs_size, np.float32), np.ones(obs_size, np.float32), np.inf, reward_scale, low, high)


def make_uneven_scaling(clip: float = np.inf) -> Scaling:
    """A scaling whose three observations and two actions all have numbers of their own; rewards are divided by 10."""
    mean, scale = np.array([1.0, -2.0, 0.5], np.float32), np.array([2.0, 8.0, 0.1], np.float32)
    return Scaling(mean, scale, clip, 10.0, np.array([-0.3, 0.0], np.float32), np.array([0.1, 7.0], np.float32))


def make_replay(
    capacity: int = 1000, obs_size: int = 1, action_size: int = 1, alpha: float = 0.6, epsilon: float = 1e-5, seed: int = 0
) -> PrioritisedReplay:
    """An empty replay."""
    return PrioritisedReplay(capacity, obs_size, action_size, alpha, epsilon, np.random.default_rng(seed))


def make_weights(
    rng: np.random.Generator, obs_size: int, outputs: int, action_size: int = 0, units: tuple[int, int] = (8, 6)
) -> dict[str, np.ndarray]:
    """Random weights of a network with two hidden layers; a critic's second one takes the action as well."""
    first, second = units
    sizes = {"dense1": (obs_size, first), "dense2": (first + action_size, second), "output": (second, outputs)}
    kernels = {f"{layer}/kernel": rng.normal(size=size).astype(np.float32) for layer, size in sizes.items()}
    return kernels | {f"{layer}/bias": np.zeros(size[1], np.float32) for layer, size in sizes.items()}


def make_networks(
    scaling: Scaling, atoms: np.ndarray = ATOMS, units: tuple[int, int] = (8, 6), seed: int = 0
) -> tuple[Policy, Critic]:
    """A policy and a critic with random weights, of the sizes of a scaling."""
    rng, obs_size, action_size = np.random.default_rng(seed), len(scaling.obs_mean), len(scaling.action_low)
    policy = Policy(make_weights(rng, obs_size, action_size, units=units), scaling)
    critic = make_weights(rng, obs_size, len(atoms), action_size, units) | {"atoms": atoms}
    return policy, Critic(critic, scaling)


def save_checkpoint(
    path: Path, env: Environment, env_id: str | None = None, obs_size: int | None = None, **manifest: Any
) -> Path:
    """Save a checkpoint with a small policy and critic for an environment; the learner step is the number in its name."""
    fitted = Scaling.from_env(env, TrainParams())
    policy, critic = make_networks(
        make_scaling(obs_size or env.obs_size, env.action_size, low=fitted.action_low, high=fitted.action_high)
    )
    step = int(path.name.rpartition("-")[2])
    known = {"learner_step": step, "run_id": "r1", "env": env_id or env.id, "env_step": 8 * step, "seconds": 1.5}
    write_verified(path, {Policy.FILE: policy.arrays(), Critic.FILE: critic.arrays()}, known | manifest)
    return path
