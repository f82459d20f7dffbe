"""A panel below a picture: the return distribution as bars with its mean, the reward so far, and the action. OpenCV draws."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np

from utils.media.labels import Labels

HEIGHT = 0.34  # of the panel, as a share of its width
GAP = 4  # pixels between two pictures
TAIL = 0.005  # share of the mass outside `mass_window` on each side
FEWEST = 8  # atoms in a window, at least
# Colours for colour-blind readers (Okabe and Ito): red, green, blue.
INK, FAINT, PAPER = (40, 40, 40), (205, 205, 205), (255, 255, 255)
BLUE, VERMILION, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)
_LETTERS = 12  # pixels, in a panel 320 pixels wide


def with_panel(
    frame: np.ndarray,
    width: int,
    bars: tuple[np.ndarray, np.ndarray] | None,
    mean: float,
    score: float,
    action: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    window: tuple[float, float] | None = None,
) -> np.ndarray:
    """A frame, uint8 [H, W, 3], scaled to `width` pixels, with the panel below it; uint8.

    `bars` are discounted returns [K] and their probabilities [K], None where there is no distribution. `mean` becomes a line.
    The axis shows the returns of `window`; without one those of the bars, or what is near the mean.
    `score` is the reward so far; `action` [A] is drawn between `low` and `high` [A].
    """
    picture = fit(frame, width)
    canvas = np.full((round(width * HEIGHT), width, 3), PAPER, np.uint8)
    unit = width / 320.0
    split = round(width * 0.64)
    if window is None or window[0] == window[1]:
        window = (mean - 1.0, mean + 1.0) if bars is None else (float(bars[0][0]), float(bars[0][-1]))
    ticks = _distribution(canvas[:, :split], bars, mean, window, unit)
    ticks += [(text, x + split, y, align) for text, x, y, align in _actions(canvas[:, split:], action, low, high, unit)]
    labels = Labels(canvas)
    left, right = round(8 * unit), split + round(6 * unit)
    for text, x, y, colour, room in (
        ("discounted return ahead", left, 12, INK, right - left),
        (f"mean {_rounded(mean)}", left, 26, VERMILION, right - left),
        (f"so far {_rounded(score)}", right, 12, INK, width - right),
        ("action", right, 32, INK, width - right),
    ):
        labels.write(text, x, round(y * unit), _LETTERS * unit, colour, room=room)
    for text, x, y, align in ticks:  # the ends of an axis first: a zero that overlaps one of them is left out
        labels.write(text, x, y, _LETTERS * unit, INK, align)
    return np.vstack([picture, labels.picture()])


def with_title(frame: np.ndarray, text: str) -> np.ndarray:
    """A frame, uint8 [H, W, 3], with a line of text on a band above it; uint8."""
    width = frame.shape[1]
    unit = width / 320.0
    labels = Labels(np.full((round(20 * unit), width, 3), PAPER, np.uint8))
    labels.write(text, round(8 * unit), round(14 * unit), _LETTERS * unit, INK, room=width - 8 * unit)
    return np.vstack([labels.picture(), frame])


def mass_window(atoms: np.ndarray, probs: np.ndarray) -> tuple[float, float]:
    """The range of returns that holds the mass of every row of `probs` [n, K], except TAIL on each side.

    One atom is added on each side. The window spans at least FEWEST atoms, and never leaves the support `atoms` [K].
    """
    below, last_atom = probs.cumsum(axis=1), len(atoms) - 1
    total = below[:, -1:]
    first = max(0, int((below > TAIL * total).argmax(axis=1).min()) - 1)
    last = min(last_atom, int((below >= (1.0 - TAIL) * total).argmax(axis=1).max()) + 1)
    span = max(last - first, min(FEWEST - 1, last_atom))
    first = min(max(0, first - (span - (last - first)) // 2), last_atom - span)
    return float(atoms[first]), float(atoms[first + span])


def side_by_side(left: Iterator[np.ndarray], right: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames of equal height in pairs, with a gap. The shorter side repeats its last frame."""
    last: list[np.ndarray | None] = [None, None]
    for pair in itertools.zip_longest(left, right):
        last = [now if now is not None else before for now, before in zip(pair, last, strict=True)]
        gap = np.full((last[0].shape[0], GAP, 3), PAPER, np.uint8)  # type: ignore[union-attr]
        yield np.hstack([last[0], gap, last[1]])  # type: ignore[list-item]


