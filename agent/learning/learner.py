"""The learner: samples batches, updates the networks, returns the losses as priorities and publishes the policy."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any, NamedTuple, Protocol

import numpy as np

from agent.learning import networks
from agent.learning.running_scaling import RunningScaling
from agent.learning.update import CompiledUpdate, UpdateResult
from agent.policy import Critic, Policy
from agent.scaling import Scaling
from params import TrainParams
from utils.errors import DivergenceError
from utils.replay.prioritised import PrioritisedReplay, Sample
from utils.replay.rate_limiter import RateLimiter
from utils.storage.arrays import Arrays

MOST_SKIPPED = 10  # updates in a row
LOWEST_RATE = 0.01  # share of a learning rate below which its schedule does not go: the last steps of a run still learn


class CheckpointSaver(Protocol):
    """Saves and reloads the learner's checkpoints (agent/training/checkpointer.py)."""

    def save(self) -> None:
        """Save the learner's current state."""
        ...

    def reload(self) -> bool:
        """Load the newest valid checkpoint into the learner; False when there is none."""
        ...


class Call(NamedTuple):
    """A finished compiled call: the ids of its transitions [updates, B], the learner step after it, and its scaling."""

    ids: np.ndarray
    result: UpdateResult
    learner_step: int
    scaling: Scaling


