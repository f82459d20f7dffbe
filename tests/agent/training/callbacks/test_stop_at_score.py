"""The examiner ends a training at the score that was asked for, and not before."""

import threading
from pathlib import Path

from factories import save_checkpoint

from agent.training import stop_at_score as examiner
from agent.training.callbacks.stop_at_score import StopAtScore
from utils.console import Console
from utils.env_spec import EnvSpec

make = EnvSpec("Pendulum-v1", max_ep_length=5).make


class Shelf:
    """Where an archive would keep its newest checkpoint."""

    newest: Path | None = None


def put(shelf, folder, step):
    shelf.newest = save_checkpoint(folder / f"E.ckpt-{step}", make())


def run(goal, shelf, stop):
    thread = threading.Thread(target=StopAtScore(goal, shelf, make, Console()).run, args=(stop,), daemon=True)
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
