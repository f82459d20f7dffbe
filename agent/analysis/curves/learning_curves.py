"""Learning curves for plot.py: the figure, the sentences beside it, and the name of the picture."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agent.analysis.curves.curve import Curve, published_curve, training_curve
from agent.analysis.curves.panels import Panel, draw_curves
from agent.analysis.curves.selection import EnvScores, each_env, selected_runs, selected_scores
from agent.analysis.curves.variants import Variant, areas, comparison, variants_of
from agent.analysis.plot_params import CurvesParams, RunPlotParams
from agent.config import folder_name
from agent.environment import env_spec
from agent.names import RENAMED
from agent.runs import RunFiles, known_runs
from params import HERE
from utils.errors import CheckpointError, ParameterError, ToolkitError
from utils.logs import read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = HERE / "data" / "original_learning_curves.csv"
LONGEST_NAME = 80  # characters of run names in the name of a picture


def learning_curves(params: CurvesParams) -> tuple["Figure", list[str]]:
    """Test scores of one kind over the training, with the training returns, and sentences to print.

    With `envs` there is a panel for each of them, and the comparison of the variants is printed. With `pairs` there is a row of
    panels for each variant after the first.
    Raises CheckpointError for an unknown run or without data, ParameterError for tests or a mean that do not exist.
    """
    if params.variants is not None and (params.runs is not None or params.mean):
        raise ParameterError("variants are means of their runs: they go with neither --runs nor --mean.")
    if params.envs is not None and params.variants is None:
        raise ParameterError("envs are what variants are compared over: they go with --variants only.")
    if params.pairs and len(params.variants or ()) < 2:
        raise ParameterError("--pairs draws each variant beside the first: it needs two or more patterns after --variants.")
    panels: list[Panel] = []
    notes: list[str] = []
    by_env: dict[str, list[Variant]] = {}
    for one in each_env(params):
        scores = selected_scores(one)
        variants = by_env[one.env] = variants_of(one, scores)
        panels.append(_panel(one, scores, variants))
        if params.variants is None:
            notes += scores.notes
        else:
            notes += [f"{one.env}: {note}" for note in (*scores.notes, *areas(variants))]
    if params.envs is not None:
        notes += comparison(by_env)
    if not params.pairs:
        return draw_curves(*([panel] for panel in panels)), notes
    columns = [_pairs(panel, variants) for panel, variants in zip(panels, by_env.values(), strict=True)]
    return draw_curves(*zip(*columns, strict=True), common=True), notes


def _panel(params: CurvesParams, scores: EnvScores, variants: Sequence[Variant]) -> Panel:
    """The panel of an environment: its runs with their training returns, or the mean of each variant."""
    runs, curves, kind, notes = scores
    training = [] if variants else [_training(run, params) for run in runs]
    if params.variants is None and not any(len(curve.x) for curve in (*curves, *training)):
        raise CheckpointError(_nothing(runs, params))
    if variants:
        curves = [variant.mean() for variant in variants]
        if not all(len(curve.x) for curve in curves):
            if params.envs is None:
                raise ParameterError("these runs have no common learner step with a score, so there is no mean.")
            notes.append("A mean of runs without a common learner step is not drawn.")
    solved = params.solved if params.solved is not None else _solved(params)
    title = f"{params.env}: mean return of {kind}" if kind is not None else f"{params.env}: training"
    return Panel(curves, title, params.x, _published(params), solved, training)


def _pairs(panel: Panel, variants: Sequence[Variant]) -> list[Panel]:
    """A panel for each variant after the first, which holds the means and the runs of both."""
    means = [replace(mean, label=variant.label) for mean, variant in zip(panel.curves, variants, strict=True)]
    title = f"{panel.title} (each run; their mean, 95 % interval)"
    pairs = [([means[0], means[i]], [variants[0].scored, variants[i].scored]) for i in range(1, len(variants))]
    return [panel._replace(curves=curves, runs=runs, title=title) for curves, runs in pairs]


def _training(run: RunFiles, params: CurvesParams) -> Curve:
    agents, learner = (read_log(run.logs / f"{name}.csv") if params.training else {} for name in ("agents", "learner"))
    return training_curve(agents, learner, params.x).until(params.last_step or np.inf)


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
        with contextlib.closing(env_spec(same).make()) as env:
            spec = env.unwrapped.spec
    except ToolkitError:  # it needs a package or a flag that the scores do not
        return None
    return spec.reward_threshold if spec is not None else None


def curves_path(params: CurvesParams) -> Path:
    """The PNG file: --out, else <plot_dir>/<env>[/<run>]/curves.png, with options other than the defaults in its name.

    Raises ParameterError if --out is not a PNG.
    """
    if params.out is not None:
        if not params.out.endswith(".png"):
            raise ParameterError(f"--out writes a PNG picture, so its name must end with .png; got {params.out}.")
        return Path(params.out)
    folder = Path(params.plot_dir)
    names = list(dict.fromkeys(run.name for one in each_env(params) for run in selected_runs(one)))
    if params.envs is None:
        folder /= folder_name(params.env)
    else:
        names = [*(folder_name(one.env) for one in each_env(params)), *names]
    parts = ["curves"]
    if len(names) == 1:
        folder = folder / names[0]
    else:
        joined = "+".join(names)
        digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
        parts.append(joined if len(joined) <= LONGEST_NAME else f"{joined[:LONGEST_NAME]}-{digest}")
    parts += ["mean"] * params.mean + ["variants"] * (params.variants is not None) + ["pairs"] * params.pairs
    parts += [params.x] * (params.x != "learner_step")
    parts += [f"until {params.last_step}"] * (params.last_step is not None)
    parts += [f"seed {params.first_seed}"] * (params.first_seed is not None)
    parts += [f"{params.episodes} episodes"] * (params.episodes is not None)
    parts += [Path(params.starts or "").stem] * (params.starts is not None)
    return folder / f"{'.'.join(parts).replace(' ', '-')}.png"
