"""Counters of a run across resumes: environment steps and seconds of training."""

import threading
import time


class RunCounters:
    """Environment steps and seconds of a run, including those before a resume. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._env_steps = 0
        self._seconds_before = 0.0
        self._started: float | None = None  # on the monotonic clock

    def start(self) -> None:
        """Count seconds from now."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return self._seconds_before + (0.0 if self._started is None else time.monotonic() - self._started)

    @property
    def env_steps(self) -> int:
        """Environment steps with transitions added to the replay."""
        return self._env_steps

    def add_env_steps(self, count: int) -> None:
        """Count environment steps."""
        with self._lock:
            self._env_steps += count

    def restore(self, env_steps: int, seconds: float) -> None:
        """Continue from the counts of a checkpoint."""
        self._env_steps, self._seconds_before = env_steps, seconds
