"""The drawings of a run, from the parameters that plot.py takes: each a function that serves from Python too."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent.animation import FPS, FRAMES_EACH, animate, scene
from agent.choice import Choice, choose, choose_series
from agent.environment import env_spec
from agent.maps import draw_maps, value_maps
from agent.support import CHECKPOINTS, draw_support, support_of, visited, warnings_of_log
from params import (
    HERE,
    RENAMED,
    AnimationParams,
    CurvesParams,
    MapsParams,
    PlotParams,
    RunPlotParams,
    SupportParams,
    run_folder,
)
from utils.curves import draw_curves, mean_curve, published_curve, run_curve
from utils.envs import Environment
from utils.errors import ParameterError
from utils.metrics import read_log
from utils.planes import Plane, action_names, observation_names, observed_plane, state_plane
from utils.video import Film, Gif, Mp4

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = HERE / "data" / "original_learning_curves.csv"
MARGIN = 0.1  # of the range that a policy visits, on either side of it


class Drawing(NamedTuple):
    """A figure, and sentences a person should see beside it."""

    figure: "Figure"
    notes: list[str]


def curves(params: CurvesParams) -> Drawing:
    """Test scores over the training. Raises ParameterError when there is nothing to draw."""
    drawn, notes = [], []
    shared = {field.name: getattr(params, field.name) for field in dataclasses.fields(PlotParams)}
    for name in params.runs:
        own = RunPlotParams(**shared, run=name)
        results = run_folder(params.results_dir, own)
        curve = run_curve(name or "this run", results, run_folder(params.ckpt_dir, own), params.x, params.starts or "")
        if len(curve.x):
            drawn.append(curve)
        else:
            notes.append(f"{results} has no scores by {params.x} to draw; test_every_new_ckpt.py makes them.")
    if params.mean and len(drawn) > 1:
        drawn = [mean_curve(drawn)]
        if not len(drawn[0].x):
            raise ParameterError("these runs have no learner step in common of which all have a score, so there is no mean.")
    published = None
    if params.original and params.x == "learner_step":
        original = next((old for old, (new, _) in RENAMED.items() if new == params.env), params.env)
        published = published_curve(PUBLISHED, original, "msinto93/D4PG, one run as published")
    if not drawn and published is None:
        raise ParameterError(" ".join(notes))
    solved = params.solved if params.solved is not None else _solved(RunPlotParams(**shared))
    return Drawing(draw_curves(drawn, f"{params.env}: test score", params.x, published, solved), notes)


def maps(params: MapsParams) -> Drawing:
    """Value maps of one checkpoint. Raises CheckpointError without one, ParameterError for a dimension that is none."""
    choice = choose(params, env_spec(params).make())
    env = choice.env_spec.make()
    plane, action = plane_of(params, env, choice)
    found = value_maps(choice.policy, choice.critic, plane, action, params.action_dim, params.resolution)
    return Drawing(draw_maps(found, f"{params.env}, learner step {choice.learner_step:,}"), choice.notes)


def support(params: SupportParams) -> Drawing:
    """Where the return distributions lie over the training. Raises CheckpointError without a checkpoint."""
    choices = choose_series(params, env_spec(params).make(), CHECKPOINTS)
    seeds = range(params.random_seed, params.random_seed + params.num_eps_play)
    log = read_log(run_folder(params.log_dir, params) / "learner.csv")
    critic = choices[-1].critic
    trained = choices[-1].manifest.get("params", {})
    total = trained.get("num_steps_train", choices[-1].learner_step)
    bounds = (float(edge) / critic.scaling.reward_scale for edge in (critic.atoms[0], critic.atoms[-1]))
    warned = warnings_of_log(log, total, *bounds)
    figure = draw_support(
        support_of(choices, choices[-1].env_spec.make, seeds), log, f"{params.env}: support of the returns", warned
    )
    return Drawing(figure, choices[-1].notes + warned)


def animation(params: AnimationParams, path: Path) -> tuple[Film, list[str]]:
    """The maps over a run's checkpoints as a film, not saved yet, and sentences beside it."""
    choices = choose_series(params, env_spec(params).make(), params.num_ckpts)
    env = choices[-1].env_spec.make()
    plane, action = plane_of(params, env, choices[-1])
    scenes = [scene(choice, env, params.random_seed, plane, action, params.action_dim, params.resolution) for choice in choices]
    curve = run_curve("Test score", run_folder(params.results_dir, params), run_folder(params.ckpt_dir, params))
    seconds = len(scenes) * FRAMES_EACH / FPS
    film = (
        Mp4(path, FPS)
        if params.format == "mp4"
        else Gif(path, FPS, widest=960, seconds=seconds, most_bytes=10**8, one_palette=True)
    )
    for frame in animate(scenes, curve, params.env):
        film.add(frame)
    return film, choices[-1].notes


def plane_of(params: MapsParams, env: Environment, choice: Choice) -> tuple[Plane, str]:
    """The plane that the maps are drawn over, and the name of the action they show.

    Pendulum's angle and speed unless dimensions are named; for other environments two dimensions of the observation,
    over the range that the policy visits. Raises ParameterError for dimensions that the environment has not.
    """
    _check(params.action_dim, env.action_size, "action_dim", env.id)
    action = action_names(env.id, env.action_size)[params.action_dim]
    plane = state_plane(env.id)
    if plane is not None and params.x_dim is params.y_dim is params.state is None:
        return plane, action
    x = params.x_dim if params.x_dim is not None else int(params.y_dim == 0)
    y = params.y_dim if params.y_dim is not None else int(x == 0)
    _check(x, env.obs_size, "x_dim", env.id)
    _check(y, env.obs_size, "y_dim", env.id)
    if x == y:
        raise ParameterError(f"x_dim and y_dim must differ, got {x} twice.")
    if params.state is not None and len(params.state) != env.obs_size:
        raise ParameterError(f"state has {len(params.state)} numbers, but an observation of {env.id} has {env.obs_size}.")
    seen, _ = visited(choice, env, range(params.random_seed, params.random_seed + 3))
    held = seen[0] if params.state is None else np.array(params.state, np.float32)
    low, high = seen.min(axis=0), seen.max(axis=0)
    room = np.where(high > low, MARGIN * (high - low), 1.0)
    return observed_plane(observation_names(env.id, env.obs_size), x, y, held, low - room, high + room), action


def _check(dim: int, size: int, name: str, env_id: str) -> None:
    if dim >= size:
        raise ParameterError(f"{name} must be less than {size} for {env_id}, got {dim}.")


def _solved(params: RunPlotParams) -> float | None:
    spec = env_spec(params).make().unwrapped.spec
    return spec.reward_threshold if spec is not None else None
