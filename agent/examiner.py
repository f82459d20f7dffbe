"""The examiner: scores each new checkpoint beside the training, to end it when it is good enough."""

from collections.abc import Callable
from threading import Event

from agent.archive import Archive
from agent.evaluation import evaluate
from agent.policy import Policy
from utils.checkpoints import Checkpoint
from utils.console import Console
from utils.envs import Environment
from utils.errors import CheckpointError

EPISODES = 20
FIRST_SEED = 2_000_000  # neither those of test.py nor those of the watcher: they choose, and may not judge


class Examiner:
    """Ends when a checkpoint of the archive reaches `goal`, the mean return over EPISODES noise-free episodes."""

    def __init__(self, goal: float, archive: Archive, make: Callable[[], Environment], console: Console):
        self._goal, self._archive, self._make, self._console = goal, archive, make, console

    def run(self, stop: Event) -> None:
        """Score each new checkpoint until one is good enough or until told to stop."""
        examined = None
        while not stop.wait(0.5):
            path = self._archive.newest
            if path is None or path == examined:
                continue
            examined = path
            try:
                policy = Policy.of(Checkpoint(path))
            except CheckpointError:
                continue  # it was pruned in this very moment; a newer one is there
            score = evaluate(policy, self._make, range(FIRST_SEED, FIRST_SEED + EPISODES), stop=stop.is_set)
            if stop.is_set():
                return
            self._console.say(f"Learner step {policy.version:,}: {score.mean:.1f} over {EPISODES} noise-free episodes.")
            if score.mean >= self._goal:
                return
