"""The result of a run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agent.evaluation import Score
from agent.policy import Policy


@dataclass(frozen=True)
class Result:
    """The end of a run. `score` is None where the run was interrupted or could not be scored."""

    checkpoint: Path
    score: Score | None
    learner_step: int
    env_steps: int
    seconds: float
    status: str  # "done" or "stopped"

    @cached_property
    def policy(self) -> Policy:
        """The policy of the checkpoint."""
        return Policy.load(self.checkpoint)
