"""Child processes end when told to, and with their parent, however that ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from utils import child
from utils.child import Child


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Writes a script and returns its path."""

    def write(code):
        path = tmp_path / "script.py"
        path.write_text(code)
        return path

    monkeypatch.setattr(child, "GRACE", 0.5)
    return write


def is_alive(pid):
    """Whether a process runs. A zombie has ended; in some containers nothing reaps an orphan."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_script_gets_its_arguments_and_can_import_the_toolkit(script):
    path = script("import os, sys, params; print(sys.argv[1:], os.nice(0)); sys.exit('Error: no luck')")
    with Child(path, "first", nice=3, num_eps_test=5, run="") as started:
        assert started.wait(60) == 1
    assert started.output == f"['first', '--num-eps-test', '5', '--run', ''] {os.nice(0) + 3}\nError: no luck"
    assert started.last_line == "Error: no luck"


def test_wait_returns_none_after_its_time_and_when_stopped(script):
    with Child(script("import time; time.sleep(600)")) as started:
        assert started.wait(0.1) is None
        assert started.wait(600, lambda: True) is None


@pytest.mark.parametrize("obeys", [True, False])
def test_end_of_the_block_ends_the_script(script, tmp_path, obeys):
    ignore = "" if obeys else "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    path = script(f"import os, signal, time; {ignore}open('{tmp_path}/pid', 'w').write(f'{{os.getpid()}} '); time.sleep(600)")
    with Child(path):
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" "))
    assert not is_alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("obeys", [True, False])
def test_script_does_not_outlive_a_parent_that_is_killed(script, spawn, tmp_path, obeys):
    ignore = "" if obeys else "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    path = script(f"import os, signal, time; {ignore}open('{tmp_path}/pid', 'w').write(f'{{os.getpid()}} '); time.sleep(600)")
    parent = spawn("import sys, time; from utils.child import Child; started = Child(sys.argv[1]); time.sleep(600)", path)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" "))
    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))
