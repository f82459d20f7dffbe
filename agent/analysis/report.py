"""The report of a run on one self-contained page: settings, scores, value maps, a recording, the support and the speed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.analysis import drawings as plots
from agent.analysis.drawings import Drawing
from agent.analysis.plot_params import CurvesParams, MapsParams, PlotParams, ReportParams, RunPlotParams, SupportParams
from agent.analysis.recording import episode_gif, recording_seed
from agent.analysis.training_plots import draw_speed, draw_training
from agent.config import recorded, run_folder
from agent.loading import LoadedCheckpoint, load_checkpoint
from agent.names import RENAMED
from params import SHIPPED, TrainParams
from utils.errors import CheckpointError, ToolkitError
from utils.logs import read_log
from utils.media.figures import new_figure, png
from utils.media.page import Page
from utils.storage.results import read_scores
from utils.storage.run_folder import read_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES = 12  # newest tests in the list
PANEL = (
    "Below each frame, the bars are the distribution of the discounted return that the critic expects from there on, and "
    "the line is its mean. Their axis shows the returns that hold the mass in this episode. On the right are the reward so "
    "far and the action within its bounds, with a mark at 0."
)  # caption of a recording
EPISODES = 2  # of each checkpoint, for the support


def write_report(params: ReportParams, path: Path) -> list[str]:
    """Write the page of a run. A sentence replaces each part that cannot be drawn; these sentences are returned too.

    Raises DependencyError without matplotlib, CheckpointError when there is neither a checkpoint nor a score.
    """
    new_figure(1, 1)  # raises now without matplotlib
    scores = sorted(read_scores(run_folder(params.results_dir, params)), key=lambda row: int(row["learner_step"]))
    loaded: LoadedCheckpoint | None = None
    notes: list[str] = []
    try:
        loaded = load_checkpoint(params)
        notes += loaded.notes
    except CheckpointError as error:
        if not scores:
            raise
        notes.append(str(error))
    page = Page(f"{params.env}{f', run {params.run}' if params.run else ''}")
    logs = run_folder(params.log_dir, params)
    log, episodes = read_log(logs / "learner.csv"), read_log(logs / "agents.csv")
    _summary(page, params, loaded, scores)
    for note in notes:
        page.text(note)
    if loaded is not None:
        page.heading("Settings")
        _settings(page, loaded)

    page.heading("Learning curve")
    shared = _fields(PlotParams, params)
    notes += _draw(
        page,
        lambda: plots.curves(CurvesParams(**shared, runs=(SHIPPED if params.shipped else params.run,))),
        "Test score over learner steps with its 95 % interval",
    )
    if params.env in (new for new, _ in RENAMED.values()):
        page.text("Long runs are drawn over the original's curve. Its start states differ: compare its shape, not its height.")
    _training(page, episodes, log)
    page.heading("Scores")
    _scores(page, scores)
    if loaded is not None:
        own = _fields(RunPlotParams, params)
        page.heading("What it does")
        try:
            seed = recording_seed(params.env, None if params.random_seed == ReportParams.random_seed else params.random_seed)
            recording = episode_gif(loaded.env_spec.make, loaded, seed)
            caption = f"Learner step {loaded.learner_step:,}, seed {seed}. {PANEL}"
            page.picture(recording, "gif", f"Recording of an episode of {params.env}", caption)
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
    wide = png(drawing.figure)
    narrow = _narrowed(drawing.figure) if drawing.narrow is None else drawing.narrow()
    page.picture(wide, "png", alt, narrow=png(narrow))
    for note in drawing.notes:
        page.text(note, warning=True)
    return drawing.notes


def _narrowed(figure: "Figure") -> "Figure":
    """A figure of one panel in the size of a narrow screen."""
    figure.set_size_inches(4.6, 4.0)
    for axes in figure.axes:
        axes.title.set_wrap(True)
    return figure


def _summary(page: Page, params: ReportParams, loaded: LoadedCheckpoint | None, scores: list[dict[str, str]]) -> None:
    run = read_run(run_folder(params.ckpt_dir, params))
    rows = [("run", f"{run.get('run_id', loaded.run_id if loaded else 'unknown')} ({run.get('status', 'no training here')})")]
    if loaded is not None:
        rows.append(("checkpoint", f"{loaded.path.name}, learner step {loaded.learner_step:,}"))
        if loaded.env_step != "":
            rows.append(("experience", f"{loaded.env_step:,} environment steps in {loaded.seconds / 60:.1f} minutes"))
        manifest = loaded.manifest
        if "command" in manifest:
            rows.append(("command", manifest["command"]))
        if "hardware" in manifest:
            machine = manifest["hardware"]
            rows.append(("hardware", f"{machine['cores']} cores, {machine['memory_gb']} GB of memory, {machine['platform']}"))
    if scores:
        last = scores[-1]
        rows.append(
            ("last score", f"{_number(last['mean'])} +/- {_number(last['sem'])} at learner step {last['learner_step']}")
        )
    page.table(rows)


def _scores(page: Page, scores: list[dict[str, str]]) -> None:
    if not scores:
        page.text("There are no scores yet; test_every_new_ckpt.py writes them.")
        return
    rows = []
    for row in scores[-SCORES:]:
        first, episodes = row["first_seed"], row["episodes"]
        seeds = f"seeds {first} to {int(first) + int(episodes) - 1}" if first.isdecimal() and episodes.isdecimal() else ""
        score = f"{_number(row['mean'])} +/- {_number(row['sem'])}"
        rows.append((row["learner_step"], score, _number(row["min"]), _number(row["max"]), episodes, row["starts"] or seeds))
    page.table(rows, ("learner step", "score", "min", "max", "episodes", "starts"))
    newest = f"The newest {SCORES} of {len(scores)} tests. " if len(scores) > SCORES else ""
    page.text(f"{newest}A score is the mean return of the episodes +/- its standard error.")


def _training(page: Page, episodes: dict[str, np.ndarray], log: dict[str, np.ndarray]) -> None:
    figure, narrow = draw_training(episodes, log), draw_training(episodes, log, narrow=True)
    if figure is None or narrow is None:
        page.text("There are no logs of this training, so its returns and losses are not shown.")
        return
    alt = "Returns of the training's episodes over environment steps, and losses over learner steps"
    page.picture(png(figure), "png", alt, narrow=png(narrow))


def _speed(page: Page, log: dict[str, np.ndarray]) -> None:
    if not len(log.get("seconds", ())):
        page.text("There is no learner.csv of this run.")
        return
    alt = "Learner steps and environment steps a second over the minutes of training"
    page.picture(png(draw_speed(log)), "png", alt, narrow=png(draw_speed(log, narrow=True)))
    seconds = max(float(log["seconds"][-1]), 1e-9)
    page.text(
        f"{log['learner_step'][-1]:,.0f} learner steps and {log['env_step'][-1]:,.0f} environment steps in "
        f"{seconds / 60:.1f} minutes: {log['learner_step'][-1] / seconds:.0f} and {log['env_step'][-1] / seconds:.0f} a second."
    )


def _settings(page: Page, loaded: LoadedCheckpoint) -> None:
    settings, versions = loaded.manifest.get("params", {}), loaded.manifest.get("versions", {})
    if not settings:
        page.text("This checkpoint does not record its parameters.")
        return
    defaults = recorded(TrainParams())
    differing = [name for name, value in settings.items() if value != defaults.get(name)]
    page.table([(name, settings[name], defaults.get(name, "")) for name in differing], ("parameter", "value", "default"))
    others = [(name, value) for name, value in settings.items() if name not in differing]
    page.table(others, ("parameter", "value"), folded=f"The {len(others)} parameters with their default value")
    if versions:
        page.text("Trained with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")


def _number(text: str) -> str:
    try:
        return f"{float(text):.2f}"
    except ValueError:
        return text
