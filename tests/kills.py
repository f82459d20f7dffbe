"""Kills of a process that saves: small checkpoints of known content, and a fork that dies at an instant of one's choice.

For a process of its own, without threads: it forks.
"""

import os
import signal
import sys

import numpy as np

from utils.checkpoints import Checkpoint, checkpoint_path, list_checkpoints
from utils.sealed_folder import write_sealed


def files(step):
    rng = np.random.default_rng(step)
    return {"policy.npz": {"weights": rng.random(20_000)}, "state.json": {"episodes": [step]}}


def save(folder, step):
    write_sealed(checkpoint_path(folder, "Toy-v0", step), files(step), {"learner_step": step, "run_id": "a run"})


def whole_steps(folder):
    """The learner steps of all visible checkpoints; raises CheckpointError unless each is whole and what was saved."""
    found = [Checkpoint(path).verify() for path in list_checkpoints(folder)]
    for checkpoint in found:
        assert checkpoint.json("state.json") == {"episodes": [checkpoint.step]}
        assert np.array_equal(checkpoint.arrays("policy.npz")["weights"], files(checkpoint.step)["policy.npz"]["weights"])
    return [checkpoint.step for checkpoint in found]


def killed_before_operation(n, act):
    """Runs `act` in a fork that is killed before its n-th operation on files; whether it lived to the end."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    seen = [0]

    def count(event, arguments):
        if event == "open" or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            if seen[0] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            seen[0] += 1

    sys.addaudithook(count)
    act()
    os._exit(0)
