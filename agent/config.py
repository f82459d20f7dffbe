"""Resolves the parameters of params.py: their values, the rules between them, and the folders of a run."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from agent.names import ALIASES, RENAMED
from params import (
    ALGORITHMS,
    ARCHITECTURE,
    ENVS,
    FILE,
    FIRST_VERSION,
    FOLDER,
    RUN,
    SEED,
    SHIPPED,
    PlayParams,
    TestParams,
    TrainParams,
    WatchParams,
)
from utils import parameters
from utils.bounds import LARGE
from utils.parameters import EnvProblem, Resolved, fields_of_kind, nearest

# With another value of these a checkpoint cannot be continued.
ARCHITECTURE_FIELDS = fields_of_kind(TrainParams, ARCHITECTURE)
# Parameters of one call of train.py. A checkpoint does not record them.
RUN_FIELDS = fields_of_kind(TrainParams, RUN, FOLDER, FILE)
# Values of the parameters that older records lack; the present values in ENVS do not apply to those runs.
ABSENT = FIRST_VERSION | {
    "num_critics": 1,
    "layer_norm": False,
    "reward_clip": None,
    "learning_rate_schedule": "constant",
    "saturation_penalty": 0.0,
}
# In an entry of ENVS these are for training alone. A checkpoint records the last two for the other scripts.
_NOT_SHARED = (*fields_of_kind(TrainParams, RUN, FILE, SEED), "action_repeat", "max_ep_length")
# First seeds of the published scores and of those that choose a checkpoint: of test.py and of the watcher.
SCORE_SEEDS = (TestParams.random_seed, WatchParams.random_seed)
# Smallest distance of two atoms, relative to the larger of |v_min| and |v_max|. Rounding to float32 moves an atom by up to
# 2**-24 of its size, so that the projection may gain or lose 2**-22 / distance of the mass: with this distance, 0.001 of it.
ATOM_DISTANCE = 2**-22 / 1e-3


def resolve(
    cls: type,
    given: Mapping[str, Any],
    record: Mapping[str, Any] | None = None,
    env_problem: EnvProblem = lambda params: None,
) -> Resolved:
    """Each parameter from the first of these: `given` (flags or keywords), the run's `record`, ENVS, ALGORITHMS, the default.

    The values in an entry of ENVS under the name of an algorithm are used with that algorithm only. None in `given` and
    in ENVS means "not given"; in `record` it is a value. Raises ParameterError with all problems; `env_problem` as in
    utils.parameters.resolve.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    problems = [_unknown(name, fields) for name in given if name not in fields]
    layers = {"flag": _present(given), "run": record or {}}
    env, notes = layers["flag"].get("env", fields["env"].default), []
    if isinstance(env, str):
        if env in RENAMED:
            env, change = RENAMED[old := env]
            notes.append(f"{old} is {env} today: {change}.")
            layers["flag"] = {**layers["flag"], "env": env}
        entry = _present(ENVS.get(env, {}))
        tuned = {name: _present(entry[name]) for name in ALGORITHMS if name in entry}
        entry = {name: value for name, value in entry.items() if name not in tuned}
        known = TrainParams.__dataclass_fields__
        named = dict.fromkeys(name for part in (entry, *tuned.values()) for name in part)
        problems += [f"ENVS[{env!r}]: {_unknown(name, known)}" for name in named if name not in known]
        if cls is TrainParams:
            default = known["algorithm"].default
            algorithm = next((part["algorithm"] for part in (*layers.values(), entry) if "algorithm" in part), default)
            entry |= tuned.get(algorithm, {}) if isinstance(algorithm, str) else {}
            layers |= {"ENVS": entry, "ALGORITHMS": ALGORITHMS.get(algorithm, {}) if isinstance(algorithm, str) else {}}
        else:
            layers["ENVS"] = {name: value for name, value in entry.items() if name not in _NOT_SHARED}
    values, sources = parameters.resolve(cls, layers, broken_rules, problems, env_problem)
    return Resolved(values, sources, [*notes, *_without_effect(values, sources)])


class HasEnv(Protocol):
    """Parameters of any script: each has an environment."""

    @property
    def env(self) -> str: ...  # noqa: D102


def folder_name(env: str) -> str:
    """The environment's id as the name of a folder."""
    return env.replace("/", "_").replace(":", "_")


def run_folder(root: str, config: HasEnv) -> Path:
    """The folder of a run below `root`: <root>/<env>[/<run>], and <root>/<env>/shipped for --shipped."""
    run = SHIPPED if getattr(config, "shipped", False) else getattr(config, "run", "")
    return Path(root) / folder_name(config.env) / run


def horizon(params: TrainParams) -> float:
    """Discounted length of an endless episode, in actions."""
    actions = max(1.0, params.max_ep_length / params.action_repeat)
    return actions if params.discount_rate == 1.0 else min(actions, 1.0 / (1.0 - params.discount_rate))


