"""The result of a run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agent.evaluation import Score
from agent.policy import Policy
from utils.errors import CheckpointError


@dataclass(frozen=True)
class Result:
    """The end of a run. `score` is None where the run was interrupted or could not be scored.

    `checkpoint` is the newest that was saved. It is None only where the learner hung before its first one.
    """

    checkpoint: Path | None
    score: Score | None
    learner_step: int
    env_steps: int
    seconds: float
    status: str  # "done" or "stopped"

    @cached_property
    def policy(self) -> Policy:
        """The policy of the checkpoint. Raises CheckpointError where there is none."""
        if self.checkpoint is None:
            raise CheckpointError("the run ended before its first checkpoint, so it has no policy.")
        return Policy.load(self.checkpoint)
