"""Ends a run when a checkpoint reaches a score."""

from pathlib import Path

from agent.evaluation import evaluate
from agent.policy import Policy
from agent.training.callbacks.callback import Callback, RunInfo
from utils.errors import CheckpointError, EnvironmentFailure
from utils.storage.checkpoints import Checkpoint

EPISODES = 20
FIRST_SEED = 2_000_000  # used by neither test.py nor the watcher: a score that ends a run must not be its published score


class StopAtScore(Callback):
    """Scores each new checkpoint and ends the run at the first mean return over EPISODES episodes that reaches `goal`."""

    slow = True

    def __init__(self, goal: float):
        self._goal = goal

    def on_start(self, run: RunInfo) -> None:
        """Keep the run."""
        self._run = run

    def on_checkpoint(self, path: Path) -> bool:
        """Score the checkpoint; True when it reaches the goal."""
        try:
            policy = Policy.of(Checkpoint(path))
        except CheckpointError:
            return False  # it was pruned, so a newer one exists
        seeds = range(FIRST_SEED, FIRST_SEED + EPISODES)
        try:
            score = evaluate(policy, self._run.make_env, seeds, stop=self._run.stop.is_set)
        except EnvironmentFailure as error:  # the training replaces such an environment and goes on
            self._run.console.say(f"{path.name} could not be scored: {error}.")
            return False
        if len(score.episodes) < EPISODES:
            return False
        self._run.console.say(f"Learner step {policy.version:,}: {score.mean:.1f} over {EPISODES} noise-free episodes.")
        return score.mean >= self._goal
