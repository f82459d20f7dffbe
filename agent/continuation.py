"""The continuation of a run: which checkpoint the flags ask to go on from, and what has to make room for it."""

from agent.archive import LEARNER, STATE
from params import TrainParams, run_folder
from utils.checkpoints import Checkpoint, is_tensorflow_1, list_checkpoints, named_checkpoint, newest_checkpoint
from utils.errors import CheckpointError
from utils.runs import Run, move_aside


def checkpoint_to_continue(run: Run, params: TrainParams) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint that the flags ask to go on from, and what a person should know about the choice.

    None means a new run. Raises CheckpointError when a run shall be resumed of which no checkpoint is whole, and
    ParameterError when the folder holds a run and nothing says what to do with it.
    """
    notes = []
    named = None
    if params.ckpt_file is not None:  # before anything is moved
        named = Checkpoint(named_checkpoint(params.ckpt_file, run.folder)).verify()
    if params.fresh:
        aside = run.start_anew()
        notes += [f"The run that was here is now in {aside}."] if aside else []
        if named is not None and aside is not None and not named.path.exists():
            named = Checkpoint(aside / named.path.name)
    if named is not None:
        checkpoint = named
        if checkpoint.run_id == run.run_id and params.resume:
            newer = [path for path in list_checkpoints(run.folder) if Checkpoint(path).step > checkpoint.step]
            if newer:
                notes.append(f"{len(newer)} newer checkpoints of this run are set aside in {move_aside(newer)}.")
        else:
            run.refuse_if_taken()
        return checkpoint, notes
    if not params.resume:
        run.refuse_if_taken()
        return None, notes
    newest, passed_over = newest_checkpoint(run.folder)
    notes += [f"Passed over: {error}" for error in passed_over]
    if newest is None and passed_over:
        raise CheckpointError(f"no checkpoint in {run.folder} is whole ({passed_over[0]}); start anew with --fresh.")
    if newest is None:
        notes.append(f"There is nothing to resume in {run.folder}, so this is a new run.")
    return newest, notes


def next_incarnation(checkpoint: Checkpoint | None) -> int:
    """How often the run has been resumed: each time it draws its random numbers from new seeds."""
    return 0 if checkpoint is None else int(checkpoint.json(STATE).get("incarnation", 0)) + 1


def check_continuable(params: TrainParams) -> None:
    """Raise CheckpointError when --ckpt-file names a checkpoint that can act but not go on learning, saying what it lacks."""
    if params.ckpt_file is None:
        return
    path = named_checkpoint(params.ckpt_file, run_folder(params.ckpt_dir, params))
    if is_tensorflow_1(path):
        kind, lacking = "a checkpoint of the original", ["optimisers", "counters"]
    else:
        kind, files = "one to act and judge with", Checkpoint(path).manifest["files"]
        lacking = [f"{what} ({file})" for file, what in _TO_GO_ON.items() if file not in files]
    if lacking:
        raise CheckpointError(
            f"{path} is {kind}: it lacks {' and '.join(lacking)}, so training cannot go on from it, only test.py and play.py."
        )


_TO_GO_ON = {LEARNER: "target networks and optimisers", STATE: "counters"}
