"""Loads the requested checkpoint: by name, the best or the newest of a run, or the shipped one."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agent.config import SCORE_SEEDS, folder_name, resolve, run_folder
from agent.environment import DescribesEnv, env_spec, trained_env_spec
from agent.policy import Critic, Policy
from agent.scaling import Scaling
from params import HERE, SHIPPED, TrainParams
from utils.envs.environment import Environment
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, ParameterError
from utils.storage.checkpoints import (
    Checkpoint,
    is_tensorflow_1,
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
    newest_manifest,
    step_of,
)
from utils.storage.retention import selection_scores
from utils.storage.run_folder import read_run


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A loaded checkpoint: its policy, critic and counters. `notes` are sentences to print.

    `manifest` is empty for a checkpoint of the original.
    """

    path: Path
    policy: Policy
    critic: Critic
    run_id: str
    env_spec: EnvSpec  # of the environment that it was trained on
    learner_step: int
    env_step: Any = ""
    seconds: Any = ""
    notes: list[str] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with the toolkit, so that its scores are not those of a run."""
        return self.path.resolve().parent == _shipped_folder(self.env_spec.id).resolve()


BEST = "best"  # as --ckpt-file


class CheckpointRequest(DescribesEnv, Protocol):
    """The parameters that select a checkpoint."""

    @property
    def run(self) -> str: ...  # noqa: D102
    @property
    def ckpt_file(self) -> str | None: ...  # noqa: D102
    @property
    def ckpt_dir(self) -> str: ...  # noqa: D102
    @property
    def results_dir(self) -> str: ...  # noqa: D102
    @property
    def shipped(self) -> bool: ...  # noqa: D102


def load_checkpoint(params: CheckpointRequest) -> LoadedCheckpoint:
    """The checkpoint that `params` selects.

    The order is: the shipped one with `shipped`, the named one, the best one for "best", the newest valid one of the run,
    the shipped one. Its sizes are compared with those of its environment, which is made for that. Play the result in its
    `env_spec`. Raises CheckpointError when the checkpoint is missing, damaged or of another environment, ParameterError
    for `shipped` together with a run or a name, and what EnvSpec.make raises.
    """
    folder = checkpoint_folder(params)
    notes: list[str] = []
    if params.ckpt_file == BEST:
        best = _best(folder, params, notes)
        if best is not None:
            return _load(best, params, notes)
    elif params.ckpt_file is not None:
        path = named_checkpoint(params.ckpt_file, folder)
        if is_tensorflow_1(path):
            return _original(path, params)
        return _load(Checkpoint(path), params, notes)
    newest, skipped = newest_checkpoint(folder)
    notes += [f"Skipped: {error}" for error in skipped]
    if newest is None and skipped:
        raise CheckpointError(f"no checkpoint in {folder} is valid: {skipped[0]}")
    if newest is None:
        env_spec(params).make().close()  # raises for an id that is misspelt
    if newest is None and params.run:
        raise CheckpointError(f"there is no checkpoint in {folder}; is {params.run} the name of the run?")
    if newest is None:
        shipped = _shipped_folder(params.env)
        newest, _ = newest_checkpoint(shipped)
        if newest is None:
            none_of_a_run = "" if params.shipped else f"there is no checkpoint in {folder} and "
            raise CheckpointError(f"{none_of_a_run}none is shipped for {params.env}; train one with train.py.")
        notes.append(f"There is no checkpoint in {folder}: this is the shipped {newest.path.name}.")
    return _load(newest, params, notes)


def checkpoint_folder(params: CheckpointRequest) -> Path:
    """The folder that holds the checkpoints: the run's, or that of the shipped policy. Raises ParameterError."""
    if not params.shipped:
        return run_folder(params.ckpt_dir, params)
    if params.run or params.ckpt_file is not None:
        raise ParameterError("--shipped selects the shipped policy: it goes with neither --run nor --ckpt-file.")
    return _shipped_folder(params.env)


def _shipped_folder(env: str) -> Path:
    return HERE / "ckpts" / SHIPPED / folder_name(env)


