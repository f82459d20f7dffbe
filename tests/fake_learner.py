"""A run whose learner does not learn, so that no TensorFlow is loaded."""

import sys
from types import SimpleNamespace

import numpy as np
from factories import ATOMS, make_networks, make_replay, make_scaling

from agent.agent import Agent
from agent.environment import env_spec
from agent.scaling import Scaling
from agent.training.checkpointer import Checkpointer
from agent.training.counters import RunCounters
from agent.training.parts import Parts
from agent.training.workers.pool import WorkerPool
from params import TrainParams
from utils.console import Console
from utils.replay.rate_limiter import RateLimiter
from utils.replay.transitions import TransitionBatch
from utils.storage.run_folder import Run

PENDULUM = make_scaling(3, low=np.array([-2.0], np.float32), high=np.array([2.0], np.float32))


class FrozenScaling:
    """Follows nothing."""

    support = SimpleNamespace(bounds=(-2000.0, 0.0))

    def observe(self, batch):
        """Forget the batch."""

    def state(self):
        return {}


class FrozenLearner:
    """Has small networks. Only its learner step changes."""

    def __init__(self, scaling=PENDULUM):
        self.policy, self.critic = make_networks(scaling, ATOMS)
        self.learner_step = 0
        self.scaling = FrozenScaling()

    def snapshot(self):
        """The networks, and the step in place of a learner's arrays."""
        return self.policy, self.critic, {"step": np.array(self.learner_step)}

    def restore(self, arrays, learner_step, scaling=None):
        """Take over the step of a snapshot."""
        self.learner_step = int(arrays["step"])
        assert self.learner_step <= learner_step


class FakeTrainerLearner(FrozenLearner):
    """A learner that a Trainer can run: each learner step takes a batch from the limiter and changes nothing."""

    skipped_updates = 0
    averages = SimpleNamespace(take=dict)

    def __init__(self, params, scaling, replay, rng, say):
        super().__init__(scaling)
        self._params = params

    def beta(self, learner_step):
        """An importance-sampling exponent."""
        return 1.0

    def rate_factor(self, learner_step):
        """A factor on the learning rates."""
        return 1.0

    def run(self, limiter, stop, checkpointer):
        """Count learner steps until num_steps_train or `stop`; save where a checkpoint is due."""
        while self.learner_step < self._params.num_steps_train and limiter.may_sample(self._params.batch_size, stop):
            self.learner_step += 1
            if self.learner_step % self._params.save_ckpt_step == 0:
                checkpointer.save()


def use_fake_learner(monkeypatch, learner=FakeTrainerLearner):
    """Let every Trainer of the test have this learner, which learns nothing. TensorFlow is not imported."""
    omit_recording(monkeypatch)
    monkeypatch.setitem(sys.modules, "agent.learning.learner", SimpleNamespace(Learner=learner))


def omit_recording(monkeypatch):
    """Let trainings of the test end without the recording for TensorBoard, which takes a process of its own."""
    monkeypatch.setattr("agent.training.callbacks.logs.Logs._recording", lambda logs, checkpoint: None)


class FakeRun:
    """A run in `folder` that saves what a training saves, whenever it is told to."""

    def __init__(self, folder, capacity=64, **changes):
        given = {"v_min": -20.0, "v_max": 0.0, "num_agents": 2, "save_ckpt_step": 10, "results_dir": str(folder / "results")}
        self.params = params = TrainParams(**given | changes)
        scaling = Scaling.from_env(env_spec(params).make(), params)
        self.run = Run(folder)
        self.learner = FrozenLearner()
        self.replay = make_replay(capacity, 3, 1)
        self.limiter = RateLimiter(1.0, 10, 1000.0)

        def make_agent(index):
            return Agent(index, env_spec(params).make, params, scaling, np.random.SeedSequence(index))

        console = Console()
        self.workers = WorkerPool(make_agent, params.num_agents, 10, 60.0, print, folder / "stacks.txt", console)
        self.counters = RunCounters()
        parts = Parts(self.learner, self.workers, self.counters, self.replay, self.limiter)
        self.checkpointer = Checkpointer(self.run, params, parts, 0, lambda path: None, console)

    def advance(self, learner_step, transitions=16):
        """Go to a later step and add transitions, each of which carries its number in every column."""
        self.learner.learner_step = learner_step
        self.replay.add(numbered(self.limiter.inserts + np.arange(transitions)))
        self.limiter.inserted(transitions)
        self.counters.add_env_steps(transitions)

    def save(self, learner_step):
        """Advance, save, and wait until all is on the disk."""
        self.advance(learner_step)
        self.checkpointer.save()
        self.checkpointer.finish()


def numbered(numbers):
    """Transitions that carry their number in every column, each in another way. Exact in float32 below 2**22."""
    numbers = np.asarray(numbers, np.float32)
    obs = np.stack([numbers, numbers + 0.25, -numbers], axis=1)
    return TransitionBatch(obs, numbers[:, None] + 0.5, -numbers, numbers / 2, obs + 1)


def numbers_of(rows):
    """The numbers of such transitions in a sample or a snapshot's rows, once every column was seen to agree on them."""
    column = rows.__getitem__ if isinstance(rows, np.ndarray) else rows._asdict().__getitem__
    numbers = column("obs")[..., 0]
    expected = numbered(numbers.ravel())
    for name in ("obs", "action", "reward", "discount", "next_obs"):
        if not np.array_equal(column(name).reshape(getattr(expected, name).shape), getattr(expected, name)):
            raise AssertionError(f"a torn row: {name}")
    return numbers
