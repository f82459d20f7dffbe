"""Recordings of episodes: GIFs small enough for a README, MP4s in full size."""

import contextlib
import io
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import imageio.v2 as imageio_v2
import imageio.v3 as imageio
import numpy as np
from PIL import Image

from utils.errors import DependencyError, StorageError
from utils.media.overlay import fit
from utils.storage.files import partial_path, write_file

GIF_WIDTH = 320  # pixels
GIF_SECONDS = 10.0
GIF_BYTES = 1_000_000
HOLD = 1.5  # seconds of the last frame of a GIF, before it repeats
SHORTEST = 0.02  # seconds of a frame; browsers show a shorter frame for 0.1 seconds
_LOST_BITS = (0, 2, 4)  # low bits of each colour to drop, until the file is small enough


class Recording(Protocol):
    """Records the frames of one episode, uint8 [H, W, 3], at the frame rate of the environment."""

    path: Path

    def width(self, frame: np.ndarray) -> int:
        """The width of a frame in the recording, in pixels."""
        ...

    def add(self, frame: np.ndarray) -> None:
        """Add a frame."""
        ...

    def wants_more(self) -> bool:
        """Whether a later frame would be used."""
        ...

    def save(self) -> None:
        """Write the file. Raises StorageError."""
        ...

    def close(self) -> None:
        """Discard a recording that was not saved. A saved file is kept."""
        ...


class Gif:
    """A GIF of the first seconds in real time, limited in width and bytes, with 12 to 25 frames a second.

    It always ends with the last added frame, shown for HOLD seconds.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        widest: int = GIF_WIDTH,
        seconds: float = GIF_SECONDS,
        most_bytes: int = GIF_BYTES,
        one_palette: bool = False,
    ):
        """With `one_palette` all frames share 256 colours, so that equal values keep equal colours."""
        self.path = path
        self._fps, self._widest, self._seconds, self._most_bytes = fps, widest, seconds, most_bytes
        self._stride = math.ceil(fps / 25.0)
        self._one_palette = one_palette
        self._count = 0
        self._frames: list[np.ndarray] = []
        self._times: list[float] = []  # of the frames, in seconds
        self._last: np.ndarray | None = None  # the newest frame, if the stride skipped it

    def width(self, frame: np.ndarray) -> int:
        """The width of the recording, or of a smaller frame."""
        return min(self._widest, frame.shape[1])

    def add(self, frame: np.ndarray) -> None:
        """Add a frame; frames between the strides are dropped."""
        if not self.wants_more():
            return
        picture = fit(frame, self.width(frame))
        if self._count % self._stride == 0:
            self._frames.append(picture)
            self._times.append(self._count / self._fps)
            self._last = None
        else:
            self._last = picture
        self._count += 1

    def wants_more(self) -> bool:
        """Whether a later frame would be used."""
        return self._count < self._seconds * self._fps

    def save(self) -> None:
        """Write the file. Raises StorageError."""
        write_file(self.path, self.content())

    def content(self) -> bytes:
        """The content of the file."""
        frames, times = self._ending()
        if self._one_palette:
            frames = _in_one_palette(frames)
        end, stride = self._count / self._fps, self._stride
        for lost_bits in _LOST_BITS:
            content = _gif(frames, times, end, lost_bits)
            if len(content) <= self._most_bytes:
                break
        while len(content) > self._most_bytes and len(frames) > 1:
            if self._fps / (2 * stride) >= 12.0:
                stride *= 2
                kept = sorted({*range(0, len(frames), 2), len(frames) - 1})
                frames, times = [frames[i] for i in kept], [times[i] for i in kept]
            else:  # shorten it
                count = max(1, int(0.9 * len(frames) * self._most_bytes / len(content)))
                end = times[count]
                frames, times = frames[:count], times[:count]
            content = _gif(frames, times, end, lost_bits)
        return content

    def _ending(self) -> tuple[list[np.ndarray], list[float]]:
        """The frames and their times with the newest frame at the end. It replaces a frame less than SHORTEST before."""
        if self._last is None:
            return self._frames, self._times
        time = (self._count - 1) / self._fps
        kept = len(self._frames) if time - self._times[-1] > SHORTEST - 1e-9 else len(self._frames) - 1
        return [*self._frames[:kept], self._last], [*self._times[:kept], time if kept else 0.0]

    def close(self) -> None:
        """Discard a recording that was not saved."""
        self._frames, self._times, self._last = [], [], None


class Mp4:
    """An MP4 of the complete episode in full size, at the frame rate of the environment."""

    def __init__(self, path: Path, fps: float):
        self.path = path
        self._partial = partial_path(path, path.suffix)
        self._count = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            import imageio_ffmpeg  # imageio needs it for this format

            self._frames_in = imageio_ffmpeg.count_frames_and_secs
            self._writer: Any = imageio_v2.get_writer(self._partial, fps=fps, macro_block_size=2)
        except (ImportError, RuntimeError) as error:
            raise DependencyError("MP4 needs a writer: pip install imageio-ffmpeg, or use --format gif.") from error
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} could not be written: {error}.") from None

    def width(self, frame: np.ndarray) -> int:
        """The width of the frame."""
        return frame.shape[1]

    def add(self, frame: np.ndarray) -> None:
        """Add a frame. An odd size loses a row or column, since the format needs even sizes. Raises StorageError."""
        height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
        with self._cleared_up():
            self._writer.append_data(np.ascontiguousarray(frame[:height, :width]))
        self._count += 1

    def wants_more(self) -> bool:
        """Always."""
        return True

    def save(self) -> None:
        """Finish the file. Raises StorageError."""
        with self._cleared_up():
            self._writer.close()
            # The encoder is a separate process that does not report a full disk.
            written, _ = self._frames_in(self._partial)
            if written != self._count:
                raise OSError(f"only {written} of {self._count} frames arrived; is the disk full?")
            os.replace(self._partial, self.path)

    def close(self) -> None:
        """Discard a recording that was not saved."""
        with contextlib.suppress(Exception):  # the encoder may have failed already
            self._writer.close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _cleared_up(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            self.close()
            reason = " ".join(str(error).split())[:200]
            raise StorageError(f"{self.path} could not be written: {reason}.") from None


def _in_one_palette(frames: list[np.ndarray]) -> list[np.ndarray]:
    some = Image.fromarray(np.concatenate(frames[:: math.ceil(len(frames) / 8)]))
    palette = some.quantize(256, dither=Image.Dither.NONE)
    shots = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    return [np.asarray(shot.convert("RGB")) for shot in shots]


def _gif(frames: list[np.ndarray], times: list[float], end: float, lost_bits: int) -> bytes:
    # A GIF counts in hundredths of a second: rounding the times, not the durations, keeps the true speed.
    hundredths = [round(100.0 * time) for time in (*times, end + HOLD)]
    durations = [10 * (after - before) for before, after in itertools.pairwise(hundredths)]
    buffer = io.BytesIO()
    with imageio.imopen(buffer, "w", extension=".gif", plugin="pillow") as file:
        file.write(np.stack(frames) >> lost_bits << lost_bits, duration=durations if len(frames) > 1 else durations[0], loop=0)
    return buffer.getvalue()
