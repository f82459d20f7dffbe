"""Agents, each driven by a thread: restarted after failures of their environments, replaced when an environment hangs."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent.policy import Policy
from agent.training.workers.replay_writer import ReplayWriter
from utils.console import Console
from utils.errors import EnvironmentFailure
from utils.replay.transitions import TransitionBatch
from utils.retry_budget import RetryBudget
from utils.threads import write_thread_dumps

BATCH_LENGTH = 16  # transitions in a batch of an agent
CHECK_EVERY = 0.5  # seconds between two checks of the workers
PATIENCE = 2.0  # seconds to wait for the workers after `stop`
MOMENT = 0.2  # seconds for a thread to notice that its agent was abandoned

OnFailure = Callable[[int, EnvironmentFailure], None]  # gets the agent's index


class AgentLike(Protocol):
    """The interface of an agent for its worker: Agent, or ProcessAgent."""

    index: int

    @property
    def episodes(self) -> int: ...  # noqa: D102
    @property
    def waiting_since(self) -> float | None: ...  # noqa: D102
    def collect(self, transitions: int, policy: Policy | None) -> TransitionBatch: ...  # noqa: D102
    def restart(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def abandon(self) -> None: ...  # noqa: D102
    def state(self) -> dict[str, Any]: ...  # noqa: D102
    def restore(self, state: dict[str, Any]) -> None: ...  # noqa: D102


class PolicySource(Protocol):
    """Publishes the newest policy."""

    @property
    def policy(self) -> Policy | None:
        """The newest policy, immutable; None before the first."""
        ...


class Worker:
    """An agent and its retry budget."""

    def __init__(self, agent: AgentLike, budget: RetryBudget, on_failure: OnFailure):
        self.agent, self.budget = agent, budget
        self.is_retired = False  # another worker has replaced it
        self.error: BaseException | None = None  # the reason that it has stopped
        self._on_failure = on_failure

    def collect(self, transitions: int, policy: Policy | None, stop: threading.Event) -> TransitionBatch | None:
        """Collect a batch. After a failure of its environment, wait and continue with a new one.

        Returns None when stopped or retired. Raises EnvironmentFailure when the budget is used up.
        """
        while not stop.is_set() and not self.is_retired:
            try:
                batch = self.agent.collect(transitions, policy)
            except EnvironmentFailure as error:
                if self.is_retired or stop.is_set():  # the budget of a retired one belongs to its replacement
                    return None
                pause = self.budget.next_pause()
                if pause is None:
                    raise
                self._on_failure(self.agent.index, error)
                stop.wait(pause)
                self.agent.restart()
            else:
                self.budget.record_success(len(batch))
                return batch
        return None


class WorkerPool:
    """Runs one worker for each agent, in its own thread. A failed worker does not stop the others."""

    def __init__(
        self,
        make_agent: Callable[[int], AgentLike],
        size: int,
        env_restarts: int,
        env_timeout: float,
        on_failure: OnFailure,
        thread_dumps: Path,
        console: Console,
    ):
        self._make_agent, self._env_timeout, self._on_failure = make_agent, env_timeout, on_failure
        self._thread_dumps, self._console = thread_dumps, console
        self.workers = [Worker(make_agent(index), RetryBudget(env_restarts), on_failure) for index in range(size)]
        self._threads: list[threading.Thread] = []

    def run(self, source: PolicySource, writer: ReplayWriter, stop: threading.Event) -> None:
        """Collect until `stop` is set.

        Raises EnvironmentFailure when every worker has failed, and any other error of a worker at once.
        """

        def work(worker: Worker) -> None:
            while (batch := worker.collect(BATCH_LENGTH, source.policy, stop)) is not None and not worker.is_retired:
                writer.add_when_allowed(batch, stop)

        self._threads = [self._start(worker, work) for worker in self.workers]
        try:
            while not stop.wait(CHECK_EVERY):
                for index, worker in enumerate(self.workers):
                    since = worker.agent.waiting_since
                    if worker.error is None and since is not None and time.monotonic() - since > self._env_timeout:
                        self._replace(index, work)
                check_errors([worker.error for worker in self.workers], self._console)
            self._end()
        finally:
            for worker in self.workers:
                worker.agent.abandon()

    def _end(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for worker, thread in zip(self.workers, self._threads, strict=True):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                where = write_thread_dumps(self._thread_dumps, [thread])
                worker.agent.abandon()
                thread.join(MOMENT)
                fate = "is left behind" if thread.is_alive() else "its process was ended"
                self._console.say(f"agent {worker.agent.index} did not stop and {fate}; {where}.")

    def _start(self, worker: Worker, work: Callable[[Worker], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work(worker)
            except BaseException as error:
                worker.error = error
            finally:
                worker.agent.close()

        thread = threading.Thread(target=guarded, name=f"agent {worker.agent.index}", daemon=True)
        thread.start()
        return thread

    def _replace(self, index: int, work: Callable[[Worker], None]) -> None:
        """Drop a hanging worker, whose thread stays. Another one continues from its state, with new environments."""
        hanging = self.workers[index]
        hanging.is_retired = True
        where = write_thread_dumps(self._thread_dumps, [self._threads[index]])
        sentence = f"agent {index} has waited for its environment for more than {self._env_timeout:g} seconds; {where}"
        if hanging.budget.next_pause() is None:
            hanging.error = EnvironmentFailure(sentence)
            return
        self._console.say(f"{sentence}. It is replaced.")
        agent = self._make_agent(index)
        agent.restore(hanging.agent.state())
        hanging.agent.abandon()
        self.workers[index] = Worker(agent, hanging.budget, self._on_failure)
        self._threads[index] = self._start(self.workers[index], work)

    @property
    def in_flight(self) -> int:
        """Transitions that all workers may add at once."""
        return len(self.workers) * BATCH_LENGTH

    @property
    def episodes(self) -> int:
        """Finished episodes, across restarts."""
        return sum(worker.agent.episodes for worker in self.workers)

    def state(self) -> list[dict[str, Any]]:
        """The agents' states, for `restore`."""
        return [worker.agent.state() for worker in self.workers]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Continue from saved states. Agents without one start new."""
        for worker, state in zip(self.workers, states, strict=False):
            worker.agent.restore(state)


def check_errors(errors: Sequence[BaseException | None], console: Console) -> None:
    """Print why workers have stopped; `errors` has one entry for each, None while it works.

    Raises EnvironmentFailure when every worker has failed, and any other error at once.
    """
    failed = [error for error in errors if error is not None]
    for error in failed:
        if not isinstance(error, EnvironmentFailure):
            raise error
        console.say_once(f"An agent has stopped: {error}.")
    if len(failed) == len(errors):
        raise EnvironmentFailure(f"no agent is left; the last one stopped: {failed[-1]}") from failed[-1]
