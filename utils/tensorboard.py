"""TensorBoard's event file, written in the caller's thread without a queue."""

import os
import struct
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

FLUSH_EVERY = 5.0  # seconds
_NUMBERS = count()  # of the files of this process


class TensorBoardWriter:
    """One event file in `folder`. Any thread may write.

    All files of a folder are one run in TensorBoard, so several processes may write to the same folder. It follows them at the
    same time with `--reload_multifile true` only.
    Every method raises OSError when a write fails; the file cannot be read past that point.
    """

    def __init__(self, folder: Path, resumed_after: int | None = None):
        """Open a new file. TensorBoard drops events of the folder's earlier files past the step `resumed_after`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        # The suffix distinguishes files opened in the same second.
        self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.{next(_NUMBERS)}")
        self._flushed = time.monotonic()
        if resumed_after is not None:
            self._write(Event(step=resumed_after + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Add numbers by name."""
        for name, value in values.items():
            self._write(Event(step=step, summary=summary.scalar(name, value)))

    def histogram(self, name: str, edges: np.ndarray, counts: np.ndarray, step: int) -> None:
        """Add a histogram: counts [n], possibly fractions, between the edges [n + 1]."""
        centres = (edges[1:] + edges[:-1]) / 2
        total, squares = counts @ centres, counts @ centres**2
        value = summary.histogram_raw(name, edges[0], edges[-1], counts.sum(), total, squares, edges[1:], counts)
        self._write(Event(step=step, summary=value))

    def gif(self, name: str, content: bytes, step: int) -> None:
        """Add a GIF as an image; TensorBoard plays it."""
        width, height = struct.unpack_from("<HH", content, 6)
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
        self._write(Event(step=step, summary=Summary(value=[Summary.Value(tag=name, image=image)])))

    def hparams(self, settings: dict[str, Any], scores: dict[str, float], step: int) -> None:
        """Add hyper-parameters (numbers, strings, booleans; None is left out) and the scores reached with them."""
        for part in summary.hparams(settings, scores):
            self._write(Event(summary=part))
        self.scalars(scores, step)

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with self._lock:
            self._writer.write_event(event)
            if time.monotonic() - self._flushed > FLUSH_EVERY:
                self.flush()

    def close(self) -> None:
        """Finish the file."""
        with self._lock:
            self._writer.close()

    def flush(self) -> None:
        """Write all buffered events."""
        with self._lock:
            self._flushed = time.monotonic()
            self._writer.flush()
