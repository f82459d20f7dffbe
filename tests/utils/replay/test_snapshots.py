"""Snapshots of the replay on disk: what was saved is what a run goes on with, damage is passed over with a sentence."""

import json

import numpy as np
import pytest
from fake_learner import FakeRun, numbers_of
from reliability.malicious_files import forge

from utils.replay.snapshots import restore_newest, write_snapshot
from utils.storage.checkpoints import Checkpoint, list_snapshots


@pytest.fixture
def saved(tmp_path):
    """A run with the checkpoint of step 10, and the snapshots of 10 (16 transitions), 20 (32) and 30 (48)."""
    run = FakeRun(tmp_path / "E", synchronous=True)
    run.save(10)
    for step in (20, 30):
        run.advance(step)
        write_snapshot(tmp_path / "E", run.run.run_id, step, run.replay, run.limiter)
    run.run.close()
    return tmp_path / "E"


def restored(folder, step=10):
    """A new replay and limiter, filled from the folder for its checkpoint; the learner step, and what was said."""
    other = FakeRun(folder.parent / f"other {step}")
    checkpoint = Checkpoint(folder / "Pendulum-v1.ckpt-10")
    checkpoint.step = step
    learner_step, said = restore_newest(checkpoint, other.replay, other.limiter)
    return learner_step, said, other


def stored(run):
    return sorted(numbers_of(np.concatenate([*run.replay.snapshot()[2]])).tolist()) if len(run.replay) else []


@pytest.mark.parametrize(
    ("step", "found", "transitions"), [(10, 10, 16), (20, 20, 32), (30, 30, 48), (25, 30, 48), (99, 30, 48)]
)
def test_restore_prefers_the_snapshot_of_the_checkpoints_step_then_the_newest(saved, step, found, transitions):
    learner_step, said, run = restored(saved, step)
    assert (learner_step, said) == (found, [])
    assert stored(run) == list(range(transitions))
    assert (run.limiter.inserts, run.replay.added) == (transitions, transitions)


@pytest.mark.parametrize("name", ["transitions.npy", "counters.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_damaged_snapshot_is_named_and_the_next_older_one_is_restored(saved, name, damage):
    path = saved / "replay-30" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-9] if damage == "cut" else content[:200] + bytes([content[200] ^ 1]) + content[201:])
    learner_step, said, run = restored(saved, 30)
    assert learner_step == 20
    assert len(said) == 1
    assert said[0].startswith("Skipped: ")
    assert "replay-30" in said[0]
    assert stored(run) == list(range(32))


def test_a_snapshot_of_another_run_is_not_restored(saved):
    checkpoint = Checkpoint(saved / "Pendulum-v1.ckpt-10")
    checkpoint.run_id = "another run"
    run = FakeRun(saved.parent / "other")
    assert restore_newest(checkpoint, run.replay, run.limiter) == (None, [])
    assert len(run.replay) == 0


def changed(counters, **changes):
    return {part: {name: changes.get(name, value) for name, value in values.items()} for part, values in counters.items()}


@pytest.mark.parametrize(
    "forged",
    [
        lambda counters: {},
        lambda counters: {"replay": counters["replay"]},
        lambda counters: changed(counters, inserts="many"),
        lambda counters: changed(counters, samples=None),
        lambda counters: changed(counters, added=49),
        lambda counters: changed(counters, added="48"),
        lambda counters: changed(counters, capacity=None),
        lambda counters: changed(counters, capacity=40),
        lambda counters: changed(counters, alpha=-1.0),
        lambda counters: changed(counters, alpha=float("nan")),
        lambda counters: changed(counters, greatest_priority=0.0),
        lambda counters: changed(counters, greatest_priority=float("inf")),
        lambda counters: changed(counters, generator={}),
        lambda counters: changed(counters, generator={"bit_generator": "os.system"}),
        lambda counters: changed(counters, generator=5),
    ],
)
def test_invalid_counters_are_skipped_and_change_nothing(saved, forged):
    whole = Checkpoint(saved / "replay-30")
    contents = {name: whole.bytes(name) for name in ("transitions.npy", "counters.json")}
    contents["counters.json"] = json.dumps(forged(whole.json("counters.json"))).encode()
    forge(saved / "replay-40", contents, run_id=whole.run_id, learner_step=40)
    for path in list_snapshots(saved)[:-1]:
        path.rename(path.with_name(f"kept-{path.name}"))
    learner_step, said, run = restored(saved, 40)
    assert learner_step is None
    assert len(said) == 1
    assert "replay-40 does not fit here" in said[0]
    assert (len(run.replay), run.limiter.inserts, run.limiter.samples) == (0, 0, 0)
