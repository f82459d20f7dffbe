"""The drawings of plot.py: functions from its parameters to figures, also for use from Python."""

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent.analysis.animation import FPS, FRAMES_EACH, animate, scene
from agent.analysis.curves.curve import run_curve, run_scores
from agent.analysis.curves.learning_curves import learning_curves
from agent.analysis.plot_params import AnimationParams, CurvesParams, MapsParams, SupportParams
from agent.analysis.state_slice import (
    StateSlice,
    action_names,
    by_variation,
    observation_names,
    observation_slice,
    state_slice,
    two_dims,
)
from agent.analysis.support import CHECKPOINTS, draw_support, support_of, visited, warnings_of_log
from agent.analysis.value_maps import draw_maps, value_maps
from agent.config import run_folder
from agent.loading import LoadedCheckpoint, checkpoint_folder, load_checkpoint, load_series
from params import WatchParams
from utils.envs.environment import Environment
from utils.errors import ParameterError
from utils.logs import read_log
from utils.media.video import Gif, Mp4, Recording
from utils.storage.results import main_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.1  # on each side, as a share of the range that a policy visits
EPISODES = 3  # noise-free episodes that show which states the policy visits
UNBOUNDED = 1e6  # half the width of an observation space from which it counts as unbounded


class Drawing(NamedTuple):
    """A figure, sentences to print with it, and a function that draws it for a narrow screen."""

    figure: "Figure"
    notes: list[str]
    narrow: "Callable[[], Figure] | None" = None


def curves(params: CurvesParams) -> Drawing:
    """Test scores and training returns over the training. Raises CheckpointError without any data."""
    return Drawing(*learning_curves(params))


def maps(params: MapsParams) -> Drawing:
    """Value maps of one checkpoint. Raises CheckpointError without one, ParameterError for an invalid dimension."""
    loaded = load_checkpoint(params)
    with contextlib.closing(loaded.env_spec.make()) as env:
        plane, action = plane_of(params, env, loaded)
    found = value_maps(loaded.policy, loaded.critic, plane, action, params.action_dim, params.resolution)
    draw = functools.partial(draw_maps, found, f"{params.env}, learner step {loaded.learner_step:,}")
    return Drawing(draw(), loaded.notes, functools.partial(draw, narrow=True))


def support(params: SupportParams) -> Drawing:
    """Where the return distributions lie over the training. Raises CheckpointError without a checkpoint."""
    series = load_series(params, CHECKPOINTS)
    seeds = range(params.random_seed, params.random_seed + params.num_eps_play)
    log = read_log(run_folder(params.log_dir, params) / "learner.csv")
    found = support_of(series, series[-1].env_spec.make, seeds)
    bounds = found.atoms[-1, [0, -1]] / series[-1].critic.scaling.reward_scale
    warned = warnings_of_log(log, *bounds.tolist())
    draw = functools.partial(draw_support, found, log, f"{params.env}: support of the returns", warned)
    return Drawing(draw(), series[-1].notes + warned, functools.partial(draw, narrow=True))


def animation(params: AnimationParams, path: Path) -> tuple[Recording, list[str]]:
    """The maps over a run's checkpoints as a recording that is not saved yet, and sentences to print."""
    series = load_series(params, params.num_ckpts)
    with contextlib.closing(series[-1].env_spec.make()) as env:
        plane, action = plane_of(params, env, series[-1])
        shown = params.random_seed, plane, action, params.action_dim, params.resolution
        scenes = [scene(loaded, env, *shown) for loaded in series]
    scores = run_scores(run_folder(params.results_dir, params), checkpoint_folder(params))
    curve = run_curve("Test score", scores, main_kind(scores, WatchParams.random_seed))
    seconds = len(scenes) * FRAMES_EACH / FPS
    recording = (
        Mp4(path, FPS)
        if params.format == "mp4"
        else Gif(path, FPS, widest=960, seconds=seconds, most_bytes=10**8, one_palette=True)
    )
    for frame in animate(scenes, curve, params.env):
        recording.add(frame)
    return recording, series[-1].notes


def plane_of(params: MapsParams, env: Environment, loaded: LoadedCheckpoint) -> tuple[StateSlice, str]:
    """The plane of the maps, and the name of the action they show.

    For Pendulum these are angle and speed unless `params` names dimensions. Otherwise it spans two dimensions of the
    observation, over the range that the policy visits; by default those that vary most. Raises ParameterError for
    dimensions that the environment does not have.
    """
    _check(params.action_dim, env.action_size, "action_dim", env.id)
    action = action_names(env.id, env.action_size)[params.action_dim]
    plane = state_slice(env.id)
    if plane is not None and params.x_dim is params.y_dim is params.state is None:
        return plane, action
    for name in ("x_dim", "y_dim"):
        if getattr(params, name) is not None:
            _check(getattr(params, name), env.obs_size, name, env.id)
    if params.x_dim is not None and params.x_dim == params.y_dim:
        raise ParameterError(f"x_dim and y_dim must differ, got {params.x_dim} twice.")
    if params.state is not None and len(params.state) != env.obs_size:
        raise ParameterError(f"state has {len(params.state)} numbers, but an observation of {env.id} has {env.obs_size}.")
    seen, _ = visited(loaded, env, range(params.random_seed, params.random_seed + EPISODES))
    x, y = two_dims(params.x_dim, params.y_dim, by_variation(seen, observation_scale(env, loaded)))
    held = seen[0] if params.state is None else np.array(params.state, np.float32)
    low, high = seen.min(axis=0), seen.max(axis=0)
    room = np.where(high > low, MARGIN * (high - low), 1.0)
    return observation_slice(observation_names(env.id, env.obs_size), x, y, held, low - room, high + room), action


def observation_scale(env: Environment, loaded: LoadedCheckpoint) -> np.ndarray:
    """The unit [S] for comparing variation: half the width of the observation space.

    Without bounds it is obs_scale, the divisor of the observations for the networks.
    """
    space = env.env.observation_space
    low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)  # type: ignore[attr-defined]
    half = high / 2 - low / 2
    return np.where(half < UNBOUNDED, half, loaded.policy.scaling.obs_scale)


def _check(dim: int, size: int, name: str, env_id: str) -> None:
    if dim >= size:
        raise ParameterError(f"{name} must be less than {size} for {env_id}, got {dim}.")
