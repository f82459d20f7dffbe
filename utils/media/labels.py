"""Text on a picture in Pillow's default font. A label that would touch another one is left out."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 3  # pixels between two labels, at least
SMALLEST = 7  # pixels: smaller letters cannot be read

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


class Labels:
    """Draws text on a copy of a picture, uint8 [H, W, 3]. `boxes` holds the bounds of each label drawn so far."""

    def __init__(self, picture: np.ndarray):
        self._image = Image.fromarray(picture)
        self._draw = ImageDraw.Draw(self._image)
        self.boxes: list[Box] = []

    def write(
        self,
        text: str,
        x: float,
        y: float,
        size: float,
        colour: tuple[int, int, int],
        align: str = "left",
        room: float = np.inf,
    ) -> bool:
        """Draw `text` on the baseline `y`; with `align`, `x` is its left end, middle or right end.

        Text wider than `room` pixels is drawn smaller. Draws nothing and returns False if the text would touch another
        label or the edge of the picture.
        """
        anchor = {"left": "ls", "middle": "ms", "right": "rs"}[align]
        while size > SMALLEST and self._draw.textlength(text, _font(size)) > room:
            size -= 1
        box = self._draw.textbbox((x, y), text, _font(size), anchor)
        width, height = self._image.size
        inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
        if not inside or any(_touch(box, other) for other in self.boxes):
            return False
        self._draw.text((x, y), text, colour, _font(size), anchor)
        self.boxes.append(box)
        return True

    def picture(self) -> np.ndarray:
        """The picture with its labels, uint8 [H, W, 3]."""
        return np.array(self._image)


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(SMALLEST, round(size)))


def _touch(one: Box, other: Box) -> bool:
    beside = one[2] + GAP <= other[0] or other[2] + GAP <= one[0]
    above = one[3] <= other[1] or other[3] <= one[1]
    return not beside and not above