def recorded(config: TrainParams) -> dict[str, Any]:
    """The parameters that a checkpoint records, as JSON knows them."""
    values = {name: value for name, value in dataclasses.asdict(config).items() if name not in RUN_FIELDS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def broken_rules(config: Any) -> Iterator[tuple[set[str], str]]:
    """Broken rules across fields: the fields of each, and a sentence."""
    if isinstance(config, TrainParams):
        yield from _support_rules(config)
        yield from _training_rules(config)
    if isinstance(config, PlayParams):
        yield from _film_rules(config)
    if isinstance(config, TestParams) and config.starts is not None and config.versus is not None:
        yield {"starts", "versus"}, "starts and versus exclude each other: versus compares episodes of equal seeds"


# The value of another parameter that leaves a parameter without effect.
_IDLE_WITH: dict[str, tuple[str, Any]] = {
    "scalar_loss": ("value_head", "categorical"),
    "num_atoms": ("value_head", "scalar"),
    "priority": ("value_head", "scalar"),
    "actor_value": ("num_critics", 1),
    "target_noise_clip": ("target_noise", 0.0),
    "noise_scale_min": ("noise_scale_per", "same"),
    "ou_theta": ("noise", "gaussian"),
    "env_timeout": ("synchronous", True),
}


def _without_effect(config: Any, sources: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each flag that another parameter leaves without effect."""
    if not isinstance(config, TrainParams):
        return
    for name, (other, idle) in _IDLE_WITH.items():
        if sources[name] == "flag" and getattr(config, other) == idle:
            yield f"{name} has no effect, since {other} is {idle}."
    if sources["ray_cpus_per_agent"] == "flag" and config.runner != "ray":
        yield f"ray_cpus_per_agent has no effect, since runner is {config.runner}."
    if sources["normalise_observations"] == "flag" and config.normalise_observations and not config.has_running_observations:
        name = "obs_scale" if config.obs_scale is not None else "obs_mean"
        yield f"normalise_observations has no effect: observations are scaled by {name}, which is from {sources[name]}."


def _support_rules(config: TrainParams) -> Iterator[tuple[set[str], str]]:
    low, high = config.v_min, config.v_max
    if near := [env for env in ENVS if env.rpartition("-v")[0] == config.env]:
        yield {"env"}, f"{config.env} lacks its version, did you mean {near[0]}?"
    if low is None and high is None:
        return
    if low is None or high is None:
        yield {"v_min", "v_max"}, "v_min and v_max go together: give both, or neither for an automatic support"
    elif not low < high:
        yield {"v_min", "v_max"}, f"v_min must be less than v_max, got {low} and {high}"
    elif (high - low) / (config.num_atoms - 1) < max(1 / LARGE, ATOM_DISTANCE * max(abs(low), abs(high))):
        yield (
            {"v_min", "v_max", "num_atoms"},
            f"v_min and v_max are too close for {config.num_atoms} atoms in float32, got {low} and {high}: "
            "move them apart, or subtract a constant from the rewards",
        )


def _training_rules(config: TrainParams) -> Iterator[tuple[set[str], str]]:
    ratio = config.samples_per_insert
    if 0 < ratio < 1e-3:
        yield (
            {"samples_per_insert"},
            f"samples_per_insert must be 0 or at least 0.001, got {ratio}: the learner would hardly ever run",
        )
    if config.learning_starts > config.replay_mem_size:
        yield (
            {"learning_starts", "replay_mem_size"},
            f"learning_starts must be at most replay_mem_size, got {config.learning_starts} and {config.replay_mem_size}: "
            "the replay would never hold enough to begin",
        )
    if config.synchronous and config.runner != "threads":
        fields = {"synchronous", "runner"}
        yield fields, f"synchronous and runner {config.runner} exclude each other: agents elsewhere do not take turns"
    if config.ray_address and config.runner != "ray":
        yield {"ray_address", "runner"}, f"ray_address is for runner ray, not for {config.runner}"
    if config.synchronous and not ratio:
        fields = {"synchronous", "samples_per_insert"}
        yield fields, "synchronous takes turns by the ratio, so samples_per_insert must not be 0"
    if config.target_update_period % config.policy_delay:
        pair = f"{config.target_update_period} and {config.policy_delay}"
        yield {"target_update_period", "policy_delay"}, f"target_update_period must be a multiple of policy_delay, got {pair}"
    if config.reward_clip is not None and not config.reward_clip[0] < config.reward_clip[1]:
        yield {"reward_clip"}, "reward_clip must be the lowest and the highest reward, in this order"
    if config.use_batch_norm and config.layer_norm:
        yield {"use_batch_norm", "layer_norm"}, "use_batch_norm and layer_norm exclude each other"
    if config.resume and config.fresh:
        yield {"resume", "fresh"}, "resume and fresh exclude each other: continue the old run, or start a new one"


def _film_rules(config: PlayParams) -> Iterator[tuple[set[str], str]]:
    if config.compare is not None and config.grow:
        yield {"compare", "grow"}, "compare and grow exclude each other: side by side, or one after the other"
    if (config.compare is not None or config.grow) and (config.render or not config.record):
        fields = {"compare", "grow", "record", "render"}
        yield fields, "compare and grow make a film: they go with neither --no-record nor --render"


def _present(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values that are given. In Python env_kwargs may be a dictionary of JSON types; it becomes text."""
    given = {name: value for name, value in values.items() if value is not None}
    if isinstance(kwargs := given.get("env_kwargs"), dict):
        with contextlib.suppress(TypeError, ValueError, RecursionError):  # then it is refused, since it is not text
            given["env_kwargs"] = json.dumps(kwargs)
    return given


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = " or ".join(nearest(name, known, ALIASES))
    return f"there is no parameter {name}" + (f", did you mean {near}?" if near else "")
