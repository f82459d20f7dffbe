"""Child processes: a script of the toolkit that ends with this process."""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INTERRUPTED = (129, 130, 143)  # exit codes of a script that SIGHUP, SIGINT or SIGTERM ended
GRACE = 2.0  # seconds between SIGTERM and SIGKILL


class Child:
    """A running script. Leaving the `with` block ends it.

    When this process closes the pipe or ends, even by SIGKILL, the child reads end-of-file on its stdin and ends itself.
    """

    def __init__(self, script: str, *arguments: object, nice: int = 0, channel: int | None = None, **flags: object):
        """Start `script`, a path relative to the toolkit's folder, with `arguments` and a flag for each of `flags`.

        `nice` lowers its scheduling priority. A child with a `channel`, a file descriptor that it inherits, prints to this
        process's stdout and does not get the signals of the terminal. Raises OSError.
        """
        words = [str(argument) for argument in arguments]
        for name, value in flags.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        read, self._pipe = os.pipe()
        options: dict[str, Any] = {"stdout": self._said, "stderr": subprocess.STDOUT}
        if channel is not None:
            options = {"pass_fds": (channel,), "process_group": 0}
        try:
            command = [sys.executable, __file__, str(nice), str(ROOT / script), *words]
            self._process = subprocess.Popen(command, stdin=read, **options)
        except OSError:
            os.close(self._pipe)
            self._said.close()
            raise
        finally:
            os.close(read)
        self.output = ""  # stdout and stderr, once it has ended

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def wait(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> int | None:
        """Wait until it has ended, `seconds` have passed or `stop()` is true; returns the exit code, None while it runs."""
        deadline = time.monotonic() + seconds
        while (code := self._process.poll()) is None and time.monotonic() < deadline and not stop():
            time.sleep(0.05)
        return code

    def end(self, grace: float = GRACE) -> None:
        """End it if it still runs, after `grace` seconds by SIGKILL, and read its output. Further calls do nothing."""
        if self._said.closed:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        os.close(self._pipe)
        self._said.seek(0)
        self.output = self._said.read().decode(errors="replace").strip()
        self._said.close()

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        self._process.send_signal(number)

    @property
    def last_line(self) -> str:
        """The last line of the output; after an error this is its sentence."""
        return self.output.rpartition("\n")[2]


def _follow_parent() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)  # native code that hangs does not let Python handle a signal


if __name__ == "__main__":
    _, niceness, *sys.argv = sys.argv
    os.nice(int(niceness))
    threading.Thread(target=_follow_parent, name="follow parent", daemon=True).start()
    sys.path[0] = str(ROOT)
    runpy.run_path(sys.argv[0], run_name="__main__")
