"""What several test files share."""

import fcntl
import gc
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from processes import adopt_orphans, descendants, end_descendants, has_children, kill_all, stop_ignoring_signals

from utils.storage.checkpoints import checkpoint_path
from utils.storage.verified_folder import write_verified

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def may_render(monkeypatch):
    """Lets tests of films share a process with tests that load TensorFlow. They render with Pygame, which is safe there."""
    monkeypatch.setattr("utils.envs.spec._check_may_render", lambda env_id: None)


@pytest.hookimpl(trylast=True)  # pytest's own temporary folder is there by then
def pytest_configure(config):
    """Prepare this process, a worker of xdist or its controller, for the processes that it starts."""
    config.addinivalue_line("markers", "slow(seconds): takes about so long on a quiet machine; the slowest start first")
    stop_ignoring_signals()
    adopt_orphans()
    if not hasattr(config, "workerinput"):
        use_compile_cache(config._tmp_path_factory.mktemp("xla-cache"))


def use_compile_cache(folder):
    """Let all TensorFlow processes of this session share their compiled programs: compiling takes most of a small training."""
    os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} --tf_xla_persistent_cache_directory={folder}".strip()


def pytest_unconfigure():
    """End what a worker left that ended without its fixtures. The controller comes here when all workers have ended."""
    end_descendants()


def pytest_collection_modifyitems(items):
    """Start the slowest tests first, so that no worker ends with one while the other idles."""

    def seconds(item):
        marker = item.get_closest_marker("slow")
        return marker.kwargs["seconds"] if marker else 0

    items.sort(key=seconds, reverse=True)


def pytest_collection_finish():
    """Let the garbage collector skip what imports and collection made: it would look at all of that again and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def end_processes():
    """End every process that the test started and left, and what that process started."""
    before = descendants() if has_children() else set()
    yield
    end_descendants(spared=before)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Makes a folder once in a session, for all workers: `shared_folder(name, fill)` calls `fill(folder)` in the first."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def make(name, fill):
        folder, done = base / name, base / f"{name}.done"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture
def spawn(tmp_path):
    """Starts Python code in a process of its own, which can import the toolkit and tests/ and does not outlive the test.

    `closed` is the number of a file (1 for stdout, 2 for stderr) that the process does not have.
    """
    started = []
    # These would change what is written, and when. The workers of xdist have COLUMNS.
    foreign = ("FORCE_COLOR", "TTY_COMPATIBLE", "PYTHONUNBUFFERED", "COLUMNS", "LINES")
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
    kill_all(started)


@pytest.fixture
def run_code(spawn):
    """Runs Python code in a process of its own to its end; what it wrote and its exit code."""

    def run(code, *argv, **options):
        process = spawn(code, *argv, **options)
        out, err = process.communicate(timeout=280)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def make_checkpoint():
    """Saves a small checkpoint of a learner step in a folder, and returns its path."""

    def make(folder, step, run_id="a run", **manifest):
        path = checkpoint_path(folder, "Toy-v0", step)
        files = {"policy.npz": {"weights": np.arange(6.0).reshape(2, 3)}, "state.json": {"episodes": [step]}}
        write_verified(path, files, {"learner_step": step, "run_id": run_id, **manifest})
        return path

    return make
