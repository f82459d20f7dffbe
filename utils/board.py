"""TensorBoard's event file, written in the caller's thread: no queue to fill up and no thread to die unseen."""

import time
from pathlib import Path

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

FLUSH_EVERY = 5.0  # seconds


class Board:
    """One event file in `folder`. Every method raises OSError when the disk does; then the file is at its end."""

    def __init__(self, folder: Path, resumed_after: int | None = None):
        """TensorBoard forgets what an earlier file of the folder said of the steps past `resumed_after`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))
        self._flushed = time.monotonic()
        if resumed_after is not None:
            self._write(Event(step=resumed_after + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Add numbers by name."""
        for name, value in values.items():
            self._write(Event(step=step, summary=summary.scalar(name, value)))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        if time.monotonic() - self._flushed > FLUSH_EVERY:
            self.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def flush(self) -> None:
        """Hand everything to the disk."""
        self._flushed = time.monotonic()
        self._writer.flush()
