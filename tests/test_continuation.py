"""Which checkpoint a training goes on from. Checkpoints of nothing but a step: no learner is needed to choose one."""

import pytest

from agent.continuation import checkpoint_to_continue, next_incarnation
from params import TrainParams
from utils.checkpoints import Checkpoint, checkpoint_path, list_checkpoints
from utils.errors import CheckpointError, ParameterError
from utils.runs import Run
from utils.sealed_folder import write_sealed


def small(**changes):
    return TrainParams(v_min=-20.0, v_max=0.0, **changes)


def saved(folder, steps):
    """A run with checkpoints of these learner steps, whose lock has been let go."""
    run = Run(folder)
    for step in steps:
        files = {"learner.npz": {}, "state.json": {"incarnation": 0}}
        manifest = {"learner_step": step, "run_id": run.run_id}
        write_sealed(checkpoint_path(folder, "Pendulum-v1", step), files, manifest)
        run.report("training", step)
    run.close()


def test_a_folder_that_holds_a_run_is_refused_with_the_ways_out(tmp_path):
    saved(tmp_path / "E", [10])
    with pytest.raises(ParameterError, match="--resume.*--fresh.*--run NAME"):
        checkpoint_to_continue(Run(tmp_path / "E"), small())


def test_fresh_moves_the_old_run_aside(tmp_path):
    saved(tmp_path / "E", [10])
    run = Run(tmp_path / "E")
    old = run.run_id
    checkpoint, notes = checkpoint_to_continue(run, small(fresh=True))
    assert checkpoint is None
    assert run.run_id != old
    assert list_checkpoints(tmp_path / "E") == []
    (aside,) = (tmp_path / "E").glob("before-*")
    assert {path.name for path in aside.iterdir()} == {"run.json", "Pendulum-v1.ckpt-10"}
    assert str(aside) in notes[0]


def test_fresh_moves_nothing_when_the_named_checkpoint_cannot_be_used(tmp_path):
    saved(tmp_path / "E", [10])
    with pytest.raises(CheckpointError, match="there is no checkpoint typo"):
        checkpoint_to_continue(Run(tmp_path / "E"), small(fresh=True, ckpt_file="typo"))
    assert len(list_checkpoints(tmp_path / "E")) == 1


def test_fresh_can_begin_from_a_checkpoint_of_the_run_that_it_moves(tmp_path):
    saved(tmp_path / "E", [10])
    checkpoint, _ = checkpoint_to_continue(Run(tmp_path / "E"), small(fresh=True, ckpt_file="Pendulum-v1.ckpt-10"))
    assert checkpoint.step == 10
    assert checkpoint.path.parent.name.startswith("before-")


def test_resume_takes_the_newest_whole_checkpoint_and_says_what_it_passed_over(tmp_path):
    saved(tmp_path / "E", [10, 20, 30])
    (tmp_path / "E" / "Pendulum-v1.ckpt-30" / "learner.npz").write_bytes(b"")
    run = Run(tmp_path / "E")
    checkpoint, notes = checkpoint_to_continue(run, small(resume=True))
    assert checkpoint.step == 20
    assert "ckpt-30" in notes[0]
    assert checkpoint.run_id == run.run_id


def test_resume_refuses_when_nothing_is_whole_and_begins_when_nothing_is_there(tmp_path):
    saved(tmp_path / "E", [10])
    (tmp_path / "E" / "Pendulum-v1.ckpt-10" / "learner.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="--fresh"):
        checkpoint_to_continue(Run(tmp_path / "E"), small(resume=True))
    checkpoint, notes = checkpoint_to_continue(Run(tmp_path / "F"), small(resume=True))
    assert checkpoint is None
    assert "nothing to resume" in notes[0]


def test_an_older_checkpoint_of_the_run_sets_the_newer_ones_aside(tmp_path):
    saved(tmp_path / "E", [10, 20, 30])
    checkpoint, notes = checkpoint_to_continue(Run(tmp_path / "E"), small(resume=True, ckpt_file="Pendulum-v1.ckpt-10"))
    assert checkpoint.step == 10
    assert [path.name for path in list_checkpoints(tmp_path / "E")] == ["Pendulum-v1.ckpt-10"]
    assert notes[0].startswith("2 newer")


def test_a_foreign_checkpoint_begins_a_run_in_an_empty_folder_only(tmp_path):
    saved(tmp_path / "E", [10])
    path = str(tmp_path / "E" / "Pendulum-v1.ckpt-10")
    checkpoint, _ = checkpoint_to_continue(Run(tmp_path / "F"), small(ckpt_file=path))
    assert checkpoint.step == 10
    saved(tmp_path / "G", [10])
    with pytest.raises(ParameterError, match="already holds a run"):
        checkpoint_to_continue(Run(tmp_path / "G"), small(ckpt_file=path))


def test_each_resume_draws_from_new_seeds(tmp_path):
    saved(tmp_path / "E", [10])
    assert next_incarnation(None) == 0
    assert next_incarnation(Checkpoint(tmp_path / "E" / "Pendulum-v1.ckpt-10")) == 1
