"""An agent in a process of its own on this machine. It has the interface of Agent that a worker needs."""

import faulthandler
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from agent.policy import Policy
from agent.training.workers.remote import AgentArguments, RemoteAgent, Reply
from utils.child import Child
from utils.errors import EnvironmentFailure, Interrupted, ToolkitError
from utils.replay.transitions import TransitionBatch

BEAT = 0.5  # seconds between two reports of a process while it collects
SILENCE = 5.0  # seconds without a report after which a process counts as waiting
MOMENT = 0.3  # seconds for stacks to be written, and for a process in the middle of a call to end
EXIT = 2.0  # seconds for a process that closed its channel to end
SAME = "same"  # in place of a policy that the process has already


class ProcessAgent:
    """Starts its process at the first `collect`, and a new one after a failure if the process has ended."""

    def __init__(self, arguments: AgentArguments, thread_dumps: Path):
        self.index = arguments.index
        self._arguments, self._thread_dumps = arguments, thread_dumps
        self._state = arguments.agent().state()
        self._child: Child | None = None
        self._channel: Connection | None = None
        self._policy: Policy | None = None  # that the process has
        self._heard: float | None = None  # monotonic time of the last report; None between calls
        self._waiting_since: float | None = None

    @property
    def episodes(self) -> int:
        """Finished episodes."""
        return int(self._state["episodes"])

    @property
    def waiting_since(self) -> float | None:
        """Monotonic start of the call of an environment in progress, or of the silence of the process."""
        heard = self._heard
        if self._waiting_since is not None or heard is None:
            return self._waiting_since
        return heard if time.monotonic() - heard > SILENCE else None

    def state(self) -> dict[str, Any]:
        """As Agent.state, after the last batch."""
        return self._state

    def restore(self, state: dict[str, Any]) -> None:
        """As Agent.restore. Call it before the first `collect`."""
        self._state = state

    def collect(self, transitions: int, policy: Policy | None) -> TransitionBatch:
        """As Agent.collect. Raises EnvironmentFailure also when the process has ended."""
        try:
            self._heard = time.monotonic()
            channel = self._channel or self._start()
            channel.send((transitions, SAME if policy is self._policy else policy))
            self._policy = policy
            reply = self._receive(channel)
        except (OSError, EOFError):
            raise EnvironmentFailure(f"the process of agent {self.index} ended {self._how()}") from None
        finally:
            self._heard = self._waiting_since = None
        if isinstance(reply, BaseException):
            raise reply
        self._state = reply.state
        if reply.batch is None:
            raise EnvironmentFailure(reply.failure)
        return reply.batch

    def restart(self) -> None:
        """Forget a process that has ended. One that runs makes new environments itself."""
        if self._child is not None and self._child.wait(0.0) is not None:
            self._child.end()
            self._child = self._channel = self._policy = None

    def close(self) -> None:
        """Do nothing: `abandon` ends the process, which then closes its environments."""

    def abandon(self) -> None:
        """End the process, with its environments. One in the middle of a call writes its stacks first."""
        if self._child is None:
            return
        if self._heard is None:
            self._child.end()
            return
        self._child.signal(signal.SIGUSR1)
        self._child.wait(MOMENT)
        self._child.end(grace=MOMENT)

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            self._child = Child("agent/training/workers/process_agent.py", theirs.fileno(), channel=theirs.fileno())
        ours.send(sys.path)  # before what needs it
        ours.send((self._arguments, self._state, self._thread_dumps))
        self._channel = ours
        return ours

    def _receive(self, channel: Connection) -> Reply | BaseException:
        while isinstance(message := channel.recv(), float | None):
            self._heard = time.monotonic()
            self._waiting_since = None if message is None else self._heard - message
        return message

    def _how(self) -> str:
        code = self._child.wait(EXIT) if self._child else None
        return f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"


def _serve(channel: Connection) -> None:
    """Collect until the other end is closed or a signal comes."""
    sys.path[:] = channel.recv()
    arguments, state, thread_dumps = channel.recv()
    agent, policy, sending, is_collecting = RemoteAgent(arguments, state), None, threading.Lock(), threading.Event()

    def report() -> None:
        while is_collecting.wait():
            with sending:
                if is_collecting.is_set():
                    channel.send(agent.waiting())
            time.sleep(BEAT)

    threading.Thread(target=report, name="report", daemon=True).start()
    with thread_dumps.open("a") as dumps:
        faulthandler.register(signal.SIGUSR1, file=dumps)
        try:
            while True:
                transitions, new = channel.recv()
                policy = policy if new == SAME else new
                is_collecting.set()
                reply = _reply(agent, transitions, policy)
                with sending:
                    is_collecting.clear()
                    channel.send(reply)
        finally:
            agent.restart()


def _reply(agent: RemoteAgent, transitions: int, policy: Policy | None) -> Reply | BaseException:
    try:
        return agent.collect(transitions, policy)
    except ToolkitError as error:
        return error
    except Exception:
        return RuntimeError(traceback.format_exc())


def _end(number: int, frame: FrameType | None) -> None:
    raise Interrupted


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    with suppress(EOFError, OSError, Interrupted), Connection(int(sys.argv[1])) as own:
        _serve(own)
