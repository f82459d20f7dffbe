"""Shows new checkpoints in a window while training."""

from pathlib import Path

from agent.environment import env_flags
from agent.training.callbacks.callback import Callback, RunInfo, Status
from utils.child import INTERRUPTED, Child


class Window(Callback):
    """Plays the newest checkpoint in a window of play.py, one at a time. A process with TensorFlow must not render."""

    is_optional = True

    def __init__(self) -> None:
        self._newest: Path | None = None
        self._child: Child | None = None

    def on_start(self, run: RunInfo) -> None:
        """Keep the run's parameters and console."""
        self._run = run

    def on_checkpoint(self, path: Path) -> None:
        """Keep the newest checkpoint for the next window."""
        self._newest = path

    def on_tick(self, status: Status) -> None:
        """Open a window where none is open and a new checkpoint exists."""
        console = self._run.console
        if self._child is not None:
            code = self._child.wait(0.0)
            if code is None:
                return
            self.close()
            if code not in (0, *INTERRUPTED):
                console.say_once(f"There is no window: {self._last_line}", key="no window")
        if self._newest is None or status.is_ending or status.has_ended:
            return
        path, self._newest = self._newest, None
        given = env_flags(self._run.config) | {"num_eps_play": 1}
        try:
            self._child = Child("play.py", "--render", "--no-record", **given, ckpt_file=path)
        except OSError as error:
            console.say_once(f"There is no window: {error}.", key="no window")

    def close(self) -> None:
        """End the process of the window."""
        if self._child is not None:
            self._child.end()
            self._last_line, self._child = self._child.last_line, None