def fit(frame: np.ndarray, width: int) -> np.ndarray:
    """A frame scaled to `width` pixels with its aspect ratio; uint8."""
    height, before = frame.shape[:2]
    if before == width:
        return frame
    way = cv2.INTER_AREA if before > width else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, round(height * width / before)), interpolation=way)


_Tick = tuple[str, int, int, str]  # text, x, baseline, alignment


def _distribution(
    area: np.ndarray,
    bars: tuple[np.ndarray, np.ndarray] | None,
    mean: float,
    window: tuple[float, float],
    unit: float,
) -> list[_Tick]:
    """Draw the bars and the line of the mean; returns the labels of the axis."""
    atoms, probs = bars or (np.linspace(*window, 51), np.zeros(51))
    height, width = area.shape[:2]
    left, right, top, base = round(8 * unit), width - round(8 * unit), round(32 * unit), height - round(19 * unit)
    gap = float(atoms[1] - atoms[0])
    low, high = window[0] - gap / 2, window[1] + gap / 2

    def place(value: float) -> float:
        return left + (float(np.clip(value, low, high)) - low) / (high - low) * (right - left)

    cv2.line(area, (left, base), (right, base), FAINT, 1)
    for atom, share in zip(atoms, probs / (probs.max() or 1.0), strict=True):
        if bars and window[0] - gap / 4 <= atom <= window[1] + gap / 4:
            begin, end = place(atom - 0.4 * gap), place(atom + 0.4 * gap)
            corner = (max(round(begin), round(end) - 1), base)
            cv2.rectangle(area, (round(begin), base - round(float(share) * (base - top))), corner, BLUE, cv2.FILLED)
    cv2.line(area, (round(place(mean)), top), (round(place(mean)), base), VERMILION, max(1, round(unit)))
    baseline = height - round(5 * unit)
    ticks = [(_end(window[0]), left, baseline, "left"), (_end(window[1]), right, baseline, "right")]
    if window[0] < 0.0 < window[1]:
        zero = round(place(0.0))
        cv2.line(area, (zero, base), (zero, base + round(3 * unit)), INK, 1)
        ticks.append(("0", zero, baseline, "middle"))
    return ticks


def _actions(area: np.ndarray, action: np.ndarray, low: np.ndarray, high: np.ndarray, unit: float) -> list[_Tick]:
    """Draw a bar for each action, from 0 or the nearer bound, and a mark at 0. Returns labels for a single action."""
    height, width = area.shape[:2]
    left, right, top = round(6 * unit), width - round(8 * unit), round(39 * unit)
    room = (height - top - round(6 * unit)) / len(action)
    thickness = max(1, min(round(10 * unit), int(0.7 * room) - 1))
    beyond = max(0, min(round(2 * unit), int(room) - thickness - 2))  # pixels of a mark outside its bar

    def place(share: float) -> int:
        return round(left + share * (right - left))

    for i, share in enumerate((action - low) / (high - low)):
        y = round(top + i * room)
        zero = float(-low[i] / (high[i] - low[i]))
        ends = sorted((place(float(np.clip(zero, 0.0, 1.0))), place(float(share))))
        cv2.rectangle(area, (left, y), (right, y + thickness), FAINT, 1)
        cv2.rectangle(area, (ends[0], y), (ends[1], y + thickness), GREEN, cv2.FILLED)
        if 0.0 < zero < 1.0:
            cv2.line(area, (place(zero), y - beyond), (place(zero), y + thickness + beyond), INK, max(1, round(unit)))
    if len(action) > 1:
        return []
    below = top + thickness + round(15 * unit)
    ticks = [(_end(float(low[0])), left, below, "left"), (_end(float(high[0])), right, below, "right")]
    zero = float(-low[0] / (high[0] - low[0]))
    return [*ticks, ("0", place(zero), below, "middle")] if 0.0 < zero < 1.0 else ticks


def _rounded(value: float) -> str:
    text = f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"
    return "0.0" if text == "-0.0" else text


def _end(value: float) -> str:
    """The label at the end of an axis, with three significant digits."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value + 0.0:.3g}"
