"""An animation of the value maps of a run's checkpoints, with the scores and one episode of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.analysis.curves.curve import Curve
from agent.analysis.state_slice import StateSlice
from agent.analysis.value_maps import LAYERS, Maps, blank, draw_layer, value_maps
from agent.evaluation import play
from agent.loading import LoadedCheckpoint
from utils.envs.environment import Environment
from utils.media.figures import COLOURS, FAINT, INK, new_figure, pixels, thousands, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FRAMES_EACH = 8  # of a checkpoint: each frame shows more of its episode
FPS = 12.0
PATHS = ("policy_value", "policy")  # the maps over which the episode's path is drawn


@dataclass(frozen=True)
class Scene:
    """One checkpoint: its maps, and an episode as its path in the plane (x, y [n]) and the reward so far [n]."""

    learner_step: int
    maps: Maps
    path: tuple[np.ndarray, np.ndarray]
    rewards: np.ndarray


def scene(
    loaded: LoadedCheckpoint, env: Environment, seed: int, plane: StateSlice, action: str, action_dim: int, resolution: int
) -> Scene:
    """Play an episode and compute the maps."""
    steps = list(play(loaded.policy, env, seed))
    x, y = (np.array(part, float) for part in plane.locate(np.array([step.obs for step, _ in steps])))
    jumps = np.flatnonzero(np.abs(np.diff(x)) > (plane.x.high - plane.x.low) / 2)  # an angle that wraps around
    x[jumps] = np.nan
    maps = value_maps(loaded.policy, loaded.critic, plane, action, action_dim, resolution)
    return Scene(loaded.learner_step, maps, (x, y), np.array([score for _, score in steps]))


def animate(scenes: Sequence[Scene], curve: Curve, title: str) -> Iterator[np.ndarray]:
    """The frames, uint8 [H, W, 3]: FRAMES_EACH for each scene, all with the same colour scales.

    `curve` holds the scores by learner step; if it is empty, the returns of the shown episodes replace it.
    Raises DependencyError without matplotlib.
    """
    if not len(curve.x):
        steps = np.array([scene.learner_step for scene in scenes], float)
        returns = np.array([scene.rewards[-1] for scene in scenes])
        curve = Curve("Return of the episode shown", steps, steps, returns, 0 * steps)
    figure = new_figure(9.6, 7.6)
    panels = figure.subplots(3, 3).ravel()
    places = dict(zip(LAYERS, panels, strict=False))
    for name in LAYERS.keys() - scenes[0].maps.layers.keys():
        blank(places.pop(name), name)
    limits = {name: _common([scene.maps.limits(name) for scene in scenes]) for name in places}
    images = {name: draw_layer(axes, scenes[0].maps, name, limits[name]) for name, axes in places.items()}
    paths = {axes: _path_line(axes) for name, axes in places.items() if name in PATHS}
    score_line, step_line = _score_panel(panels[-2], curve)
    reward_line = _reward_panel(panels[-1], scenes)
    moving = [*paths.items(), (panels[-1], reward_line)]
    for scene in scenes:
        for name, image in images.items():
            image.set_data(scene.maps.layers[name])
        figure.suptitle(f"{title}, learner step {scene.learner_step:,}", fontsize=12)
        so_far = curve.x <= scene.learner_step
        score_line.set_data(curve.x[so_far], curve.mean[so_far])
        step_line.set_xdata([scene.learner_step] * 2)
        yield from _growing(figure, moving, scene)


def _growing(figure: Any, moving: list[tuple["Axes", "Line2D"]], scene: Scene) -> Iterator[np.ndarray]:
    # Only the lines are drawn again: drawing all of the figure takes about ten times as long.
    canvas = figure.canvas
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for end in np.linspace(0, len(scene.rewards), FRAMES_EACH + 1)[1:].round().astype(int):
        canvas.restore_region(still)
        for axes, line in moving[:-1]:
            line.set_data(scene.path[0][:end], scene.path[1][:end])
            axes.draw_artist(line)
        axes, line = moving[-1]
        line.set_data(np.arange(1, end + 1), scene.rewards[:end])
        axes.draw_artist(line)
        yield pixels(figure)


def _path_line(axes: "Axes") -> "Line2D":
    from matplotlib.patheffects import withStroke

    outlined = [withStroke(linewidth=3.2, foreground="white")]  # visible on every colour of a map
    return axes.plot([], [], color=INK, linewidth=1.4, animated=True, path_effects=outlined)[0]


def _common(limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    low, high = zip(*limits, strict=True)
    return min(low), max(high)


def _score_panel(axes: "Axes", curve: Curve) -> tuple["Line2D", "Line2D"]:
    tidy(axes)
    axes.plot(curve.x, curve.mean, color=FAINT, linewidth=1, alpha=0.5)
    (line,) = axes.plot([], [], color=COLOURS[0], marker="o", markersize=4, linewidth=1.6)
    now = axes.axvline(curve.x[0], color=INK, linewidth=0.8)
    axes.set_title(curve.label, fontsize=10)
    axes.set_xlabel("learner steps", fontsize=8)
    axes.set_ylabel("mean return of an episode", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    return line, now


def _reward_panel(axes: "Axes", scenes: Sequence[Scene]) -> "Line2D":
    (line,) = axes.plot([], [], color=INK, linewidth=1.4, animated=True)
    tidy(axes)
    low, high = min(scene.rewards.min() for scene in scenes), max(scene.rewards.max() for scene in scenes)
    room = 0.05 * (high - low) or 0.5
    axes.set_xlim(0, max(len(scene.rewards) for scene in scenes))
    axes.set_ylim(low - room, high + room)
    axes.set_title("The episode drawn in the maps", fontsize=10)
    axes.set_xlabel("environment steps", fontsize=8)
    axes.set_ylabel("reward so far", fontsize=8)
    axes.tick_params(labelsize=8)
    return line
