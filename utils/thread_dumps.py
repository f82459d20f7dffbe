"""Where threads are, written to a file: what explains a hang, and what no person wants on the screen."""

import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from utils.storage.lines import append


def write_thread_dumps(path: Path, threads: Iterable[threading.Thread]) -> str:
    """Append the stacks of `threads` to a file; returns where they are, in words. Never raises."""
    frames = _frames()
    text = ""
    for thread in threads:
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            text += f"{time.strftime('%Y-%m-%d %H:%M:%S')} {thread.name}\n{''.join(traceback.format_stack(frame))}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        append(path, text)
    except OSError as error:
        return f"its stack could not be written: {error}"
    return f"its stack is in {path}"


def _frames() -> dict[int, FrameType]:
    """The frame of each thread. Python 3.11 hangs without end where a garbage collection falls into this call (gh-106883)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()
