"""Value maps: the outputs of actor and critic of one checkpoint over a plane of states."""

import itertools
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agent.analysis.state_slice import StateSlice
from agent.policy import Critic, Policy
from utils.media.figures import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

AT_ONCE = 8192  # pairs of a state and an action in one call of the critic: about 25 MB
ACTIONS = 125  # tried in each state, at most
LEVELS = 21  # tried along a single action dimension
STEP = 0.01  # of the gradient's central difference, as a share of the action's range

# name: (title, unit, colour map, whether 0 is its middle). The unit "action" is replaced by the action's name.
LAYERS: dict[str, tuple[str, str, str, bool]] = {
    "policy_value": ("Q of the policy's action", "return", "viridis", False),
    "best_value": ("Q of the best action", "return", "viridis", False),
    "value_spread": ("Q of the best less the worst action", "return", "cividis", False),
    "return_deviation": ("Standard deviation of the return", "return", "cividis", False),
    "policy": ("The policy", "action", "PuOr", True),
    "best_action": ("Action of the best Q", "action", "PuOr", True),
    "gradient": ("Gradient of Q by the action", "return / action", "PuOr", True),
}


@dataclass(frozen=True)
class Maps:
    """The LAYERS by name, each float [resolution, resolution]: rows along y from the lowest, columns along x.

    Values are discounted returns in raw reward units. Actions are of one dimension, within `bounds`.
    """

    plane: StateSlice
    action: str  # name of the action's dimension
    bounds: tuple[float, float]
    layers: dict[str, np.ndarray]

    def limits(self, name: str) -> tuple[float, float]:
        """The least and greatest value of a layer's colours."""
        layer = self.layers[name]
        if name in ("policy", "best_action"):
            return self.bounds
        low, high = float(layer.min()), float(layer.max())
        if LAYERS[name][3]:
            high = float(np.quantile(np.abs(layer), 0.99))  # a few extreme values would leave the rest pale
            low = -high
        return (low, high) if low < high else (low - 0.5, high + 0.5)


def value_maps(
    policy: Policy, critic: Critic, plane: StateSlice, action: str, action_dim: int = 0, resolution: int = 81
) -> Maps:
    """Evaluate the policy and the critic in every state of a grid, the critic also for a grid of actions."""
    obs = plane.grid(resolution)  # [n, S]
    tried = action_grid(critic)  # [m, A]
    at_once = max(1, AT_ONCE // len(tried))
    parts = [_layers(policy, critic, obs[i : i + at_once], tried, action_dim) for i in range(0, len(obs), at_once)]
    layers = {name: np.concatenate([part[name] for part in parts]).reshape(resolution, resolution) for name in parts[0]}
    bounds = float(critic.scaling.action_low[action_dim]), float(critic.scaling.action_high[action_dim])
    return Maps(plane, action, bounds, layers)


def _layers(policy: Policy, critic: Critic, obs: np.ndarray, tried: np.ndarray, action_dim: int) -> dict[str, np.ndarray]:
    """The LAYERS, each [n], for states `obs` [n, S] and the actions `tried` [m, A] in each of them.

    Without the deviation for a scalar critic, which has no distribution.
    """
    chosen = policy.act(obs)  # [n, A]
    value, probs = critic.value(obs, chosen), critic.distribution(obs, chosen)  # [n], [n, K]
    deviation = {}
    if probs is not None and critic.atoms is not None:
        deviation["return_deviation"] = np.sqrt((probs * (critic.atoms - value[:, None]) ** 2).sum(axis=1))
    each = critic.value(np.repeat(obs, len(tried), axis=0), np.tile(tried, (len(obs), 1)))
    values = np.column_stack([each.reshape(len(obs), len(tried)), value])  # [n, m + 1], the policy's action last
    best = values.argmax(axis=1)
    actions = np.column_stack([np.tile(tried[:, action_dim], (len(obs), 1)), chosen[:, action_dim]])  # [n, m + 1]
    shift = np.zeros(chosen.shape[1], np.float32)
    shift[action_dim] = STEP * (critic.scaling.action_high - critic.scaling.action_low)[action_dim]
    return {
        "policy_value": value,
        "best_value": values.max(axis=1),
        "value_spread": np.ptp(values, axis=1),
        **deviation,
        "policy": chosen[:, action_dim],
        "best_action": np.take_along_axis(actions, best[:, None], axis=1)[:, 0],
        "gradient": (critic.value(obs, chosen + shift) - critic.value(obs, chosen - shift)) / (2.0 * shift[action_dim]),
    }


def action_grid(critic: Critic) -> np.ndarray:
    """Actions [m, A] over the bounds, m at most ACTIONS: a grid, or a fixed random sample in high dimensions."""
    scaling = critic.scaling
    size = len(scaling.action_low)
    levels = min(LEVELS, int(ACTIONS ** (1.0 / size) + 1e-9))
    if levels >= 2:
        unit = np.array(list(itertools.product(np.linspace(-1.0, 1.0, levels), repeat=size)), np.float32)
    else:
        unit = np.random.default_rng(0).uniform(-1.0, 1.0, (ACTIONS, size)).astype(np.float32)
    return scaling.to_bounds(unit)


def draw_layer(axes: "Axes", maps: Maps, name: str, limits: tuple[float, float]) -> "AxesImage":
    """One map with its title, colour bar, units and the names of the dimensions; returns its image."""
    title, unit, colours, _ = LAYERS[name]
    image = axes.imshow(
        maps.layers[name],
        extent=maps.plane.extent,
        origin="lower",
        aspect="auto",
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
    )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(maps.plane.x.name, fontsize=8)
    axes.set_ylabel(maps.plane.y.name, fontsize=8)
    axes.tick_params(labelsize=8)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.08, pad=0.03)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(unit.replace("action", maps.action), fontsize=8)
    return image


def blank(axes: "Axes", name: str) -> None:
    """Words in the place of a map that a scalar critic does not have."""
    axes.axis("off")
    words = f"{LAYERS[name][0]}:\na scalar critic has\nno distribution"
    axes.text(0.5, 0.5, words, fontsize=9, color=INK, ha="center", va="center")


def draw_maps(maps: Maps, title: str, narrow: bool = False) -> "Figure":
    """All maps of a checkpoint in one figure; `narrow` is for a narrow screen. Raises DependencyError without matplotlib."""
    figure = new_figure(5.2, 10.4) if narrow else new_figure(9.6, 7.6)
    panels = figure.subplots(*(4, 2) if narrow else (3, 3)).ravel()
    for axes, name in zip(panels, LAYERS, strict=False):
        if name not in maps.layers:
            blank(axes, name)
            continue
        draw_layer(axes, maps, name, maps.limits(name))
        axes.title.set_fontsize(8.5 if narrow else 10)
    for axes in panels[len(LAYERS) :]:
        axes.axis("off")
    figure.suptitle(title, fontsize=12)
    words = panels[len(LAYERS)].text(
        0.0, 1.0, _legend(maps, 28 if narrow else 58), fontsize=9, color=INK, va="top", linespacing=1.5
    )
    words.set_in_layout(False)  # it spans two panels
    return figure


def _legend(maps: Maps, columns: int) -> str:
    sentences = (
        "Return: the discounted sum of the rewards to come, as the critic expects it.",
        f"Actions shown: {maps.action}, {maps.bounds[0]:g} to {maps.bounds[1]:g}.",
        "Best and worst are of the actions tried in each state, the policy's among them.",
        maps.plane.held and f"The other dimensions are {maps.plane.held}.",
    )
    return "\n".join(line for sentence in sentences for line in textwrap.wrap(sentence, columns))
