"""The logs of a run as a callback: CSV files and TensorBoard."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config import recorded
from agent.policy import Critic
from agent.training.callbacks.callback import Callback, FinishedEpisode, RunInfo, Status
from agent.training.callbacks.histograms import add_histograms
from agent.training.callbacks.recording import record_checkpoint
from utils.errors import StorageError, ToolkitError
from utils.logs import Metrics
from utils.storage.run_folder import move_aside
from utils.tensorboard import TensorBoardWriter

if TYPE_CHECKING:
    from agent.training.result import Result

# The TensorBoard group of each column of learner.csv.
GROUPS = {
    "env_step": "progress/",
    "seconds": "progress/",
    "updates_per_s": "speed/",
    "env_steps_per_s": "speed/",
    "critic_loss": "loss/",
    "kl_divergence": "loss/",
    "target_entropy": "loss/",
    "actor_loss": "loss/",
    "critic_learning_rate": "loss/",
    "mean_q": "value/",
    "saturated_actions": "value/",
    "td_error": "value/",
    "v_min_raw": "support/",
    "v_max_raw": "support/",
    "target_mass_below": "support/",
    "target_mass_above": "support/",
    "beta": "replay/",
    "mean_importance_weight": "replay/",
    "policy_lag": "speed/",
    "samples_per_insert": "replay/",
    "replay_size": "replay/",
    "mean_priority": "replay/",
    "skipped_updates": "faults/",
    "invalid_priorities": "faults/",
    "clipped_priorities": "faults/",
    "env_failures": "faults/",
}
# The same for agents.csv: the episodes of all agents, by learner step.
EPISODE_GROUPS = {"return": "rollout/", "length": "rollout/", "noise": "rollout/"}


class Logs(Callback):
    """Writes learner.csv (a row about every five seconds), agents.csv (a row for each episode), and both to TensorBoard.

    TensorBoard also gets histograms at each checkpoint, and at the end the parameters with the score and a recording.
    A log that cannot be written is reported once.
    """

    is_optional = True

    def __init__(self) -> None:
        self._writer: TensorBoardWriter | None = None

    def on_start(self, run: RunInfo) -> None:
        """Open the logs, cut at the steps that the run continues from. Raises StorageError."""
        self._run = run
        learner_step, env_step = run.resumed_step or (None, None)
        if run.resumed_step is None:  # earlier logs in this folder belong to another run
            paths = [run.logs / name for name in ("learner.csv", "agents.csv", "tensorboard")]
            move_aside([path for path in paths if path.exists()])
        try:
            self._writer = TensorBoardWriter(run.logs / "tensorboard", resumed_after=learner_step)
        except OSError as error:
            raise StorageError(f"{run.logs} cannot be written: {error}. Choose another with --log-dir.") from None
        self._learner = Metrics(run.logs / "learner.csv", "learner_step", self._writer, keep_through=learner_step)
        self._agents = Metrics(run.logs / "agents.csv", "env_step", self._writer, keep_through=env_step)

    def on_episode(self, episode: FinishedEpisode) -> None:
        """Write a row of agents.csv."""
        self._agents.write(
            episode.env_step,
            group=EPISODE_GROUPS,
            tensorboard_step=episode.learner_step,
            agent=episode.agent,
            **{"return": round(episode.episode_return, 4)},
            length=episode.length,
            noise=round(episode.noise, 6),
        )

    def on_metrics(self, learner_step: int, metrics: Mapping[str, float]) -> None:
        """Write a row of learner.csv."""
        row: dict[str, Any] = dict(metrics)
        self._learner.write(learner_step, group=GROUPS, **row)

    def on_tick(self, status: Status) -> None:
        """Report a log that could not be written."""
        self._report_failures()

    def on_checkpoint(self, path: Path) -> None:
        """Add histograms of the return distribution and of the priorities."""
        alpha = self._run.config.priority_alpha
        self._learner.write_to_tensorboard(lambda writer: add_histograms(writer, Critic.load(path), self._run.replay, alpha))

    def on_end(self, result: "Result") -> None:
        """Add the parameters with the score, and a recording of the policy."""
        run, score, step = self._run, result.score, result.learner_step
        if score is None or result.checkpoint is None:
            return
        settings = {name: str(value) if isinstance(value, list) else value for name, value in recorded(run.config).items()}
        self._learner.write_to_tensorboard(lambda writer: writer.hparams(settings, {"score/final": score.mean}, step))
        recording = self._recording(result.checkpoint)
        if recording is not None:
            self._learner.write_to_tensorboard(lambda writer: writer.gif("recording", recording, step))
        self._report_failures()

    def close(self) -> None:
        """Finish the event file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _report_failures(self) -> None:
        for log in (self._learner, self._agents):
            if log.failure:
                self._run.console.say_once(f"Training continues without the lost log lines: {log.failure}.")

    def _recording(self, checkpoint: Path) -> bytes | None:
        run = self._run
        try:
            with contextlib.closing(run.make_env()) as env:
                if "rgb_array" not in env.render_modes:
                    return None
            return record_checkpoint(run.config, checkpoint, run.is_interrupted)
        except (OSError, ToolkitError) as error:
            if not run.is_interrupted():
                run.console.say(f"TensorBoard shows no recording of {checkpoint.name}: {error}")
            return None
