"""A panel under a picture: a distribution as bars with its mean, a score, and actions within their bounds. OpenCV draws."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np

HEIGHT = 0.34  # of the panel, as a share of its width
GAP = 4  # pixels between two pictures
# Colours that colour-blind people can tell apart (Okabe and Ito), red, green, blue.
INK, FAINT, PAPER = (40, 40, 40), (205, 205, 205), (255, 255, 255)
BLUE, VERMILION, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def with_panel(
    frame: np.ndarray,
    width: int,
    atoms: np.ndarray,
    probs: np.ndarray,
    score: float,
    action: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """A frame, uint8 [H, W, 3], scaled to `width` pixels, with the panel below it; uint8.

    `probs` [K] of the discounted returns `atoms` [K] become bars, their mean a line; `score` is the reward so far;
    `action` [A] is drawn between its bounds `low` and `high` [A].
    """
    picture = fit(frame, width)
    canvas = np.full((round(width * HEIGHT), width, 3), PAPER, np.uint8)
    unit = width / 320.0
    split = round(width * 0.64)
    _distribution(canvas[:, :split], atoms, probs, unit)
    _actions(canvas[:, split:], score, action, low, high, unit)
    return np.vstack([picture, canvas])


def with_title(frame: np.ndarray, text: str) -> np.ndarray:
    """A frame, uint8 [H, W, 3], with a line of text on a band of its own above it; uint8."""
    width = frame.shape[1]
    unit = width / 320.0
    band = np.full((round(20 * unit), width, 3), PAPER, np.uint8)
    _write(band, text, round(8 * unit), round(14 * unit), unit, INK)
    return np.vstack([band, frame])


def side_by_side(left: Iterator[np.ndarray], right: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames of one height in pairs, a gap between them; the side that ends first stays in its last frame."""
    last: list[np.ndarray | None] = [None, None]
    for pair in itertools.zip_longest(left, right):
        last = [now if now is not None else before for now, before in zip(pair, last, strict=True)]
        gap = np.full((last[0].shape[0], GAP, 3), PAPER, np.uint8)  # type: ignore[union-attr]
        yield np.hstack([last[0], gap, last[1]])  # type: ignore[list-item]


def fit(frame: np.ndarray, width: int) -> np.ndarray:
    """A frame scaled to `width` pixels, its shape kept; uint8."""
    height, before = frame.shape[:2]
    if before == width:
        return frame
    way = cv2.INTER_AREA if before > width else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, round(height * width / before)), interpolation=way)


def _distribution(area: np.ndarray, atoms: np.ndarray, probs: np.ndarray, unit: float) -> None:
    height, width = area.shape[:2]
    left, right, top, base = round(8 * unit), width - round(8 * unit), round(30 * unit), height - round(18 * unit)
    mean = float(probs @ atoms)
    _write(area, "discounted return ahead", left, round(12 * unit), unit, INK)
    _write(area, f"mean {_short(mean)}", left, round(25 * unit), unit, VERMILION)

    def place(value: float) -> float:
        return left + (value - atoms[0]) / (atoms[-1] - atoms[0]) * (right - left)

    cv2.line(area, (left, base), (right, base), FAINT, 1)
    slot = (right - left) / len(atoms)
    for i, share in enumerate(probs / probs.max()):
        x = left + i * slot
        corner = round(x + max(1.0, 0.8 * slot)) - 1
        cv2.rectangle(area, (round(x), base - round(float(share) * (base - top))), (corner, base), BLUE, cv2.FILLED)
    cv2.line(area, (round(place(mean)), top), (round(place(mean)), base), VERMILION, max(1, round(unit)))
    _write(area, _short(atoms[0]), left, height - round(6 * unit), unit, INK)
    _write(area, _short(atoms[-1]), right, height - round(6 * unit), unit, INK, to_the_left=True)


def _actions(area: np.ndarray, score: float, action: np.ndarray, low: np.ndarray, high: np.ndarray, unit: float) -> None:
    height, width = area.shape[:2]
    left, right, top = round(6 * unit), width - round(8 * unit), round(38 * unit)
    _write(area, f"so far {_short(score)}", left, round(12 * unit), unit, INK)
    _write(area, "action", left, top - round(6 * unit), unit, INK)
    room = (height - top - round(6 * unit)) / len(action)
    thickness = max(1, min(round(10 * unit), int(0.7 * room) - 1))
    for i, share in enumerate((action - low) / (high - low)):
        y = round(top + i * room)
        rest = float(np.clip(-low[i] / (high[i] - low[i]), 0.0, 1.0))  # where the action 0 lies, or the nearer bound
        ends = sorted(round(left + part * (right - left)) for part in (rest, float(share)))
        cv2.rectangle(area, (left, y), (right, y + thickness), FAINT, 1)
        cv2.rectangle(area, (ends[0], y), (ends[1], y + thickness), GREEN, cv2.FILLED)
    if len(action) == 1:
        below = top + thickness + round(13 * unit)
        _write(area, _short(float(low[0])), left, below, unit, INK)
        _write(area, _short(float(high[0])), right, below, unit, INK, to_the_left=True)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"


def _write(
    area: np.ndarray, text: str, x: int, y: int, unit: float, colour: tuple[int, int, int], to_the_left: bool = False
) -> None:
    scale, thickness = 0.38 * unit, max(1, round(0.8 * unit))
    if to_the_left:
        x -= cv2.getTextSize(text, _FONT, scale, thickness)[0][0]
    cv2.putText(area, text, (x, y), _FONT, scale, colour, thickness, cv2.LINE_AA)
