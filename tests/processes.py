"""Processes that tests start: they get the default signal dispositions, and none outlives its test.

Descendants are found in /proc, so that every way of starting one counts. On other systems than Linux none is found.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # of <linux/prctl.h>
_HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: lambda *_: None,  # under nohup this process still outlives its terminal
}


def stop_ignoring_signals() -> None:
    """Replace ignored signals by handlers, so that children start with the default dispositions.

    SIGINT is ignored in a background job and SIGHUP under nohup. A child inherits an ignored signal, but not a handler.
    """
    for number, handler in _HANDLERS.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, whatever its session, so that `descendants` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[int]:
    """The ids of all processes below this one, zombies included."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")  # the name before it may hold anything
        except OSError:  # it has ended
            continue
        children.setdefault(int(rest.split()[1]), []).append(int(stat.parent.name))
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def running(spared: Collection[int] = (), seconds: float = 20.0) -> set[int]:
    """The descendants but the spared ones that still run after so many seconds; those that only wait to be reaped do not."""
    deadline = time.monotonic() + seconds
    while (left := {pid for pid in descendants() - set(spared) if _runs(pid)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:  # it has ended
        return False


def kill_all(processes: Collection[subprocess.Popen]) -> None:
    """Kill processes, reap them, and close their pipes."""
    for process in processes:
        process.kill()
        with process:
            pass  # closes its pipes


def has_children() -> bool:
    """Whether this process has a child, zombies included. Much faster than `descendants`."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def end_descendants(spared: Collection[int] = (), seconds: float = 30.0) -> None:
    """Kill and reap all descendants but the spared ones; raises TimeoutError when one is still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while has_children() and (left := descendants() - set(spared)):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)  # a grandchild is reaped after its parent: then it is a child
            except (ProcessLookupError, ChildProcessError):
                pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after SIGKILL: {sorted(left)}")
        time.sleep(0.005)
