"""The complete training loop as a user starts it: train.py in a separate process and folder."""

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from timing import ROOT

ROWS_OF_START = 1  # of learner.csv, five seconds each: the first includes the compilation
_QUICK = {"learning-starts": 300, "max-ep-length": 20, "batch-size": 16, "dense1-size": 16, "dense2-size": 16, "num-atoms": 11}
QUICK = tuple(word for name, value in _QUICK.items() for word in (f"--{name}", str(value)))
PATIENCE = 300.0  # seconds without a new row until the benchmark fails


@dataclass(frozen=True)
class Rates:
    """The rates of a training, per second."""

    updates: float
    env_steps: float


@dataclass(frozen=True)
class Training:
    """A running train.py; `begun` is when its process was started, on time.perf_counter's clock."""

    process: subprocess.Popen[str]
    folder: Path
    begun: float

    @property
    def seconds(self) -> float:
        """Seconds since its process was started."""
        return time.perf_counter() - self.begun

    def rows(self) -> list[dict[str, str]]:
        """The rows of learner.csv so far."""
        for path in self.folder.glob("logs/*/learner.csv"):
            with open(path, newline="") as file:
                return list(csv.DictReader(file))
        return []

    def rates(self, rows: int, rows_of_start: int = ROWS_OF_START) -> Rates:
        """Updates/s and environment steps/s over a number of rows of learner.csv, after those of the start.

        Raises RuntimeError with the output of train.py if it ends earlier.
        """
        needed, deadline = rows_of_start + rows, time.perf_counter() + PATIENCE
        while len(found := self.rows()) < needed:
            if self.process.poll() is not None or time.perf_counter() > deadline:
                self.process.kill()
                raise RuntimeError(f"train.py wrote {len(found)} rows instead of {needed}: {self.process.communicate()[0]}")
            time.sleep(0.2)
        names, last = ("seconds", "learner_step", "env_step"), found[needed - 1]
        first = found[rows_of_start - 1] if rows_of_start else dict.fromkeys(names, "0")
        gained = {name: float(last[name]) - float(first[name]) for name in names}
        return Rates(gained["learner_step"] / gained["seconds"], gained["env_step"] / gained["seconds"])


@contextlib.contextmanager
def training(env: str, *flags: str) -> Iterator[Training]:
    """Start train.py. At the end, stop it, wait for it and remove its folder."""
    with tempfile.TemporaryDirectory(prefix="d4pg-benchmark-") as name:
        folder = Path(name)
        roots = {"--ckpt-dir": "ckpts", "--log-dir": "logs", "--results-dir": "results"}
        places = [part for flag, root in roots.items() for part in (flag, str(folder / root))]
        command = [sys.executable, str(ROOT / "train.py"), "--env", env, *places, *flags]
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            yield Training(process, folder, begun)
        finally:
            stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """Terminate a process; kill it if it has not ended after half a minute."""
    process.terminate()
    with process:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
