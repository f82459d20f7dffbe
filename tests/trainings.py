"""Real trainings as processes: small ones on Pendulum, started, watched and ended from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATHS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
SMALL = {
    "learning_starts": 200,
    "dense1_size": 16,
    "dense2_size": 16,
    "batch_size": 32,
    "num_agents": 2,
    "max_ep_length": 20,
    "save_ckpt_step": 40,
    "save_replay_every": 2,
    "replay_mem_size": 5000,
}


def slowed(seconds):
    """A bound of seconds for a quiet machine, lengthened by the other work on this one: by the runnable threads for a core."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def flags_of(values):
    """Parameters as the words of a command line."""
    words = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    return words


class Training:
    """A process of train.py in `folder`, where its output goes to a file. It uses no compile cache."""

    def __init__(self, folder, audited=False, compile_cache=True, env="Pendulum-v1", small=SMALL, **given):
        self.checkpoints = folder / "ckpts" / env.replace(":", "_")
        places = {f"{name}_dir": folder / place for name, place in (("ckpt", "ckpts"), ("log", "logs"), ("results", "results"))}
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "audit.txt"
        script = [ROOT / "tests/reliability/audit_hook.py", log, "train.py"] if audited else [ROOT / "train.py"]
        self.said = folder / "said.txt"
        inherited = {name: value for name, value in os.environ.items() if compile_cache or name != "TF_XLA_FLAGS"}
        with open(self.said, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, script), *flags_of({"env": env} | places | small | given)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=inherited | PATHS | {"PYTHONUNBUFFERED": "1"},
            )

    def reported(self):
        """The learner step that was last reported as saved; None before."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.checkpoints / "run.json").read_text())["learner_step"]
        return None

    def text(self):
        """Everything that it has said."""
        return self.said.read_text(errors="replace")

    def until(self, condition, seconds=400.0):
        """Wait for a condition; raises AssertionError when the process ends before, or it takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it ended with {self.process.poll()}, and had said: {self.text()}")
            time.sleep(0.02)

    def until_reported(self, beyond=-1):
        """Wait until a learner step beyond this one is reported as saved."""
        self.until(lambda: (-1 if self.reported() is None else self.reported()) > beyond)

    def end(self, number=signal.SIGKILL, seconds=200.0):
        """Send a signal; the exit code and the seconds until it had ended."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.wait(seconds), time.monotonic() - begun

    def wait(self, seconds=600.0):
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()
