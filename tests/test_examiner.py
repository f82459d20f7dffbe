"""The examiner ends a training at the score that was asked for, and not before."""

import threading
from pathlib import Path

import numpy as np

from agent import examiner
from agent.examiner import Examiner
from agent.policy import Policy, Scaling
from utils.console import Console
from utils.env_spec import EnvSpec
from utils.sealed_folder import write_sealed

make = EnvSpec("Pendulum-v1", max_ep_length=5).make


class Shelf:
    """Where an archive would keep its newest checkpoint."""

    newest: Path | None = None


def put(shelf, folder, step):
    env = make()
    scaling = Scaling(np.zeros(3, np.float32), np.ones(3, np.float32), np.inf, 1.0, env.action_low, env.action_high)
    sizes = {"dense1": (3, 4), "dense2": (4, 4), "output": (4, 1)}
    weights = {f"{layer}/kernel": np.zeros(size, np.float32) for layer, size in sizes.items()}
    weights |= {f"{layer}/bias": np.zeros(size[1], np.float32) for layer, size in sizes.items()}
    path = folder / f"E.ckpt-{step}"
    write_sealed(path, {"policy.npz": Policy(weights, scaling).arrays()}, {"learner_step": step, "run_id": "r"})
    shelf.newest = path


def run(goal, shelf, stop):
    thread = threading.Thread(target=Examiner(goal, shelf, make, Console()).run, args=(stop,), daemon=True)
    thread.start()
    return thread


def test_it_ends_once_a_checkpoint_is_good_enough(tmp_path, capsys):
    shelf = Shelf()
    thread = run(-1000.0, shelf, threading.Event())
    thread.join(0.7)
    assert thread.is_alive()  # nothing to examine yet
    put(shelf, tmp_path, 10)
    thread.join(20)
    assert not thread.is_alive()


def test_it_goes_on_until_told_to_stop_while_nothing_is_good_enough(tmp_path):
    shelf, stop = Shelf(), threading.Event()
    put(shelf, tmp_path, 10)
    thread = run(0.0, shelf, stop)
    thread.join(1.5)
    assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_checkpoint_that_vanished_is_passed_over(tmp_path):
    shelf, stop = Shelf(), threading.Event()
    shelf.newest = tmp_path / "E.ckpt-10"
    thread = run(-1000.0, shelf, stop)
    thread.join(0.8)
    assert thread.is_alive()
    put(shelf, tmp_path, 20)
    thread.join(20)
    assert not thread.is_alive()


def test_its_seeds_are_nobody_elses():
    from params import TestParams, WatchParams

    for params in (TestParams(), WatchParams()):
        theirs = range(params.random_seed, params.random_seed + 100_000)
        assert not set(theirs) & set(range(examiner.FIRST_SEED, examiner.FIRST_SEED + examiner.EPISODES))
