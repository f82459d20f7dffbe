"""Checkpoints of the original, msinto93/D4PG: TensorFlow-1 files, read into a Policy and a Critic.

TensorFlow reads such a file in a child process, which runs this file as a script. The parent process can then record the
policy: a process that has loaded TensorFlow must not render.
"""

import re
import sys
import tempfile
from pathlib import Path

import numpy as np

from agent.policy import Critic, Policy
from agent.scaling import Scaling
from utils.child import Child
from utils.errors import CheckpointError
from utils.storage.arrays import Arrays, npz, read_npz

READING_SECONDS = 300.0  # for importing TensorFlow and reading the file


def load_original(path: Path, scaling: Scaling, atoms: np.ndarray) -> tuple[Policy, Critic]:
    """The policy and the critic of a checkpoint. `path` is the prefix of the names of its files.

    Such files hold neither scaling nor support, so both are parameters. The original critic's second layer has a kernel
    and a bias for the state and a kernel and a bias for the action, in environment units; here they become one layer
    over [state, action in -1 to 1]. Raises CheckpointError.
    """
    try:
        networks = _read(path)
        actor, critic = _layers(networks, "learner_actor_main"), _layers(networks, "learner_critic_main")
        half_range = (scaling.action_high - scaling.action_low) / 2.0
        centre = (scaling.action_high + scaling.action_low) / 2.0
        state_kernel, action_kernel = critic.pop("dense2a/kernel"), critic.pop("dense2b/kernel")
        critic["dense2/kernel"] = np.concatenate([state_kernel, action_kernel * half_range[:, None]])
        critic["dense2/bias"] = critic.pop("dense2a/bias") + critic.pop("dense2b/bias") + centre @ action_kernel
        for kind in ("kernel", "bias"):
            critic[f"output/{kind}"] = critic.pop(f"output_logits/{kind}")
        step = step_of(path)
        policy, distribution = Policy(actor, scaling, step), Critic(critic | {"atoms": atoms}, scaling, step)
        distribution.value(scaling.obs_mean, policy.act(scaling.obs_mean))  # raises for wrong sizes
    except (OSError, KeyError, ValueError, IndexError) as error:
        message = " ".join(str(error).split())
        raise CheckpointError(f"{path} is not a checkpoint of the original for this environment: {message}.") from None
    return policy, distribution


def step_of(path: Path) -> int:
    """The learner step in the name of a checkpoint of the original."""
    match = re.search(r"ckpt-(\d+)$", path.name)
    return int(match[1]) if match else 0


def _layers(networks: Arrays, scope: str) -> Arrays:
    found = {}
    for name, array in networks.items():
        match = re.fullmatch(rf"{scope}/(\w+)/dense/(kernel|bias)", name)
        if match:
            found[f"{match[1]}/{match[2]}"] = array
    return found


def _read(path: Path) -> Arrays:
    """The variables of a file by name, read in a child process. Raises ValueError with TensorFlow's message."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "networks.npz"
        with Child("agent/original.py", path.absolute(), copy) as child:
            code = child.wait(READING_SECONDS)
        if code != 0:
            raise ValueError(child.last_line or "it could not be read")
        return read_npz(copy.read_bytes(), path)


def _copy_variables(path: str, copy: str) -> None:
    """Write the variables of both networks into an .npz. Loads TensorFlow, so run it in a separate process."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_shape_map()
        networks = {
            name: reader.get_tensor(name).astype(np.float32)
            for name in names
            if name.startswith(("learner_actor_main/", "learner_critic_main/")) and "/train/" not in name
        }
    except (ValueError, tf.errors.OpError) as error:
        sys.exit(" ".join(str(error).split()))
    Path(copy).write_bytes(npz(networks))


if __name__ == "__main__":
    _copy_variables(*sys.argv[1:])