def _best(folder: Path, params: CheckpointRequest, notes: list[str]) -> Checkpoint | None:
    """The valid checkpoint of the run in `folder` with the best score; None, with a note, if none was scored."""
    paths = {step_of(path): path for path in list_checkpoints(folder)}
    run_id = read_run(folder).get("run_id") or newest_manifest(folder).get("run_id")
    scores = selection_scores(run_folder(params.results_dir, params), run_id, *SCORE_SEEDS) if run_id else {}
    scored = paths.keys() & scores.keys()
    for learner_step in sorted(scored, key=lambda step: scores[step], reverse=True):
        try:
            checkpoint = Checkpoint(paths[learner_step]).verify()
        except CheckpointError as error:
            notes.append(f"Skipped: {error}")
            continue
        notes.append(
            f"The best score of {len(scored)} checkpoints, {scores[learner_step]:.2f}, is that of {checkpoint.path.name}."
        )
        return checkpoint
    if paths:
        notes.append(f"No checkpoint in {folder} has a score of test_every_new_ckpt.py, so this is the newest.")
    return None


def load_series(params: CheckpointRequest, at_most: int) -> list[LoadedCheckpoint]:
    """The valid checkpoints of a run, oldest first: at most `at_most`, evenly spaced, with the newest among them.

    If a checkpoint is named or the run has none, the series is that of `load_checkpoint` alone. Raises CheckpointError.
    """
    paths = list_checkpoints(checkpoint_folder(params))
    if params.ckpt_file is not None or not paths:
        return [load_checkpoint(params)]
    if len(paths) > at_most:
        paths = [paths[round(place)] for place in np.linspace(len(paths) - 1, 0, at_most)][::-1]
    make_once = functools.cache(EnvSpec.make)
    series, skipped = [], []
    for path in paths:
        try:
            series.append(_load(Checkpoint(path), params, [], make_once))
        except CheckpointError as error:
            skipped.append(error)
    if not series:
        raise skipped[0]
    series[-1].notes.extend(f"Skipped: {error}" for error in skipped)
    return series


def at_step(params: CheckpointRequest, learner_step: int) -> LoadedCheckpoint:
    """The run's checkpoint of a learner step. Raises CheckpointError, which lists the existing ones."""
    folder = checkpoint_folder(params)
    paths = {step_of(path): path for path in list_checkpoints(folder)}
    if learner_step not in paths:
        there = f"it has {', '.join(map(str, paths))}{' only' * (len(paths) == 1)}" if paths else "it has none"
        raise CheckpointError(f"there is no checkpoint of learner step {learner_step} in {folder}; {there}.")
    return _load(Checkpoint(paths[learner_step]), params, [])


def _load(
    checkpoint: Checkpoint,
    params: CheckpointRequest,
    notes: list[str],
    make: Callable[[EnvSpec], Environment] = EnvSpec.make,
) -> LoadedCheckpoint:
    spec = trained_env_spec(checkpoint, params)
    with contextlib.closing(make(spec)) as env:
        policy, critic = Policy.of(checkpoint), Critic.of(checkpoint)
    scaling, wrong = policy.scaling, []
    if len(scaling.obs_mean) != env.obs_size:
        wrong.append(f"observations of {len(scaling.obs_mean)} numbers, not {env.obs_size}")
    if not (np.array_equal(scaling.action_low, env.action_low) and np.array_equal(scaling.action_high, env.action_high)):
        wrong.append(f"actions in {scaling.action_low} to {scaling.action_high}, not {env.action_low} to {env.action_high}")
    if wrong:
        raise CheckpointError(f"{checkpoint.path} was trained with {' and with '.join(wrong)}.")
    manifest = checkpoint.manifest
    return LoadedCheckpoint(
        checkpoint.path,
        policy,
        critic,
        checkpoint.run_id,
        spec,
        checkpoint.step,
        manifest.get("env_step", ""),
        manifest.get("seconds", ""),
        notes,
        manifest,
    )


def _original(path: Path, params: CheckpointRequest) -> LoadedCheckpoint:
    from agent.original import load_original, step_of

    with contextlib.closing(env_spec(params).make()) as env:
        train: TrainParams = resolve(TrainParams, {"env": env.id}).values
    if train.has_automatic_support:
        raise CheckpointError(f"{path} is a checkpoint of the original; its scaling for {env.id} is not in ENVS of params.py.")
    atoms = np.linspace(*train.support, train.num_atoms, dtype=np.float32)
    policy, critic = load_original(path, Scaling.from_env(env, train), atoms)
    notes = ["This is a checkpoint of the original (TensorFlow 1)."]
    return LoadedCheckpoint(path, policy, critic, "original", env_spec(params), step_of(path), notes=notes)
