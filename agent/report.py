"""The report of a run: settings, scores, what it believes and what it does, on one self-contained page."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agent import plots
from agent.choice import Choice, choose
from agent.config import run_folder
from agent.environment import env_spec
from agent.film import gif_of
from agent.plots import Drawing
from params import (
    RENAMED,
    SHIPPED,
    CurvesParams,
    MapsParams,
    PlotParams,
    ReportParams,
    RunPlotParams,
    SupportParams,
    TrainParams,
)
from utils.errors import CheckpointError, ToolkitError
from utils.figures import COLOURS, new_figure, png, tidy
from utils.metrics import read_log
from utils.page import Page
from utils.results import read_scores
from utils.runs import read_run

SCORES = 12  # tests that are listed, the newest
EPISODES = 2  # of each checkpoint, for the support


def write_report(params: ReportParams, path: Path) -> list[str]:
    """Write the page of a run. What cannot be drawn is a sentence in its place; the sentences are returned too.

    Raises DependencyError without matplotlib, CheckpointError when there is neither a checkpoint nor a score.
    """
    new_figure(1, 1)  # without matplotlib there is no report: said now
    scores = sorted(read_scores(run_folder(params.results_dir, params)), key=lambda row: int(row["learner_step"]))
    choice: Choice | None = None
    notes: list[str] = []
    try:
        choice = choose(params, env_spec(params).make())
        notes += choice.notes
    except CheckpointError as error:
        if not scores:
            raise
        notes.append(str(error))
    page = Page(f"{params.env}{f', run {params.run}' if params.run else ''}")
    log = read_log(run_folder(params.log_dir, params) / "learner.csv")
    _summary(page, params, choice, scores)
    for note in notes:
        page.text(note)

    page.heading("Learning curve")
    shared = _fields(PlotParams, params)
    notes += _draw(
        page,
        lambda: plots.curves(CurvesParams(**shared, runs=(SHIPPED if params.shipped else params.run,))),
        "Test score over learner steps with its 95 % interval, over the original's published curve",
    )
    if params.env in (new for new, _ in RENAMED.values()):
        page.text("The original's curve was scored from start states of its own: its shape compares better than its height.")
    page.heading("Scores")
    _scores(page, scores)
    if choice is not None:
        own = _fields(RunPlotParams, params)
        page.heading("What it does")
        try:
            film = gif_of(choice.env_spec.make, choice, params.random_seed)
            caption = f"Learner step {choice.learner_step:,}; below, the return that the critic expects, and the action."
            page.picture(film, "gif", f"Film of an episode of {params.env}", caption)
        except ToolkitError as error:
            notes.append(str(error))
            page.text(str(error))
        page.heading("What it believes")
        alt = "Maps of values, actions and their gradient over two dimensions of the state"
        notes += _draw(page, lambda: plots.maps(MapsParams(**own)), alt)
        page.heading("Support")
        alt = "Where the return distributions lie between v_min and v_max, and the mass at the edges, over the training"
        notes += _draw(page, lambda: plots.support(SupportParams(**own, num_eps_play=EPISODES)), alt)
    page.heading("Speed and time")
    _speed(page, log)
    if choice is not None:
        page.heading("Settings")
        _settings(page, choice)
    page.save(path)
    return list(dict.fromkeys(notes))


def _fields(cls: type, params: ReportParams) -> dict[str, Any]:
    return {field.name: getattr(params, field.name) for field in dataclasses.fields(cls)}


def _draw(page: Page, draw: Callable[[], Drawing], alt: str) -> list[str]:
    try:
        drawing = draw()
    except ToolkitError as error:
        page.text(str(error))
        return [str(error)]
    page.picture(png(drawing.figure), "png", alt)
    for note in drawing.notes:
        page.text(note, warning=True)
    return drawing.notes


def _summary(page: Page, params: ReportParams, choice: Choice | None, scores: list[dict[str, str]]) -> None:
    run = read_run(run_folder(params.ckpt_dir, params))
    rows = [("run", f"{run.get('run_id', choice.run_id if choice else 'unknown')} ({run.get('status', 'no training here')})")]
    if choice is not None:
        rows.append(("checkpoint", f"{choice.path.name}, learner step {choice.learner_step:,}"))
        if choice.env_step != "":
            rows.append(("experience", f"{choice.env_step:,} environment steps in {choice.seconds / 60:.1f} minutes"))
    if scores:
        last = scores[-1]
        rows.append(
            ("last score", f"{_number(last['mean'])} +/- {_number(last['sem'])} at learner step {last['learner_step']}")
        )
    page.table(rows)


def _scores(page: Page, scores: list[dict[str, str]]) -> None:
    if not scores:
        page.text("There are no scores yet; test_every_new_ckpt.py makes them.")
        return
    rows = []
    for row in scores[-SCORES:]:
        first, episodes = row["first_seed"], row["episodes"]
        seeds = f"seeds {first} to {int(first) + int(episodes) - 1}" if first.isdecimal() and episodes.isdecimal() else ""
        limits = [_number(row[name]) for name in ("mean", "sem", "min", "max")]
        rows.append((row["learner_step"], *limits, episodes, row["starts"] or seeds))
    page.table(rows, ("learner step", "mean", "+/-", "least", "greatest", "episodes", "starts"))
    if len(scores) > SCORES:
        page.text(f"The newest {SCORES} of {len(scores)} tests. The mean's standard error stands behind +/-.")


def _speed(page: Page, log: dict[str, np.ndarray]) -> None:
    if not len(log.get("seconds", ())):
        page.text("There is no learner.csv of this run.")
        return
    minutes = log["seconds"] / 60
    figure = new_figure(8.4, 3.0)
    updates, steps = figure.subplots(1, 2)
    for axes, name, words, colour in (
        (updates, "updates_per_s", "learner steps a second", COLOURS[0]),
        (steps, "env_steps_per_s", "environment steps a second", COLOURS[2]),
    ):
        axes.plot(minutes, log[name], color=colour, linewidth=1.2)
        axes.set_title(words, fontsize=10)
        axes.set_xlabel("minutes of training", fontsize=9)
        axes.set_ylim(bottom=0)
        tidy(axes)
    page.picture(png(figure), "png", "Learner steps and environment steps a second over the minutes of training")
    seconds = max(float(log["seconds"][-1]), 1e-9)
    page.text(
        f"{log['learner_step'][-1]:,.0f} learner steps and {log['env_step'][-1]:,.0f} environment steps in "
        f"{seconds / 60:.1f} minutes: {log['learner_step'][-1] / seconds:.0f} and {log['env_step'][-1] / seconds:.0f} a second."
    )


def _settings(page: Page, choice: Choice) -> None:
    settings, versions = choice.manifest.get("params", {}), choice.manifest.get("versions", {})
    if not settings:
        page.text("This checkpoint does not say what it was trained with.")
        return
    defaults = {field.name: field.default for field in dataclasses.fields(TrainParams)}
    rows = []
    for name, value in settings.items():
        default = defaults.get(name)
        rows.append((name, value, "" if value == default else f"default {default}"))
    page.table(rows, ("parameter", "value", "differs"))
    page.text("Trained with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")


def _number(text: str) -> str:
    try:
        return f"{float(text):.2f}"
    except ValueError:
        return text
