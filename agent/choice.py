"""The checkpoint that a person means: named, the newest of their own, or one that is shipped; of whatever kind."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import params as parameters
from agent.environment import DescribesEnv, env_spec, trained_env_spec
from agent.policy import Critic, Policy, Scaling
from params import HERE, TrainParams, folder_name, run_folder
from utils.checkpoints import Checkpoint, is_tensorflow_1, list_checkpoints, named_checkpoint, newest_checkpoint, step_of
from utils.env_spec import EnvSpec
from utils.envs import Environment
from utils.errors import CheckpointError


@dataclass(frozen=True)
class Choice:
    """A checkpoint with what is needed to act, to judge and to report; `notes` are for the person who asked.

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


class Asks(DescribesEnv, Protocol):
    """The parameters that name a checkpoint."""

    @property
    def run(self) -> str: ...  # noqa: D102
    @property
    def ckpt_file(self) -> str | None: ...  # noqa: D102
    @property
    def ckpt_dir(self) -> str: ...  # noqa: D102


def choose(params: Asks, env: Environment) -> Choice:
    """The checkpoint that `params` asks for: the named one, else the newest whole one, else a shipped one.

    `env` is what `env_spec(params)` makes; its sizes are compared. Play the result in `env_spec` of the result.
    Raises CheckpointError when there is none, when it is damaged, or when it belongs to another environment.
    """
    folder = run_folder(params.ckpt_dir, params)
    notes: list[str] = []
    if params.ckpt_file is not None:
        path = named_checkpoint(params.ckpt_file, folder)
        if is_tensorflow_1(path):
            return _original(path, params, env)
        return _choice(Checkpoint(path), params, env, notes)
    newest, passed_over = newest_checkpoint(folder)
    notes += [f"Passed over: {error}" for error in passed_over]
    if newest is None and passed_over:
        raise CheckpointError(f"no checkpoint in {folder} is whole: {passed_over[0]}")
    if newest is None and params.run:
        raise CheckpointError(f"there is no checkpoint in {folder}; is {params.run} the name of the run?")
    if newest is None:
        shipped = HERE / "ckpts" / "shipped" / folder_name(params.env)
        newest, _ = newest_checkpoint(shipped)
        if newest is None:
            raise CheckpointError(
                f"there is no checkpoint in {folder} and none is shipped for {params.env}; train one with train.py."
            )
        notes.append(f"There is no checkpoint of your own in {folder}: this is the shipped {newest.path.name}.")
    return _choice(newest, params, env, notes)


def choose_series(params: Asks, env: Environment, at_most: int) -> list[Choice]:
    """The whole checkpoints of a run, oldest first, thinned evenly to `at_most` with the newest among them.

    What `choose` finds, alone, when a checkpoint is named or the run has none. Raises CheckpointError as `choose` does.
    """
    paths = list_checkpoints(run_folder(params.ckpt_dir, params))
    if params.ckpt_file is not None or not paths:
        return [choose(params, env)]
    if len(paths) > at_most:
        paths = [paths[round(place)] for place in np.linspace(len(paths) - 1, 0, at_most)][::-1]
    choices, passed_over = [], []
    for path in paths:
        try:
            choices.append(_choice(Checkpoint(path), params, env, []))
        except CheckpointError as error:
            passed_over.append(error)
    if not choices:
        raise passed_over[0]
    choices[-1].notes.extend(f"Passed over: {error}" for error in passed_over)
    return choices


def at_step(params: Asks, env: Environment, learner_step: int) -> Choice:
    """The run's checkpoint of a learner step. Raises CheckpointError naming those that there are."""
    folder = run_folder(params.ckpt_dir, params)
    paths = {step_of(path): path for path in list_checkpoints(folder)}
    if learner_step not in paths:
        there = f"there are {', '.join(map(str, paths))}" if paths else "there is none at all"
        raise CheckpointError(f"there is no checkpoint of learner step {learner_step} in {folder}; {there}.")
    return _choice(Checkpoint(paths[learner_step]), params, env, [])


def _choice(checkpoint: Checkpoint, params: Asks, env: Environment, notes: list[str]) -> Choice:
    spec = trained_env_spec(checkpoint, params)
    policy, critic = Policy.of(checkpoint), Critic.of(checkpoint)
    scaling, wrong = policy.scaling, []
    if len(scaling.obs_mean) != env.obs_size:
        wrong.append(f"observations of {len(scaling.obs_mean)} numbers, not {env.obs_size}")
    if not (np.array_equal(scaling.action_low, env.action_low) and np.array_equal(scaling.action_high, env.action_high)):
        wrong.append(f"actions in {scaling.action_low} to {scaling.action_high}, not {env.action_low} to {env.action_high}")
    if wrong:
        raise CheckpointError(f"{checkpoint.path} was trained with {' and with '.join(wrong)}.")
    manifest = checkpoint.manifest
    return Choice(
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


def _original(path: Path, params: Asks, env: Environment) -> Choice:
    from agent.original import load_original, step_of  # TensorFlow, for such a file only

    try:
        train: TrainParams = parameters.resolve(TrainParams, env=env.id).values
    except ValueError:
        raise CheckpointError(
            f"{path} is a checkpoint of the original; its scaling for {env.id} is not in ENVS of params.py."
        ) from None
    atoms = np.linspace(*train.support, train.num_atoms, dtype=np.float32)
    policy, critic = load_original(path, Scaling.fitting(env, train), atoms)
    notes = ["This is a checkpoint of the original (TensorFlow 1)."]
    return Choice(path, policy, critic, "original", env_spec(params), step_of(path), notes=notes)
