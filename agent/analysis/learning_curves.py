"""Learning curves for plot.py: selects the runs and tests, and names the picture."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent.analysis.curves import (
    Curve,
    Panel,
    draw_curves,
    interquartile_mean,
    mean_curve,
    mean_score,
    published_curve,
    run_curve,
    run_scores,
    shared_steps,
    training_curve,
)
from agent.analysis.plot_params import CurvesParams, RunPlotParams
from agent.config import folder_name
from agent.environment import env_spec
from agent.names import RENAMED
from agent.runs import RunFiles, differing_parameters, known_runs, named_runs, run_files
from params import HERE, WatchParams
from utils.errors import CheckpointError, ParameterError, ToolkitError
from utils.logs import read_log
from utils.storage.results import ScoreKind, main_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = HERE / "data" / "original_learning_curves.csv"
LONGEST_NAME = 80  # characters of run names in the name of a picture


class EnvScores(NamedTuple):
    """The runs of an environment, and the scores of each in tests of one kind."""

    runs: list[RunFiles]
    curves: list[Curve]
    kind: ScoreKind | None
    notes: list[str]


def learning_curves(params: CurvesParams) -> tuple["Figure", list[str]]:
    """Test scores of one kind over the training, with the training returns, and sentences to print.

    With `envs` there is a panel for each of them, and the comparison of the variants is printed.
    Raises CheckpointError for an unknown run or without data, ParameterError for tests or a mean that do not exist.
    """
    if params.variants is not None and (params.runs is not None or params.mean):
        raise ParameterError("variants are means of their runs: they go with neither --runs nor --mean.")
    if params.envs is not None and params.variants is None:
        raise ParameterError("envs are what variants are compared over: they go with --variants only.")
    by_env = {one.env: (one, _scores(one)) for one in _each_env(params)}
    figure = draw_curves(*(_panel(*of_env) for of_env in by_env.values()))
    if params.variants is None:
        return figure, by_env[params.env][1].notes
    notes = [f"{env}: {note}" for env, of_env in by_env.items() for note in (*of_env[1].notes, *_areas(*of_env))]
    return figure, notes + (_comparison(params.variants, by_env) if params.envs is not None else [])


def _each_env(params: CurvesParams) -> list[CurvesParams]:
    """The parameters for each environment of --envs, else `params`."""
    if params.envs is None:
        return [params]
    return [replace(params, env=env) for env in dict.fromkeys(RENAMED.get(env, (env,))[0] for env in params.envs)]


def _scores(params: CurvesParams) -> EnvScores:
    runs = selected_runs(params)
    rows = [run_scores(run.results, run.checkpoints, params.x, params.last_step or np.inf) for run in runs]
    kind, notes = _kind_to_draw(params, [row for of_run in rows for row in of_run])
    curves = [run_curve(run.name or "test score", found, kind, params.x) for run, found in zip(runs, rows, strict=True)]
    without = [run.results for run, curve in zip(runs, curves, strict=True) if not len(curve.x)]
    notes += [f"{results}.csv has no scores of {kind}." for results in without]
    if kind is None:
        notes = ["There are no test scores; test_every_new_ckpt.py makes them."]
    return EnvScores(runs, curves, kind, notes)


def _panel(params: CurvesParams, tests: EnvScores) -> Panel:
    runs, curves, kind, _ = tests
    training = [_training(run, params) for run in runs]
    if not any(len(curve.x) for curve in (*curves, *training)):
        raise CheckpointError(_nothing(runs, params))
    if params.mean or params.variants is not None:
        curves = [_variant(params, name, tests) for name in params.variants or ()] or [_mean(runs, curves)]
        training = []
        if not all(len(curve.x) for curve in curves):
            if params.envs is None:
                raise ParameterError("these runs have no common learner step with a score, so there is no mean.")
            tests.notes.append("A mean of runs without a common learner step is not drawn.")
    solved = params.solved if params.solved is not None else _solved(params)
    title = f"{params.env}: mean return of {kind}" if kind is not None else f"{params.env}: training"
    return Panel(curves, title, params.x, _published(params), solved, training)


def _areas(params: CurvesParams, tests: EnvScores) -> list[str]:
    """A line for each variant: the mean score of each of its runs over the learner steps that all runs have."""
    steps = shared_steps([curve for curve in tests.curves if len(curve.x)])
    if len(steps) < 2:
        return []
    lines = [f"mean score from learner step {steps[0]:,.0f} to {steps[-1]:,.0f} (area under the curve), run by run:"]
    for name in params.variants or ():
        own = [mean_score(curve, steps) for curve in _of_variant(params, name, tests)[1] if len(curve.x)]
        lines.append(f"{_label(name)}: {np.mean(own):.1f} ({', '.join(f'{value:.1f}' for value in own)})")
    return lines


def _comparison(variants: Sequence[str], by_env: dict[str, tuple[CurvesParams, EnvScores]]) -> list[str]:
    """A line for each variant: the interquartile mean of its runs' final scores, normalised for each environment.

    A final score is that of the last learner step that all runs of the environment have, else the run's last. 0 is the lowest
    score of any test of the compared runs until then, 1 the highest. Early tests count for these ends, so that runs which all
    learned are not spread from 0 to 1 by their noise. Raises ParameterError for equal scores.
    """
    lines, finals = [], {}
    for env, (params, tests) in by_env.items():
        scored = [curve for curve in tests.curves if len(curve.x)]
        shared, last = shared_steps(scored), [curve.learner_steps[-1] for curve in scored]
        end = shared[-1] if len(shared) else max(last)
        if len(shared) and max(last) > end:
            lines.append(f"{env}: the final scores are those of learner step {end:,.0f}, the last that all runs have.")
        elif min(last) < max(last):
            lines.append(f"{env}: the final scores are from learner steps {min(last):,.0f} to {max(last):,.0f}.")
        scores = np.concatenate([curve.until(end).mean for curve in scored])
        if not scores.min() < scores.max():
            raise ParameterError(f"all scores of {env} are {scores[0]:g}, so they cannot be normalised.")
        for name in variants:
            final = [curve.until(end).mean[-1] for curve in _of_variant(params, name, tests)[1] if len(curve.x)]
            finals[name, env] = (np.array(final) - scores.min()) / np.ptp(scores)
    lines.append(f"Interquartile mean of the normalised final scores over {', '.join(by_env)}:")
    for name in variants:
        mean, low, high = interquartile_mean(of_envs := [finals[name, env] for env in by_env])
        known = f"95 % interval {low:.3f} to {high:.3f}"
        interval = "no interval, since an environment has a single run" if np.isnan(low) else known
        lines.append(f"{_label(name)}: {mean:.3f}, {interval}, {' + '.join(str(len(final)) for final in of_envs)} runs")
    return lines


def curves_path(params: CurvesParams) -> Path:
    """The PNG file: --out, else <plot_dir>/<env>[/<run>]/curves.png, with options other than the defaults in its name.

    Raises ParameterError if --out is not a PNG.
    """
    if params.out is not None:
        if not params.out.endswith(".png"):
            raise ParameterError(f"--out writes a PNG picture, so its name must end with .png; got {params.out}.")
        return Path(params.out)
    folder = Path(params.plot_dir)
    names = list(dict.fromkeys(run.name for one in _each_env(params) for run in selected_runs(one)))
    if params.envs is None:
        folder /= folder_name(params.env)
    else:
        names = [*(folder_name(one.env) for one in _each_env(params)), *names]
    parts = ["curves"]
    if len(names) == 1:
        folder = folder / names[0]
    else:
        joined = "+".join(names)
        digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
        parts.append(joined if len(joined) <= LONGEST_NAME else f"{joined[:LONGEST_NAME]}-{digest}")
    parts += ["mean"] * params.mean + ["variants"] * (params.variants is not None)
    parts += [params.x] * (params.x != "learner_step")
    parts += [f"until {params.last_step}"] * (params.last_step is not None)
    parts += [f"seed {params.first_seed}"] * (params.first_seed is not None)
    parts += [f"{params.episodes} episodes"] * (params.episodes is not None)
    parts += [Path(params.starts or "").stem] * (params.starts is not None)
    return folder / f"{'.'.join(parts).replace(' ', '-')}.png"


def selected_runs(params: CurvesParams) -> list[RunFiles]:
    """The runs of --run, --runs and --variants, with patterns expanded. Raises CheckpointError for an unknown run."""
    several = (*(params.runs or ()), *(params.variants or ()))
    wanted = [params.run] if params.run or not several else []
    names = [found for name in (*wanted, *several) for found in named_runs(params, name)]
    return [run_files(params, name) for name in dict.fromkeys(names)]


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
    return training_curve(agents, learner, params.x).until(params.last_step or np.inf)


def _mean(runs: Sequence[RunFiles], curves: Sequence[Curve]) -> Curve:
    """The mean of the runs with scores, empty without a common learner step. Raises ParameterError if there is no mean."""
    scored = [(run, curve) for run, curve in zip(runs, curves, strict=True) if len(curve.x)]
    if not scored:
        raise ParameterError(f"there are no scores of this kind of {', '.join(run.name for run in runs)}, so there is no mean.")
    if differing := differing_parameters([run for run, _ in scored]):
        raise ParameterError(
            f"these runs were trained with different parameters ({'; '.join(differing)}), so their mean and its interval "
            "say nothing about either; draw them without --mean."
        )
    return mean_curve([curve for _, curve in scored])


def _variant(params: CurvesParams, name: str, tests: EnvScores) -> Curve:
    """The mean of the runs that a pattern of --variants names."""
    runs, curves = _of_variant(params, name, tests)
    mean = _mean(runs, curves)
    return replace(mean, label=f"{_label(name)}: {mean.label}" if len(runs) > 1 else _label(name))


def _of_variant(params: CurvesParams, name: str, tests: EnvScores) -> tuple[list[RunFiles], list[Curve]]:
    names = set(named_runs(params, name))
    pairs = [(run, curve) for run, curve in zip(tests.runs, tests.curves, strict=True) if run.name in names]
    return [run for run, _ in pairs], [curve for _, curve in pairs]


def _label(name: str) -> str:
    return re.sub(r"[-_.]?[*?]+$", "", name) or name


def _nothing(runs: Sequence[RunFiles], params: CurvesParams) -> str:
    where = ", ".join(f"{run.results}.csv" for run in runs)
    named = ", ".join(name for name in known_runs(params) if name)
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