class Learner:
    """Owns the `update` and with it the networks. Publishes `policy`, an immutable copy, after each call.

    `policy` is None until the first update or restore; until then agents act at random.
    """

    def __init__(
        self,
        params: TrainParams,
        scaling: Scaling,
        replay: PrioritisedReplay,
        rng: np.random.Generator,
        say: Callable[[str], object] = lambda sentence: None,
    ):
        """`say` gets a sentence for each move of an automatic support."""
        self._params, self._replay = params, replay
        self.update = CompiledUpdate(params, scaling, rng)
        self.scaling = RunningScaling(params, scaling, self.update, say)
        self.learner_step = 0
        self.skipped_updates = 0  # whose numbers were not finite
        self._skipped_in_a_row = 0
        self._has_reloaded = False
        self.policy: Policy | None = None
        self.averages = MetricMeans()

    # ---- learning

    def step(self, sample: Sample | None = None) -> None:
        """One compiled call: as many updates as are due (at most updates_per_call), in the order of their batches.

        Draws the batches itself when `sample` is not given. Priorities go back to the replay, and `policy` is replaced by
        a new object. An update whose numbers are not finite changes no weight and is counted.
        """
        self._hand_over(self._call(sample or self._draw(self.learner_step)))

    def advance(self, checkpointer: CheckpointSaver) -> None:
        """One step. Saves a checkpoint where one is due; reloads the last one after MOST_SKIPPED skipped updates in a row.

        Raises DivergenceError where a second reload would be needed, and where there is no checkpoint.
        """
        self.step()
        self._settle(checkpointer)

    def run(self, limiter: RateLimiter, stop: Event, checkpointer: CheckpointSaver) -> None:
        """Advance until num_steps_train or until told to stop, at the pace the limiter allows.

        The compiled call does not hold the interpreter's lock. While it computes, a second thread hands over the results
        of the previous call and draws the batches of the next. The learner's thread does almost nothing between two calls.
        """

        def draw(learner_step: int) -> Sample | None:
            count = self.updates_due(learner_step) * self._params.batch_size
            return self.update.to_tensors(self._draw(learner_step)) if count and limiter.may_sample(count, stop) else None

        call = None
        with ThreadPoolExecutor(1, thread_name_prefix="sampler") as beside:
            drawing = beside.submit(draw, self.learner_step)
            while (sample := drawing.result()) is not None:
                handing = beside.submit(self._hand_over, call)
                drawing = beside.submit(draw, self.learner_step + self.updates_due(self.learner_step))
                call = self._call(sample)
                handing.result()
                if self._is_bad() or self._is_save_due():  # a checkpoint includes the results of this call
                    self._hand_over(call)
                    call = None
                    self._settle(checkpointer)
            self._hand_over(call)

    def updates_due(self, learner_step: int) -> int:
        """Updates in the call that begins at `learner_step`: it ends at a checkpoint and at num_steps_train."""
        params = self._params
        to_checkpoint = params.save_ckpt_step - learner_step % params.save_ckpt_step
        return max(0, min(params.updates_per_call, to_checkpoint, params.num_steps_train - learner_step))

    def beta(self, learner_step: int) -> float:
        """The importance-sampling exponent at a learner step."""
        start, end = self._params.priority_beta_start, self._params.priority_beta_end
        return start + (end - start) * min(1.0, learner_step / self._params.num_steps_train)

    def rate_factor(self, learner_step: int) -> float:
        """The factor of learning_rate_schedule on both learning rates at a learner step; each call uses that of its first."""
        done = min(1.0, learner_step / self._params.num_steps_train)
        shapes = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 + 0.5 * math.cos(math.pi * done)}
        return max(LOWEST_RATE, shapes[self._params.learning_rate_schedule])

    def _draw(self, learner_step: int) -> Sample:
        betas = [[self.beta(learner_step + i)] for i in range(self._params.updates_per_call)]  # [U, 1]
        return self._replay.sample(self._params.updates_per_call, self._params.batch_size, np.array(betas))

    def _call(self, sample: Sample) -> Call:
        self.scaling.prepare()
        updates = self.updates_due(self.learner_step)
        self.update.set_rate_factor(self.rate_factor(self.learner_step))
        result = self.update(updates, self._skipped_in_a_row, sample)
        self.learner_step += updates
        self.skipped_updates += updates - result.finite
        self._skipped_in_a_row = result.skipped_in_a_row
        call = Call(sample.ids[:updates], result, self.learner_step, self.scaling.current)
        self.scaling.judge(result)
        return call

    def _hand_over(self, call: Call | None) -> None:
        """Hand the results of a call over: priorities to the replay, the policy to the agents, metrics to the averages."""
        if call is not None:
            self._replay.update_priorities(call.ids, call.result.priorities)
            self.policy = Policy(call.result.actor, call.scaling, call.learner_step)
            self.averages.add(call.result.sums, call.result.finite)

    def _settle(self, checkpointer: CheckpointSaver) -> None:
        if self._is_bad():
            if self._has_reloaded or not checkpointer.reload():
                raise DivergenceError(
                    f"the learner's numbers are no longer finite at learner step {self.learner_step}; lower its rates or "
                    "check the scales, and go on from the last checkpoint with --resume."
                )
            self._has_reloaded, self._skipped_in_a_row = True, 0
        elif self._is_save_due():
            checkpointer.save()

    def _is_bad(self) -> bool:
        return self._skipped_in_a_row >= MOST_SKIPPED

    def _is_save_due(self) -> bool:
        return self.learner_step % self._params.save_ckpt_step == 0

    # ---- checkpoints

    def snapshot(self) -> tuple[Policy, Critic, Arrays]:
        """The policy, the first critic, and all arrays of the learner's state. Call it from the learner's own thread."""
        policy, arrays = self._current_policy(), networks.named_arrays(self.update.critics[0])
        if self._params.value_head == "categorical":
            arrays["atoms"] = self.update.atoms
        critic = Critic(arrays, self.scaling.current, self.learner_step)
        if not all(np.isfinite(array).all() for network in (policy, critic) for array in network.weights().values()):
            raise DivergenceError("the networks hold numbers that are not finite; they are not saved.")
        return policy, critic, self.update.arrays()

    def restore(self, arrays: Arrays, learner_step: int, scaling: dict[str, Any] | None = None) -> None:
        """Load the arrays of a snapshot, and the state of its `scaling` where it is given.

        Raises CheckpointError naming every array that does not fit, and KeyError, TypeError or ValueError where `scaling` is
        invalid.
        """
        self.update.restore(arrays, learner_step)
        if scaling is not None:
            self.scaling.restore(scaling)
        self.learner_step = learner_step
        self.policy = self._current_policy()

    def _current_policy(self) -> Policy:
        return Policy(networks.named_arrays(self.update.actor), self.scaling.current, self.learner_step)


class MetricMeans:
    """Means of an update's metrics since they were last taken. The learner adds, another thread takes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums: dict[str, float] = {}
        self._updates = 0

    def add(self, sums: Mapping[str, float], updates: int) -> None:
        """Add the sums, by name, over a number of updates."""
        with self._lock:
            self._sums = {name: self._sums.get(name, 0.0) + value for name, value in sums.items()}
            self._updates += updates

    def take(self) -> dict[str, float]:
        """The means since the last call; empty when there was no update."""
        with self._lock:
            sums, updates = self._sums, self._updates
            self._sums, self._updates = {}, 0
        return {name: value / updates for name, value in sums.items()} if updates else {}
