"""Kills of a process that saves: small checkpoints of known content, and a fork that dies at a chosen operation.

For a process of its own, without threads: it forks.
"""

import os
import random
import signal
import sys
import time

import numpy as np

from utils.storage.checkpoints import Checkpoint, checkpoint_path, list_checkpoints
from utils.storage.verified_folder import remove_remains, remove_verified, write_verified


def files(step):
    rng = np.random.default_rng(step)
    return {"policy.npz": {"weights": rng.random(20_000)}, "state.json": {"episodes": [step]}}


def save(folder, step):
    write_verified(checkpoint_path(folder, "Toy-v0", step), files(step), {"learner_step": step, "run_id": "a run"})


def whole_steps(folder):
    """The learner steps of all visible checkpoints; raises CheckpointError unless each is valid and holds what was saved."""
    found = [Checkpoint(path).verify() for path in list_checkpoints(folder)]
    for checkpoint in found:
        assert checkpoint.json("state.json") == {"episodes": [checkpoint.step]}
        assert np.array_equal(checkpoint.arrays("policy.npz")["weights"], files(checkpoint.step)["policy.npz"]["weights"])
    return [checkpoint.step for checkpoint in found]


def killed_before_operation(n, act):
    """Runs `act` in a fork that is killed before its n-th operation on files; whether it lived to the end.

    An operation opens, makes, renames, removes, or makes durable.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    seen, fsync = [0], os.fsync

    def count(event, arguments):
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.fsync"):
            if seen[0] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            seen[0] += 1

    sys.addaudithook(count)
    os.fsync = lambda number: (sys.audit("os.fsync", number), fsync(number))  # the one call that Python does not announce
    act()
    os._exit(0)


def random_kills(root, count, seed=0):
    """Kills a process that saves one checkpoint after the other, at random instants. What it had reported must be there.

    Returns how many were reported in all; raises AssertionError when one of them was lost.
    """
    rng, acknowledged = random.Random(seed), 0
    for _ in range(count):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            for step in range(acknowledged + 1, acknowledged + 1000):
                save(root, step)
                os.write(write, step.to_bytes(4, "big"))
                remove_verified(checkpoint_path(root, "Toy-v0", step - 3))
        os.close(write)
        acknowledged = max(acknowledged, int.from_bytes(os.read(read, 4), "big"))  # it is at work
        time.sleep(rng.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while reported := os.read(read, 4):
            acknowledged = int.from_bytes(reported, "big")
        os.close(read)
        steps = whole_steps(root)
        if not (acknowledged in steps and steps[-1] <= acknowledged + 1):
            raise AssertionError(f"{acknowledged} was reported and {steps} are there")
        acknowledged = steps[-1]
        remove_remains(root)
    return acknowledged
