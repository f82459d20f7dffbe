"""Learning curves for plot.py: selects the runs and tests, and names the picture."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.analysis.curves import Curve, draw_curves, mean_curve, published_curve, run_curve, run_scores, training_curve
from agent.analysis.plot_params import CurvesParams, RunPlotParams
from agent.config import folder_name
from agent.environment import env_spec
from agent.names import RENAMED
from params import HERE, SHIPPED, WatchParams
from utils.errors import CheckpointError, ParameterError, ToolkitError
from utils.logs import read_log
from utils.storage.checkpoints import list_checkpoints, newest_manifest
from utils.storage.results import ScoreKind, main_kind, result_files
from utils.storage.run_folder import RUN_FILE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = HERE / "data" / "original_learning_curves.csv"
LONGEST_NAME = 80  # characters of run names in the name of a picture
# Parameters that may differ between the runs of a mean, since they are not part of the algorithm.
MAY_DIFFER = {
    *("random_seed", "run", "resume", "fresh", "ckpt_file", "ckpt_dir", "log_dir", "results_dir", "debug", "render", "summary"),
    *("num_steps_train", "max_minutes", "stop_at_score", "save_ckpt_step", "max_ckpts", "save_replay", "save_replay_every"),
    *("env_timeout", "env_restarts", "check_env"),
}


class RunFiles(NamedTuple):
    """The paths of a run."""

    name: str
    checkpoints: Path
    results: Path  # without an ending
    logs: Path

    def exist(self) -> bool:
        """Whether the run has any file: a checkpoint, its record, scores or a log."""
        files = (self.checkpoints / RUN_FILE, self.logs / "agents.csv", *result_files(self.results))
        return any(path.is_file() for path in files) or bool(list_checkpoints(self.checkpoints))


def learning_curves(params: CurvesParams) -> tuple["Figure", list[str]]:
    """Test scores of one kind over the training, with the training returns, and sentences to print.

    Raises CheckpointError for an unknown run or without data, ParameterError for tests or a mean that do not exist.
    """
    if params.variants is not None and (params.runs is not None or params.mean):
        raise ParameterError("variants are means of their runs: they go with neither --runs nor --mean.")
    runs = selected_runs(params)
    rows = [run_scores(run.results, run.checkpoints, params.x) for run in runs]
    kind, notes = _kind_to_draw(params, [row for of_run in rows for row in of_run])
    curves = [run_curve(run.name or "test score", found, kind, params.x) for run, found in zip(runs, rows, strict=True)]
    training = [_training(run, params) for run in runs]
    notes += [
        f"{run.results}.csv has no scores of {kind}." for run, curve in zip(runs, curves, strict=True) if not len(curve.x)
    ]
    if kind is None:
        notes = ["There are no test scores; test_every_new_ckpt.py makes them."]
    if not any(len(curve.x) for curve in (*curves, *training)):
        raise CheckpointError(_nothing(runs, params))
    if params.mean:
        curves, training = [_mean(runs, curves)], []
    elif params.variants is not None:
        curves, training = [_variant(params, name, runs, curves) for name in params.variants], []
    solved = params.solved if params.solved is not None else _solved(params)
    title = f"{params.env}: mean return of {kind}" if kind is not None else f"{params.env}: training"
    return draw_curves(curves, title, params.x, _published(params), solved, training), notes


def curves_path(params: CurvesParams) -> Path:
    """The PNG file: --out, else <plot_dir>/<env>[/<run>]/curves.png, with options other than the defaults in its name.

    Raises ParameterError if --out is not a PNG.
    """
    if params.out is not None:
        if not params.out.endswith(".png"):
            raise ParameterError(f"--out writes a PNG picture, so its name must end with .png; got {params.out}.")
        return Path(params.out)
    folder = Path(params.plot_dir) / folder_name(params.env)
    names = [run.name for run in selected_runs(params)]
    parts = ["curves"]
    if len(names) == 1:
        folder = folder / names[0]
    else:
        joined = "+".join(names)
        digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
        parts.append(joined if len(joined) <= LONGEST_NAME else f"{joined[:LONGEST_NAME]}-{digest}")
    parts += ["mean"] * params.mean + ["variants"] * (params.variants is not None)
    parts += [params.x] * (params.x != "learner_step")
    parts += [f"seed {params.first_seed}"] * (params.first_seed is not None)
    parts += [f"{params.episodes} episodes"] * (params.episodes is not None)
    parts += [Path(params.starts or "").stem] * (params.starts is not None)
    return folder / f"{'.'.join(parts).replace(' ', '-')}.png"


def selected_runs(params: CurvesParams) -> list[RunFiles]:
    """The runs of --run, --runs and --variants, with patterns expanded. Raises CheckpointError for an unknown run."""
    several = (*(params.runs or ()), *(params.variants or ()))
    wanted = [params.run] if params.run or not several else []
    names = [found for name in (*wanted, *several) for found in _named(params, name)]
    return [_files(params, name) for name in dict.fromkeys(names)]


def _named(params: CurvesParams, name: str) -> list[str]:
    """The runs that a name or a pattern stands for. Raises CheckpointError where there is none."""
    known = _known_runs(params)
    found = [one for one in known if one and fnmatchcase(one, name)] if re.search(r"[*?\[]", name) else [name]
    if not found or name and found == [name] and not _files(params, name).exist():
        there = ", ".join(one for one in known if one) or "none with a name"
        raise CheckpointError(f"there is no run {name} of {params.env}; the runs are: {there}.")
    return found


def _known_runs(params: CurvesParams) -> list[str]:
    env = folder_name(params.env)
    folders = [path for root in (params.ckpt_dir, params.log_dir) for path in (Path(root) / env).glob("[!.]*/")]
    files = [path for ending in ("csv", "txt") for path in (Path(params.results_dir) / env).glob(f"[!.]*.{ending}")]
    names = {path.name for path in folders} | {path.name[:-4] for path in files}
    names = {name for name in names if not (name == SHIPPED or name.startswith("before-") or ".ckpt-" in name)}
    return [name for name in sorted(names, key=_natural) if _files(params, name).exist()]


def _natural(name: str) -> list[Any]:
    # "seed2" before "seed10": words and numbers alternate, so their types match in a comparison.
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _files(params: CurvesParams, name: str) -> RunFiles:
    env = folder_name(params.env)
    return RunFiles(name, *(Path(root) / env / name for root in (params.ckpt_dir, params.results_dir, params.log_dir)))


def _kind_to_draw(params: CurvesParams, rows: list[dict[str, str]]) -> tuple[ScoreKind | None, list[str]]:
    """The kind of test to draw, and a note on the others. Raises ParameterError if the requested kind does not exist."""
    starts = None if params.starts is None else Path(params.starts).name
    asked = {"first_seed": params.first_seed, "episodes": params.episodes, "starts": starts}
    matching = [row for row in rows if all(value is None or row[name] == str(value) for name, value in asked.items())]
    kind = main_kind(matching, WatchParams.random_seed)
    others = sorted({str(ScoreKind.of(row)) for row in rows if ScoreKind.of(row) != kind})
    if kind is None and others:
        raise ParameterError(f"there are no such tests; there are tests of {'; '.join(others)}.")
    left_out = f"Not drawn: tests of {'; '.join(others)} (select them with --first-seed, --episodes, --starts)."
    return kind, [left_out] if others else []


def _training(run: RunFiles, params: CurvesParams) -> Curve:
    shown = params.training and not params.mean
    agents, learner = (read_log(run.logs / f"{name}.csv") if shown else {} for name in ("agents", "learner"))
    return training_curve(agents, learner, params.x)


def _mean(runs: Sequence[RunFiles], curves: Sequence[Curve]) -> Curve:
    """The mean of the runs with scores. Raises ParameterError if the runs cannot be averaged."""
    scored = [(run, curve) for run, curve in zip(runs, curves, strict=True) if len(curve.x)]
    settings = {run.name: newest_manifest(run.checkpoints).get("params", {}) for run, _ in scored}
    if differing := _differing(settings):
        raise ParameterError(
            f"these runs were trained with different parameters ({'; '.join(differing)}), so their mean and its interval "
            "say nothing about either; draw them without --mean."
        )
    mean = mean_curve([curve for _, curve in scored])
    if not len(mean.x):
        raise ParameterError("these runs have no common learner step with a score, so there is no mean.")
    return mean


def _variant(params: CurvesParams, name: str, runs: Sequence[RunFiles], curves: Sequence[Curve]) -> Curve:
    """The mean of the runs that a pattern of --variants names."""
    names = set(_named(params, name))
    pairs = [(run, curve) for run, curve in zip(runs, curves, strict=True) if run.name in names]
    mean = _mean(*zip(*pairs, strict=True))
    label = re.sub(r"[-_.]?[*?]+$", "", name) or name
    return replace(mean, label=f"{label}: {mean.label}" if len(pairs) > 1 else label)


def _differing(settings: dict[str, dict[str, Any]]) -> list[str]:
    known = {name: of_run for name, of_run in settings.items() if of_run}
    names = set.intersection(*(set(of_run) for of_run in known.values())) if known else set()
    return [
        f"{name}: " + ", ".join(f"{of_run[name]} in {run}" for run, of_run in known.items())
        for name in sorted(names - MAY_DIFFER)
        if any(of_run[name] != next(iter(known.values()))[name] for of_run in known.values())
    ]


def _nothing(runs: Sequence[RunFiles], params: CurvesParams) -> str:
    where = ", ".join(f"{run.results}.csv" for run in runs)
    named = ", ".join(name for name in _known_runs(params) if name)
    others = f" Runs with a name: {named}." if named and not any(run.name for run in runs) else ""
    return (
        f"no data to draw by {params.x}: no test scores in {where}, and no training log. Train with train.py; "
        f"test_every_new_ckpt.py and test.py write scores.{others}"
    )


def _published(params: CurvesParams) -> Curve | None:
    if not params.original or params.x != "learner_step":
        return None
    original = next((old for old, (new, _) in RENAMED.items() if new == params.env), params.env)
    return published_curve(PUBLISHED, original, "msinto93/D4PG, one run as published")


def _solved(params: CurvesParams) -> float | None:
    same = RunPlotParams(env=params.env, env_kwargs=params.env_kwargs, wrapper=params.wrapper)
    try:
        spec = env_spec(same).make().unwrapped.spec
    except ToolkitError:  # it needs a package or a flag that the scores do not
        return None
    return spec.reward_threshold if spec is not None else None
