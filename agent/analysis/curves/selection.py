"""Selection of the runs of an environment that plot.py draws, and of their tests."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agent.analysis.curves.curve import Curve, run_curve, run_scores
from agent.analysis.plot_params import CurvesParams
from agent.names import RENAMED
from agent.runs import RunFiles, named_runs, run_files
from params import WatchParams
from utils.errors import ParameterError
from utils.storage.results import ScoreKind, main_kind


class EnvScores(NamedTuple):
    """The runs of an environment, the scores of each in tests of one kind, and sentences to print."""

    runs: list[RunFiles]
    curves: list[Curve]
    kind: ScoreKind | None
    notes: list[str]


def each_env(params: CurvesParams) -> list[CurvesParams]:
    """The parameters for each environment of --envs, else `params`."""
    if params.envs is None:
        return [params]
    return [replace(params, env=env) for env in dict.fromkeys(RENAMED.get(env, (env,))[0] for env in params.envs)]


def selected_runs(params: CurvesParams) -> list[RunFiles]:
    """The runs of --run, --runs and --variants, with patterns expanded. Raises CheckpointError for an unknown run."""
    several = (*(params.runs or ()), *(params.variants or ()))
    wanted = [params.run] if params.run or not several else []
    names = [found for name in (*wanted, *several) for found in named_runs(params, name)]
    return [run_files(params, name) for name in dict.fromkeys(names)]


def selected_scores(params: CurvesParams) -> EnvScores:
    """The scores of the selected runs.

    Raises CheckpointError for an unknown run, ParameterError for tests that do not exist.
    """
    runs = selected_runs(params)
    rows = [run_scores(run.results, run.checkpoints, params.x, params.last_step or np.inf) for run in runs]
    kind, notes = _kind_to_draw(params, [row for of_run in rows for row in of_run])
    curves = [run_curve(run.name or "test score", found, kind, params.x) for run, found in zip(runs, rows, strict=True)]
    without = [run.results for run, curve in zip(runs, curves, strict=True) if not len(curve.x)]
    notes += [f"{results}.csv has no scores of {kind}." for results in without]
    if kind is None:
        notes = ["There are no test scores; test_every_new_ckpt.py makes them."]
    return EnvScores(runs, curves, kind, notes)


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
