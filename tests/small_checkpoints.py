"""Checkpoints with networks so small that a test makes dozens of them."""

import numpy as np

from agent.policy import Critic, Policy
from agent.scaling import Scaling
from params import TrainParams
from utils.sealed_folder import write_sealed


def save(path, env, env_id=None, obs_size=None, **manifest):
    """A checkpoint at `path` that acts and judges, with hidden layers of 8 and 6 units; its weights are always the same."""
    rng = np.random.default_rng(0)
    obs_size = obs_size or env.obs_size

    def weights(outputs, extra):
        sizes = {"dense1": (obs_size, 8), "dense2": (8 + extra, 6), "output": (6, outputs)}
        kernels = {f"{layer}/kernel": rng.normal(size=size).astype(np.float32) for layer, size in sizes.items()}
        return kernels | {f"{layer}/bias": np.zeros(size[1], np.float32) for layer, size in sizes.items()}

    fitted = Scaling.from_env(env, TrainParams())
    scaling = Scaling(
        np.zeros(obs_size, np.float32), np.ones(obs_size, np.float32), np.inf, 1.0, fitted.action_low, fitted.action_high
    )
    atoms = {"atoms": np.linspace(-1, 0, 5, dtype=np.float32)}
    files = {
        "policy.npz": Policy(weights(env.action_size, 0), scaling).arrays(),
        "critic.npz": Critic(weights(5, env.action_size) | atoms, scaling).arrays(),
    }
    step = int(path.name.rpartition("-")[2])
    known = {"learner_step": step, "run_id": "r1", "env": env_id or env.id, "env_step": 8 * step, "seconds": 1.5}
    write_sealed(path, files, known | manifest)
    return path
