"""What several test files share."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from utils.checkpoints import checkpoint_path
from utils.sealed_folder import write_sealed

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def may_render(monkeypatch):
    """Lets tests of films share a process with tests that load TensorFlow. They render with Pygame, which is safe there."""
    monkeypatch.setattr("utils.envs._check_may_render", lambda env_id: None)


@pytest.fixture
def spawn(tmp_path):
    """Starts Python code in a process of its own, which can import the toolkit and tests/ and does not outlive the test.

    `closed` is the number of a file (1 for stdout, 2 for stderr) that the process shall not have.
    """
    started = []
    foreign = ("FORCE_COLOR", "TTY_COMPATIBLE", "PYTHONUNBUFFERED")  # would change what is written, and when
    env = {name: value for name, value in os.environ.items() if name not in foreign}

    def start(code, *argv, closed=None, **options):
        code = textwrap.dedent(code)
        if closed is not None:
            code = (
                f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, '-c', {code!r}, *sys.argv[1:]])"
            )
        options = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) | options
        command = [sys.executable, "-c", code, *map(str, argv)]
        path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(command, text=True, cwd=tmp_path, env=env | path, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass  # closes its pipes


@pytest.fixture
def run_code(spawn):
    """Runs Python code in a process of its own to its end; what it wrote and its exit code."""

    def run(code, *argv, **options):
        process = spawn(code, *argv, **options)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def make_checkpoint():
    """Saves a small checkpoint of a learner step in a folder, and returns its path."""

    def make(folder, step, run_id="a run", **manifest):
        path = checkpoint_path(folder, "Toy-v0", step)
        files = {"policy.npz": {"weights": np.arange(6.0).reshape(2, 3)}, "state.json": {"episodes": [step]}}
        write_sealed(path, files, {"learner_step": step, "run_id": run_id, **manifest})
        return path

    return make
