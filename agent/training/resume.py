"""Resuming: the recorded parameters of a run, the checkpoint to continue from, and the folder it needs."""

import shlex
from collections.abc import Mapping
from typing import Any

from agent.config import ABSENT, ARCHITECTURE_FIELDS, RUN_FIELDS, resolve, run_folder
from agent.environment import env_spec, trained_env_spec
from agent.training.checkpointer import LEARNER, STATE, check_architecture
from params import TrainParams
from utils.errors import CheckpointError, EnvMismatchError, ParameterError
from utils.parameters import EnvProblem, Resolved
from utils.storage.checkpoints import (
    Checkpoint,
    is_tensorflow_1,
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
    newest_manifest,
    step_of,
)
from utils.storage.run_folder import Run, move_aside, read_run

_NAMING = ("env", "run", "ckpt_dir", "ckpt_file", "resume", "fresh")  # flags that select the checkpoint to continue from
_CODE = ("env", "wrapper", "train_wrapper")  # name code to run, so they are never taken from a checkpoint


def resolve_training(
    cls: type[TrainParams], given: Mapping[str, Any], env_problem: EnvProblem = lambda params: None
) -> Resolved:
    """The parameters of a training: `given`, then those recorded in the checkpoint to continue from, then the defaults.

    A resumed run takes all its recorded parameters. A new run from the checkpoint of another run takes only
    ARCHITECTURE_FIELDS, which loading needs. Raises ParameterError with all problems, and CheckpointError. For a checkpoint
    of another environment the error names the flags to add.
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
    is_same_run = which.resume and checkpoint.run_id == (read_run(folder) or newest_manifest(folder)).get("run_id")
    if is_same_run:
        note = f"Parameters are those recorded in {checkpoint.path}; flags override them."
    else:
        record = {name: value for name, value in record.items() if name in (*ARCHITECTURE_FIELDS, "env_kwargs")}
        note = f"The networks have the shapes and scaling recorded in {checkpoint.path}; all else is as for a new run."
    resolved = resolve(cls, given, record, env_problem)
    trained_by = record.get("algorithm", resolved.values.algorithm)
    if is_same_run and resolved.values.algorithm != trained_by:
        raise ParameterError(
            f"a resumed run keeps its algorithm, {trained_by}: leave out --algorithm, or start a new run from its checkpoint "
            "with --ckpt-file and --run."
        )
    _check_env(checkpoint, resolved, is_same_run)
    check_architecture(checkpoint, resolved.values)
    return Resolved(resolved.values, resolved.sources, [*resolved.notes, note])


def _check_env(checkpoint: Checkpoint, resolved: Resolved, is_same_run: bool) -> None:
    """Raise CheckpointError with all flags to add for the environment and the training wrapper of the checkpoint."""
    trained_in = str(checkpoint.manifest.get("params", {}).get("train_wrapper", ""))  # whatever the manifest holds there
    asked = resolved.values.train_wrapper
    lacks_wrapper = is_same_run and resolved.sources["train_wrapper"] != "flag" and asked != trained_in
    add = f"add --train-wrapper {shlex.quote(trained_in)}, if you trust what it names."
    try:
        trained_env_spec(checkpoint, resolved.values)
    except EnvMismatchError as error:
        raise EnvMismatchError(f"{error} Also {add}" if lacks_wrapper else str(error)) from None
    if lacks_wrapper:
        raise EnvMismatchError(f"{checkpoint.path} was trained in {trained_in or 'no wrapper'}; {add}")


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
    known = ABSENT | params if params else {}
    record = {name: value for name, value in known.items() if name not in (*_CODE, *RUN_FIELDS)}
    try:
        values = resolve(TrainParams, {"env": env}, record).values
        if not env_spec(values).has_plain_kwargs:
            record.pop("env_kwargs", None)  # text may name a file; the user's flags must name the same
    except ParameterError as error:
        raise CheckpointError(f"the parameters recorded in {checkpoint.path} cannot be used: {error}.") from None
    return record


def nothing_to_do(checkpoint: Checkpoint | None, config: TrainParams) -> str | None:
    """A sentence if the checkpoint to continue from is at the last learner step already, else None."""
    if checkpoint is None or checkpoint.step < config.num_steps_train:
        return None
    return (
        f"{checkpoint.path} has reached learner step {checkpoint.step:,} of {config.num_steps_train:,}, so the "
        "training is complete; add --num-steps-train with a greater number to train longer."
    )


def checkpoint_to_resume(run: Run, params: TrainParams) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to continue from, selected by the flags, and notes for the user.

    None means a new run. Raises CheckpointError without a valid checkpoint to resume from, and ParameterError for a
    folder with a run if neither --resume nor --fresh is set.
    """
    notes = []
    named = None
    if params.ckpt_file is not None:  # before the files are moved
        named = Checkpoint(named_checkpoint(params.ckpt_file, run.folder)).verify()
    if params.fresh:
        aside = run.start_new_run()
        notes += [f"The run that was here is now in {aside}."] if aside else []
        if named is not None and aside is not None and not named.path.exists():
            named = Checkpoint(aside / named.path.name)
    if named is not None:
        checkpoint = named
        if checkpoint.run_id == run.run_id and params.resume:
            newer = [path for path in list_checkpoints(run.folder) if step_of(path) > checkpoint.step]
            if newer:
                notes.append(f"{len(newer)} newer checkpoints of this run are set aside in {move_aside(newer)}.")
        else:
            run.refuse_if_taken()
        return checkpoint, notes
    if not params.resume:
        run.refuse_if_taken()
        return None, notes
    newest, skipped = newest_checkpoint(run.folder)
    notes += [f"Skipped: {error}" for error in skipped]
    if newest is None and skipped:
        raise CheckpointError(f"no checkpoint in {run.folder} is valid ({skipped[0]}); start a new run with --fresh.")
    if newest is None:
        notes.append(f"{run.folder} holds no checkpoint to resume from, so this is a new run.")
    return newest, notes


def next_resume_count(checkpoint: Checkpoint | None) -> int:
    """The number of resumes of the run, with this one. After each resume its random numbers have new seeds."""
    if checkpoint is None:
        return 0
    state = checkpoint.json(STATE)
    return int(state.get("resume_count", state.get("incarnation", 0))) + 1  # "incarnation" in older checkpoints


def check_resumable(params: TrainParams) -> None:
    """Raise CheckpointError when --ckpt-file names a checkpoint without the files that training needs."""
    if params.ckpt_file is None:
        return
    path = named_checkpoint(params.ckpt_file, run_folder(params.ckpt_dir, params))
    if is_tensorflow_1(path):
        kind, lacking = "a checkpoint of the original", ["optimisers", "counters"]
    else:
        kind, files = "a policy and a critic only", Checkpoint(path).manifest["files"]
        lacking = [f"{what} ({file})" for file, what in _NEEDED_TO_RESUME.items() if file not in files]
    if lacking:
        raise CheckpointError(f"{path} is {kind}: it lacks {' and '.join(lacking)}, so only test.py and play.py can use it.")


_NEEDED_TO_RESUME = {LEARNER: "target networks and optimisers", STATE: "counters"}
