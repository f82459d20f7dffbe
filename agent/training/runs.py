"""Training from Python: `train(**parameters)` for one run, `train_seeds` for the same run with several seeds."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium

from agent.config import run_folder
from agent.environment import env_problem
from agent.training.callbacks.callback import Callback
from agent.training.callbacks.evaluator import Evaluator
from agent.training.callbacks.logs import Logs
from agent.training.callbacks.run_warnings import RunWarnings
from agent.training.callbacks.stop_at_score import StopAtScore
from agent.training.callbacks.window import Window
from agent.training.result import Result
from agent.training.resume import resolve_training
from agent.training.trainer import Trainer
from params import TrainParams
from utils.console import Console
from utils.envs.spec import register
from utils.errors import ParameterError
from utils.parameters import Resolved
from utils.storage.run_folder import read_run

MakeEnv = Callable[..., gymnasium.Env]


def train(
    callbacks: Sequence[Callback] = (), verbose: bool = False, make_env: MakeEnv | None = None, **parameters: Any
) -> Result:
    """Train one policy and return its Result. `parameters` are fields of TrainParams, checked as flags are.

    `make_env` makes the environment instead of an id: it is registered under `env`, or under its own name with -v0, for this
    process only. To use a checkpoint from the scripts, register the environment in a module: --env module:Id-v0.

    Without `run`, `resume`, `fresh` or `ckpt_file` the run gets a new folder. Silent unless `verbose`. Installs no signal
    handlers and never ends the process. Raises ParameterError naming every wrong value, and the other errors of
    utils/errors.py.
    """
    if make_env is not None:
        parameters["env"] = _registered(make_env, parameters)
    if not any(parameters.get(name) for name in ("run", "resume", "fresh", "ckpt_file")):
        parameters["run"] = _unused_name(_resolve(parameters).values)
    return run(_resolve(parameters), callbacks, Console(silent=not verbose))


def train_seeds(
    seeds: Sequence[int],
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    make_env: MakeEnv | None = None,
    **parameters: Any,
) -> list[Result]:
    """Train the same run once for each seed, one after the other, each in its own folder: <run>-seed<seed>.

    Called again after an interruption it skips the finished seeds and resumes the others. Raises as `train` does.
    """
    if make_env is not None:
        parameters["env"] = _registered(make_env, parameters)
    console = Console(silent=not verbose)
    return [run(_resolve(given), callbacks, console) for given in each_seed(seeds, parameters)]


def each_seed(seeds: Sequence[int], parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters of the run of each seed. A folder that holds a run is resumed."""
    prefix = f"{parameters['run']}-" if parameters.get("run") else ""
    for seed in seeds:
        given = {**parameters, "random_seed": seed, "run": f"{prefix}seed{seed}"}
        has_run = bool(read_run(_folder(_resolve(given).values)))
        yield {**given, "resume": has_run and not parameters.get("fresh")}


def prepare(resolved: Resolved, callbacks: Sequence[Callback], console: Console) -> Trainer:
    """A trainer with checked parameters, their standard callbacks, and `callbacks`.

    Prints the parameters that differ from the defaults, and notes.
    """
    trainer = Trainer(resolved.values, [*standard_callbacks(resolved.values), *callbacks], console)
    differing = ", ".join(f"{name} {value}" for name, value in resolved.overrides().items())
    console.say(f"Differs from the defaults: {differing or 'nothing'}.")
    for note in [*resolved.notes, *trainer.notes]:
        console.say(note)
    return trainer


def run(resolved: Resolved, callbacks: Sequence[Callback], console: Console) -> Result:
    """Train with checked parameters. A run that is complete already is scored again, so that its result has a score too."""
    with prepare(resolved, callbacks, console) as trainer:
        return trainer.run(scores_again=True)


def standard_callbacks(params: TrainParams) -> list[Callback]:
    """The callbacks that the parameters select."""
    callbacks: list[Callback] = [Logs(), RunWarnings()]
    if params.eval_every:
        callbacks.append(Evaluator(params.eval_every))
    if params.stop_at_score is not None:
        callbacks.append(StopAtScore(params.stop_at_score))
    if params.render:
        callbacks.append(Window())
    return callbacks


def _registered(make_env: MakeEnv, parameters: Mapping[str, Any]) -> str:
    if given := [name for name in ("eval_every", "render") if parameters.get(name)]:
        raise ParameterError(f"make_env does not go with {given[0]}, whose process cannot make its environment.")
    if parameters.get("runner", "threads") != "threads":
        raise ParameterError(
            f"make_env does not go with runner {parameters['runner']}, whose agents are in other processes: "
            "register the environment in a module, env='module:Id-v0'."
        )
    return register(make_env, parameters.get("env"))


def _resolve(parameters: Mapping[str, Any]) -> Resolved:
    return resolve_training(TrainParams, parameters, env_problem)


def _folder(params: TrainParams) -> Path:
    return run_folder(params.ckpt_dir, params)


def _unused_name(params: TrainParams) -> str:
    """The first of run1, run2, ... without a folder. The folder is made at once, so that no other process takes the name."""
    for number in itertools.count(1):
        folder = _folder(params) / f"run{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:
            pass  # the trainer will say it
        break
    return folder.name
