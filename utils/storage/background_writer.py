"""Runs jobs in one background thread, in order, so that the caller need not wait."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable

MOST_WAITING = 2  # jobs; each holds in memory the data it will write


class BackgroundWriter:
    """Runs jobs in the order of `submit`, in a daemon thread: a disk that hangs must not keep the process alive."""

    def __init__(self, name: str):
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(MOST_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> None:
        """Queue a job. Waits while MOST_WAITING others wait, without a limit. Raises the exception of an earlier job."""
        self._raise_error()
        self._jobs.put(job)

    def wait(self, patience: float) -> bool:
        """Wait at most `patience` seconds for all jobs; returns whether they are done. Raises the exception of a job."""
        deadline = time.monotonic() + patience
        with self._jobs.all_tasks_done:
            while self._jobs.unfinished_tasks and (left := deadline - time.monotonic()) > 0.0:
                self._jobs.all_tasks_done.wait(min(left, 0.2))
            done = not self._jobs.unfinished_tasks
        self._raise_error()
        return done

    def close(self, patience: float) -> bool:
        """End the thread after the waiting jobs. Returns whether it ended within `patience` seconds. Raises nothing."""
        deadline = time.monotonic() + patience
        with contextlib.suppress(queue.Full):  # a job hangs: the daemon thread is abandoned
            self._jobs.put(None, timeout=max(0.0, patience))
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                if job is None:
                    return
                job()
            except BaseException as error:
                self._error = error
            finally:
                self._jobs.task_done()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
