"""Figures by matplotlib, drawn into memory: no screen, no global state."""

import io
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure  # loaded by new_figure, which explains how to install it

DPI = 100  # a figure nine inches wide has 900 pixels, about the width of a README
# Colours for colour-blind readers (Okabe and Ito); those with the most contrast on white come first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, FAINT = "#282828", "#8C8C8C"


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure; sizes in inches. Raises DependencyError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(f"drawing needs matplotlib ({error}): pip install matplotlib.") from None
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: "Axes") -> None:
    """A faint grid behind the data, and no frame above and to the right."""
    axes.grid(color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def thousands(value: float) -> str:
    """A count as an axis shows it: 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def png(figure: "Figure") -> bytes:
    """The figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def pixels(figure: "Figure") -> np.ndarray:
    """The figure's canvas as last drawn, uint8 [H, W, 3]."""
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[attr-defined]
