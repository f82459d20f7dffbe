"""The environment that parameters or a checkpoint describe."""

import dataclasses
import json
import shlex
from typing import Any, Protocol

from params import TrainParams
from utils.envs.environment import Environment
from utils.envs.spec import EnvSpec, parse_kwargs
from utils.errors import CheckpointError, EnvMismatchError, ParameterError, ToolkitError
from utils.storage.checkpoints import Checkpoint

NUMBERS = ("action_repeat", "max_ep_length", "action_bound")  # taken from a checkpoint where no flag is given


class DescribesEnv(Protocol):
    """The parameters that say how an environment is made; None means "not given"."""

    @property
    def env(self) -> str: ...  # noqa: D102
    @property
    def env_kwargs(self) -> str: ...  # noqa: D102
    @property
    def wrapper(self) -> str: ...  # noqa: D102
    @property
    def action_repeat(self) -> int | None: ...  # noqa: D102
    @property
    def max_ep_length(self) -> int | None: ...  # noqa: D102


def env_spec(params: DescribesEnv) -> EnvSpec:
    """The environment that the parameters describe. Raises ParameterError."""
    return EnvSpec(params.env, parse_kwargs(params.env_kwargs), _names(params.wrapper), **_numbers(params))


def trained_env_spec(checkpoint: Checkpoint, params: DescribesEnv) -> EnvSpec:
    """The environment that a checkpoint was trained on, with the numbers of the flags where they are given.

    A manifest names data, never code: the id (which may name a module), the wrappers, and keyword arguments that hold text
    are those of the parameters. Where the parameters have no keyword arguments, numbers and switches of the manifest are
    used. Raises EnvMismatchError with the flags to add where the manifest names others, CheckpointError for a damaged one.
    """
    record = checkpoint.manifest.get("env_spec", {"id": checkpoint.manifest.get("env")})  # older ones hold the id alone
    try:
        trained = EnvSpec.from_json(record)
    except ParameterError as error:
        raise CheckpointError(f"{checkpoint.path} does not say what it was trained on: {error}") from None
    asked = env_spec(params)
    if not asked.kwargs and trained.has_plain_kwargs:
        asked = dataclasses.replace(asked, kwargs=trained.kwargs)
    flags = []
    if trained.id != asked.id:
        flags += ["--env", trained.id]
    if _as_text(trained.kwargs) != _as_text(asked.kwargs):  # as text, since True equals 1 and 1.0 in Python
        flags += ["--env-kwargs", _as_text(trained.kwargs)]
    if trained.wrappers != asked.wrappers:
        flags += ["--wrapper", ",".join(trained.wrappers)]
    if flags:
        trust = ", if you trust what they name" if trained.kwargs or trained.wrappers or ":" in trained.id else ""
        raise EnvMismatchError(
            f"{checkpoint.path} was trained on {_words(trained)}, not on {_words(asked)}; add {shlex.join(flags)}{trust}."
        )
    return dataclasses.replace(asked, **{name: getattr(trained, name) for name in NUMBERS} | _numbers(params))


def training_env(params: TrainParams) -> Environment:
    """Make the environment with what changes it for the training alone. Raises as EnvSpec.make does."""
    return env_spec(params).make(train_wrappers=_names(params.train_wrapper), reward_clip=params.reward_clip)


def env_problem(params: DescribesEnv) -> str | None:
    """Why the environment that the parameters describe cannot be used here, in words; None if it can."""
    try:
        env_spec(params).make().close()
    except ToolkitError as error:
        return str(error).removesuffix(".")
    return None


def env_flags(params: DescribesEnv) -> dict[str, Any]:
    """The flags with which a script in a child process makes the same environment."""
    values = {name: getattr(params, name) for name in ("env", "env_kwargs", "wrapper", "action_repeat", "max_ep_length")}
    return {name: value for name, value in values.items() if value not in ("", None)}


def _numbers(params: DescribesEnv) -> dict[str, Any]:
    return {name: value for name in NUMBERS if (value := getattr(params, name, None)) is not None}


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _as_text(kwargs: dict[str, Any]) -> str:
    return json.dumps(kwargs, sort_keys=True)


def _words(spec: EnvSpec) -> str:
    kwargs = f" with {_as_text(spec.kwargs)}" if spec.kwargs else ""
    wrappers = f" in {', '.join(spec.wrappers)}" if spec.wrappers else ""
    return f"{spec.id}{kwargs}{wrappers}"
