"""Where a training continues from: the run's recorded parameters, the checkpoint, and what has to make room for it."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.config import ARCHITECTURE_FIELDS, RUN_FIELDS, resolve, run_folder, trained_env_spec
from agent.training.checkpointer import LEARNER, STATE
from params import TrainParams
from utils.errors import CheckpointError, ParameterError
from utils.parameters import Resolved
from utils.storage.checkpoints import (
    Checkpoint,
    is_tensorflow_1,
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
    newest_manifest,
)
from utils.storage.run_folder import Run, move_aside, read_run

_NAMING = ("env", "run", "ckpt_dir", "ckpt_file", "resume", "fresh")  # flags that say which checkpoint to continue from
_CODE = ("env", "env_kwargs", "wrapper")  # name code that would be run, so they are never taken from a checkpoint


def resolve_training(
    cls: type[TrainParams], given: Mapping[str, Any], env_problem: Callable[[str], str | None] = lambda env: None
) -> Resolved:
    """The parameters of a training: what is given, then what the checkpoint to continue from recorded, then as always.

    A resumed run takes all its recorded parameters. A new run from the checkpoint of another takes the fields that give
    the networks their shapes, without which the checkpoint could not be loaded. Raises ParameterError with all problems,
    and CheckpointError, with the flags to add where the checkpoint was trained on another environment.
    """
    try:
        which: TrainParams = resolve(cls, {name: given.get(name) for name in _NAMING}).values
    except ParameterError:
        return resolve(cls, given, env_problem=env_problem)  # raises this problem together with all others
    checkpoint = _recording_checkpoint(which)
    if checkpoint is None:
        return resolve(cls, given, env_problem=env_problem)
    record = _record(checkpoint, which.env)
    folder = run_folder(which.ckpt_dir, which)
    if which.resume and checkpoint.run_id == (read_run(folder) or newest_manifest(folder)).get("run_id"):
        note = f"Parameters are those recorded in {checkpoint.path}; flags override them."
    else:
        record = {name: value for name, value in record.items() if name in ARCHITECTURE_FIELDS}
        note = f"The networks have the shapes and scaling recorded in {checkpoint.path}; all else is as for a new run."
    resolved = resolve(cls, given, record, env_problem)
    trained_env_spec(checkpoint, resolved.values)
    return Resolved(resolved.values, resolved.sources, [*resolved.notes, note])


def _recording_checkpoint(which: TrainParams) -> Checkpoint | None:
    folder = run_folder(which.ckpt_dir, which)
    if which.ckpt_file is not None:
        path = named_checkpoint(which.ckpt_file, folder)
        return None if is_tensorflow_1(path) else Checkpoint(path).verify()
    return newest_checkpoint(folder)[0] if which.resume else None


def _record(checkpoint: Checkpoint, env: str) -> dict[str, Any]:
    """The parameters in a checkpoint's manifest. Raises CheckpointError when they cannot be used, alone or for `env`."""
    params = checkpoint.manifest.get("params", {})
    if not isinstance(params, dict):
        raise CheckpointError(f"the parameters recorded in {checkpoint.path} cannot be used: they are {params!r}.")
    if params.get("env", env) != env:
        raise CheckpointError(f"{checkpoint.path} was trained on {params['env']}, not on {env}; add --env {params['env']}.")
    record = {name: value for name, value in params.items() if name not in (*_CODE, *RUN_FIELDS)}
    try:
        resolve(TrainParams, {"env": env}, record)
    except ParameterError as error:
        raise CheckpointError(f"the parameters recorded in {checkpoint.path} cannot be used: {error}.") from None
    return record


def nothing_to_do(checkpoint: Checkpoint | None, config: TrainParams) -> str | None:
    """Says that the checkpoint to continue from is at the last learner step already; None when it is not."""
    if checkpoint is None or checkpoint.step < config.num_steps_train:
        return None
    return (
        f"{checkpoint.path} has reached learner step {checkpoint.step:,} of {config.num_steps_train:,}, so there is nothing "
        "left to train; add --num-steps-train with a greater number to train longer."
    )


def checkpoint_to_resume(run: Run, params: TrainParams) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint that the flags ask to go on from, and notes for the user.

    None means a new run. Raises CheckpointError when a run is to be resumed of which no checkpoint is valid, and
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
        raise CheckpointError(f"no checkpoint in {run.folder} is valid ({passed_over[0]}); start a new run with --fresh.")
    if newest is None:
        notes.append(f"There is nothing to resume in {run.folder}, so this is a new run.")
    return newest, notes


def next_resume_count(checkpoint: Checkpoint | None) -> int:
    """How often the run has been resumed: each time it draws its random numbers from new seeds."""
    if checkpoint is None:
        return 0
    state = checkpoint.json(STATE)
    return int(state.get("resume_count", state.get("incarnation", 0))) + 1  # "incarnation" in older checkpoints


def check_resumable(params: TrainParams) -> None:
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
