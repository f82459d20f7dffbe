"""Agents on Ray: one remote worker for each, on this machine or on others. Learner and replay do not know of Ray."""

import time
from collections import deque
from collections.abc import Callable
from threading import Event
from typing import Any

from agent.policy import Policy
from agent.training.workers.pool import OnFailure, PolicySource, check_errors
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.remote import AgentArguments, RemoteAgent, Reply
from agent.training.workers.replay_writer import ReplayWriter
from params import TrainParams
from utils.console import Console
from utils.errors import EnvironmentFailure, ToolkitError
from utils.retry_budget import RetryBudget

BATCH_LENGTH = 64  # transitions of one call
CALLS = 2  # of one worker in flight: it begins the second while the first one's batch travels
TICK = 0.2  # seconds that the driver waits for batches, at most
PROBE_AFTER = 0.5  # share of env_timeout without a batch after which a worker is asked what it does


class RayWorker:
    """The driver's side of one remote agent: its calls in flight, its last state, its retry budget."""

    def __init__(self, arguments: AgentArguments, budget: RetryBudget):
        self.arguments, self.budget = arguments, budget
        self.state = arguments.agent().state()  # after its last batch
        self.error: EnvironmentFailure | None = None  # why it has stopped
        self.actor: Any = None
        self.calls: deque[Any] = deque()  # references to replies, the oldest first
        self.next_start = 0.0  # monotonic time before which it gets no work
        self.forget()

    def forget(self) -> int:
        """Forget the remote agent. Returns how many calls are lost."""
        lost = len(self.calls)
        self.actor, self.probe = None, None
        self.calls.clear()
        self.has_started = False  # it may wait for free cores
        self.heard = self.probed = time.monotonic()
        return lost


class RayWorkers:
    """All agents of a run as remote workers. Everything here runs in one thread of the learner's process, Ray's driver.

    A worker gets more work when its last batch is in the replay, so the rate limiter decides how much is collected.
    """

    def __init__(
        self,
        cluster: RayCluster,
        arguments: Callable[[int], AgentArguments],
        params: TrainParams,
        on_failure: OnFailure,
        console: Console,
        remote: type = RemoteAgent,
    ):
        """`remote` is the class of the remote workers."""
        self._ray, self._params = cluster.ray, params
        self._on_failure, self._console = on_failure, console
        self.workers = [RayWorker(arguments(i), RetryBudget(params.env_restarts)) for i in range(params.num_agents)]
        self._remote = self._ray.remote(concurrency_groups={"health": 1}, max_restarts=0)(remote)
        self._policy: Policy | None = None
        self._policy_reference: Any = None  # to the policy in the object store

    @property
    def in_flight(self) -> int:
        """Transitions that may be added at once: batches are added one after the other."""
        return BATCH_LENGTH

    @property
    def episodes(self) -> int:
        """Finished episodes, across restarts."""
        return sum(int(worker.state["episodes"]) for worker in self.workers)

    def state(self) -> list[dict[str, Any]]:
        """The agents' states after their last batches, for `restore`."""
        return [worker.state for worker in self.workers]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Continue from saved states. Agents without one start new."""
        for worker, state in zip(self.workers, states, strict=False):
            worker.state = state

    def run(self, source: PolicySource, writer: ReplayWriter, stop: Event) -> None:
        """Collect until `stop` is set.

        Raises EnvironmentFailure when every worker has failed, and any other error of a worker at once.
        """
        try:
            while not stop.is_set():
                self._submit(source.policy)
                self._receive(writer, stop)
                self._check_silent()
                check_errors([worker.error for worker in self.workers], self._console)
        finally:
            for worker in self.workers:
                self._kill(worker)

    def _submit(self, policy: Policy | None) -> None:
        """Give each worker its calls."""
        if policy is not self._policy:  # once for each published policy
            self._policy, self._policy_reference = policy, self._ray.put(policy)
        for worker in self.workers:
            if worker.error is not None or time.monotonic() < worker.next_start:
                continue
            if worker.actor is None:
                options = self._remote.options(num_cpus=self._params.ray_cpus_per_agent)
                worker.actor = options.remote(worker.arguments, worker.state)
            while len(worker.calls) < CALLS:
                worker.calls.append(worker.actor.collect.remote(BATCH_LENGTH, self._policy_reference))

    def _receive(self, writer: ReplayWriter, stop: Event) -> None:
        """Add the batches that have arrived to the replay."""
        owners = {worker.calls[0]: worker for worker in self.workers if worker.calls}
        if not owners:
            stop.wait(TICK)
            return
        ready, _ = self._ray.wait(list(owners), num_returns=len(owners), timeout=0)
        ready = ready or self._ray.wait(list(owners), num_returns=1, timeout=TICK)[0]
        for reference in ready:
            worker = owners[reference]
            reply = self._reply(worker, reference)
            if reply is None:
                continue
            worker.calls.popleft()
            worker.state, worker.has_started, worker.heard = reply.state, True, time.monotonic()
            if reply.batch is None:
                self._fail(worker, reply.failure or "")
            else:
                worker.budget.record_success(len(reply.batch))
                writer.add_when_allowed(reply.batch, stop)

    def _reply(self, worker: RayWorker, reference: Any) -> Reply | None:
        """The reply of a call; None when its worker has died. Raises the error of the toolkit that the worker raised."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ToolkitError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            self._replace(worker, f"the worker of agent {worker.arguments.index} died ({_reason(error)})")
            return None

    def _check_silent(self) -> None:
        """Ask the workers that have been silent for long, and replace those that hang."""
        timeout, now = self._params.env_timeout, time.monotonic()
        for worker in self.workers:
            if not worker.calls or now - worker.heard < PROBE_AFTER * timeout:
                continue
            if worker.probe is None:
                worker.probe, worker.probed = worker.actor.waiting.options(concurrency_group="health").remote(), now
            if self._ray.wait([worker.probe], timeout=0)[0]:
                waiting = self._answer(worker)
            else:
                waiting = now - worker.probed if worker.has_started else 0.0
            if waiting > timeout:
                sentence = f"agent {worker.arguments.index} has waited for its environment for more than {timeout:g} seconds"
                self._replace(worker, sentence)

    def _answer(self, worker: RayWorker) -> float:
        """The seconds that the call in progress of a worker's environment has taken."""
        probe, worker.probe = worker.probe, None
        try:
            waiting = self._ray.get(probe)
        except self._ray.exceptions.RayError:  # the worker's calls raise it too
            return 0.0
        worker.has_started, worker.heard = True, time.monotonic()
        return waiting or 0.0

    def _replace(self, worker: RayWorker, sentence: str) -> None:
        lost = self._kill(worker)
        self._fail(worker, f"{sentence}; {lost} batches in flight are lost")

    def _fail(self, worker: RayWorker, sentence: str) -> None:
        """Use one restart of the worker's budget."""
        error = EnvironmentFailure(sentence)
        pause = worker.budget.next_pause()
        if pause is None:
            worker.error = error
            self._kill(worker)
            return
        self._on_failure(worker.arguments.index, error)
        worker.next_start = time.monotonic() + pause

    def _kill(self, worker: RayWorker) -> int:
        if worker.actor is not None:
            self._ray.kill(worker.actor)
        return worker.forget()


def _reason(error: Exception) -> str:
    """Why a worker died: the error that it raised when it was made, such as a module that it could not import, or Ray's."""
    first, _, rest = str(error).strip().partition("\n")
    return rest.rpartition("\n")[2].strip() if "creation task" in first else type(error).__name__
