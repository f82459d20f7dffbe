"""Processes of tests: default signal dispositions, and nothing left after a failure, a timeout or the end of a worker."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from processes import descendants, end_descendants

# The child starts a grandchild in a session of its own and both write down their ids. Neither ends by itself.
FAMILY = """
import subprocess, sys, time
if sys.argv[2] == "child":
    subprocess.Popen([sys.executable, __file__, sys.argv[1], "grandchild"], start_new_session=True)
with open(sys.argv[1], "a") as ids:
    ids.write(f"{__import__('os').getpid()}\\n")
time.sleep(600)
"""
FAILING_TEST = """
import os, subprocess, sys, time, pytest
def test_it():
    subprocess.Popen([sys.executable, {family!r}, {ids!r}, "child"])
    while not os.path.exists({ids!r}) or open({ids!r}).read().count("\\n") < 2:
        time.sleep(0.01)
    {end}
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run_pytest(file, *flags):
    """Pytest on a file in a worker of its own, with the fixtures and hooks of these tests."""
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", file.parent, "-p", "conftest"]
    command += ["-p", "no:cacheprovider", "-o", f"python_files={file.name}", "-n", "1"]
    command += ["--basetemp", file.parent / "base", *flags, file]
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    for name in [name for name in env if name.startswith("PYTEST_")]:
        del env[name]
    return subprocess.Popen(
        [*map(str, command)], cwd=file.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def write_failing_test(folder, end):
    """A test file whose test starts child and grandchild and then does `end`; and the file that gets their ids."""
    family, ids, file = folder / "family.py", folder / "ids", folder / "failing.py"
    family.write_text(FAMILY)
    file.write_text(FAILING_TEST.format(family=str(family), ids=str(ids), end=end))
    return file, ids


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize(
    ("end", "flags"),
    [
        ("raise AssertionError", []),
        ("time.sleep(600)", ["--timeout", "5"]),
        ("os._exit(1)", ["--max-worker-restart", "0"]),  # as faulthandler_exit_on_timeout ends a worker
    ],
    ids=["fails", "times out", "loses its worker"],
)
def test_failed_test_leaves_neither_child_nor_grandchild(tmp_path, end, flags):
    file, ids = write_failing_test(tmp_path, end)
    with run_pytest(file, *flags) as pytest_process:
        said, _ = pytest_process.communicate(timeout=280)
    assert "1 failed" in said, said
    pids = [int(line) for line in ids.read_text().split()]
    assert len(pids) == 2
    assert not [pid for pid in pids if is_alive(pid)]


@pytest.mark.slow(seconds=8)
def test_killed_session_leaves_neither_child_nor_grandchild(tmp_path):
    file, ids = write_failing_test(tmp_path, "time.sleep(600)")
    with run_pytest(file) as pytest_process:
        while not ids.exists() or ids.read_text().count("\n") < 2:
            assert pytest_process.poll() is None, pytest_process.stdout.read()
            time.sleep(0.01)
        pytest_process.kill()
    pids = [int(line) for line in ids.read_text().split()]
    deadline = time.monotonic() + 120
    while any(is_alive(pid) for pid in pids):  # the worker sees the end of its controller after some seconds
        assert time.monotonic() < deadline
        time.sleep(0.05)


PRINT_DISPOSITIONS = """
import subprocess, sys
def test_it():
    code = "import signal; print(*(signal.getsignal(s) is signal.SIG_IGN for s in (2, 15, 1)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False False\\n"
"""


def test_children_get_default_dispositions_where_signals_are_ignored(tmp_path, monkeypatch):
    file = tmp_path / "dispositions.py"
    file.write_text(PRINT_DISPOSITIONS)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        pytest_process = run_pytest(file)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    with pytest_process:
        said, _ = pytest_process.communicate(timeout=280)
    assert pytest_process.returncode == 0, said


def test_spared_processes_are_not_ended():
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleeper) as spared, subprocess.Popen(sleeper) as ended:
        assert {spared.pid, ended.pid} <= descendants()
        end_descendants(spared=[spared.pid])
        assert is_alive(spared.pid)
        assert not is_alive(ended.pid)
        spared.kill()
