"""The checkpoints of a run: their content, when they are saved, and how a run continues from one."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from agent.config import ARCHITECTURE_FIELDS, SCORE_SEEDS, folder_name, recorded, run_folder
from agent.environment import env_spec, trained_env_spec
from agent.policy import Critic, Policy
from agent.training.parts import Parts
from agent.training.provenance import provenance
from params import TrainParams
from utils.console import Console
from utils.errors import CheckpointError, StorageError
from utils.replay.snapshots import restore_newest, write_snapshot
from utils.storage.background_writer import BackgroundWriter
from utils.storage.checkpoints import Checkpoint, checkpoint_path, list_checkpoints, list_snapshots, newest_checkpoint
from utils.storage.retention import judged, superfluous, superfluous_replays
from utils.storage.run_folder import Run
from utils.storage.verified_folder import remove_verified, write_verified

STATE = "state.json"
LEARNER = "learner.npz"
SLOW_DISK = 600.0  # seconds that a save may take before it counts as failed


def check_architecture(checkpoint: Checkpoint, params: TrainParams) -> None:
    """Raise CheckpointError with each of ARCHITECTURE_FIELDS that differs from the recorded one."""
    changed = _changed(checkpoint, params)
    unfit = [f"{name} was {changed[name][0]} and is {changed[name][1]}" for name in ARCHITECTURE_FIELDS if name in changed]
    if unfit:
        raise CheckpointError(f"{checkpoint.path} cannot be continued with these parameters: {'; '.join(unfit)}.")


def _changed(checkpoint: Checkpoint, params: TrainParams) -> dict[str, tuple[Any, Any]]:
    then, now = checkpoint.manifest.get("params", {}), recorded(params)
    return {name: (then[name], value) for name, value in now.items() if name in then and then[name] != value}


class Checkpointer:
    """Saves and restores the parts of one run."""

    def __init__(
        self,
        run: Run,
        params: TrainParams,
        parts: Parts,
        resume_count: int,
        on_saved: Callable[[Path], None],
        console: Console,
    ):
        """`on_saved(path)` is called from the writer's thread for each checkpoint that is on the disk."""
        self._run, self._params, self._parts, self._console = run, params, parts, console
        self._resume_count, self._on_saved = resume_count, on_saved
        self._writer = BackgroundWriter("checkpoint writer")
        self._submitted_step: int | None = None  # the last learner step that the writer was given
        self._saved_step: int | None = None  # the last that is on the disk
        self._replay_step: int | None = None  # of the replay that is on the disk
        self._failure: StorageError | None = None  # of the last save

    @property
    def saved_step(self) -> int | None:
        """The learner step of the newest checkpoint that is on the disk; None while there is none."""
        return self._saved_step

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint that is on the disk."""
        return self.path(self._saved_step) if self._saved_step is not None else None

    def path(self, learner_step: int) -> Path:
        """The path of the checkpoint of a learner step."""
        return checkpoint_path(self._run.folder, folder_name(self._params.env), learner_step)

    def save(self) -> None:
        """Copy the learner and hand it to the writer's thread, the first one and every save_replay_every with the replay.

        Call it from the learner's thread. A failed save is reported, and the next one tries again. In the synchronous mode
        every checkpoint has the replay, and this returns when it is on the disk.
        """
        number = self._parts.learner.learner_step // self._params.save_ckpt_step
        is_due = self._replay_step is None or number % self._params.save_replay_every == 0
        self._submit(with_replay=self._params.synchronous or is_due)
        if self._params.synchronous:
            self.finish()

    def save_last(self, patience: float = SLOW_DISK) -> Path:
        """Save the learner, which has ended, with the replay. Returns the path. Raises StorageError."""
        deadline = time.monotonic() + patience
        self.finish(patience)  # after it, the steps below say what the disk holds
        step = self._parts.learner.learner_step
        if self._submitted_step != step or self._failure is not None:
            self._submit(with_replay=True)
        elif self._replay_step != step and self._params.save_replay:
            self._writer.submit(partial(self._write_replay, step))
        self.finish(max(0.0, deadline - time.monotonic()))
        if self._failure is not None:
            raise self._failure
        return self.path(step)

    def finish(self, patience: float = SLOW_DISK) -> None:
        """Wait for the saves in progress. Raises StorageError when the disk takes longer than `patience` seconds."""
        if not self._writer.wait(patience):
            raise StorageError(
                f"{self._run.folder} takes more than {patience:g} seconds to write a checkpoint; it is given up."
            )

    def close(self, patience: float = SLOW_DISK) -> bool:
        """End the writer's thread after the waiting saves. Returns whether it ended within `patience` seconds."""
        return self._writer.close(patience)

    def reload(self) -> bool:
        """Restore the learner from the newest valid checkpoint of this run; False when there is none."""
        self.finish()
        newest, _ = newest_checkpoint(self._run.folder)
        if newest is None:
            return False
        step = self._parts.learner.learner_step
        self._parts.learner.restore(newest.arrays(LEARNER), step, newest.json(STATE).get("scaling"))
        self._console.say(f"The learner's numbers went bad, so its networks are again those of {newest.path.name}.")
        return True

    def restore(self, checkpoint: Checkpoint) -> list[str]:
        """Continue from a checkpoint and the newest valid replay. Returns a sentence for each difference from the saved run.

        Raises CheckpointError listing all that does not fit: another environment or other sizes.
        """
        trained_env_spec(checkpoint, self._params)  # raises where code or keyword arguments differ
        check_architecture(checkpoint, self._params)
        state = checkpoint.json(STATE)
        try:
            self._parts.learner.restore(checkpoint.arrays(LEARNER), checkpoint.step, state.get("scaling"))
            self._parts.workers.restore(state["agents"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{checkpoint.path / STATE} does not hold the run's state: {error!r}.") from None
        manifest = checkpoint.manifest
        self._parts.counters.restore(int(manifest.get("env_step", 0)), float(manifest.get("seconds", 0.0)))
        changed = _changed(checkpoint, self._params)
        notes = [f"{name} was {old} and is {new} from here on." for name, (old, new) in changed.items()]
        if checkpoint.path.parent == self._run.folder:
            self._saved_step = self._submitted_step = checkpoint.step
            replay_step, passed_over = restore_newest(checkpoint, self._parts.replay, self._parts.limiter)
            self._replay_step = replay_step
            notes += passed_over
            if replay_step is None:
                notes.append("There is no replay to go on with, so it starts empty.")
            else:
                notes.append(f"The replay is that of learner step {replay_step:,}, {len(self._parts.replay):,} transitions.")
            if self._params.synchronous and replay_step != checkpoint.step:
                notes.append("It is not of the checkpoint's own step, so this run will not be the same bit for bit.")
        else:
            notes.append("The replay starts empty.")
        return notes

    # ---- saving

    def _submit(self, with_replay: bool) -> None:
        step = self._parts.learner.learner_step
        state = {
            "resume_count": self._resume_count,
            "agents": self._parts.workers.state(),
            "scaling": self._parts.learner.scaling.state(),
        }
        policy, critic, arrays = self._parts.learner.snapshot()
        files = {Policy.FILE: policy.arrays(), Critic.FILE: critic.arrays(), LEARNER: arrays, STATE: state}
        scaling = policy.scaling
        manifest = {
            "run_id": self._run.run_id,
            "learner_step": step,
            "env_step": self._parts.counters.env_steps,
            "seconds": round(self._parts.counters.seconds, 1),
            "env": self._params.env,
            "env_spec": dataclasses.asdict(env_spec(self._params)),
            "obs_size": len(scaling.obs_mean),
            "action_low": scaling.action_low.tolist(),
            "action_high": scaling.action_high.tolist(),
            "params": recorded(self._params),
            **provenance(),
        }
        self._submitted_step = step
        self._writer.submit(partial(self._write, step, files, manifest, with_replay and self._params.save_replay))

    def _write(self, step: int, files: dict[str, Any], manifest: dict[str, Any], with_replay: bool) -> None:
        """Runs in the writer's thread. Writes the replay, then the checkpoint, then removes what is no longer needed."""
        if with_replay and self._run.is_held():
            self._write_replay(step)
        try:
            if not self._run.is_held():
                raise StorageError(f"{self._run.folder} was removed or moved while training in it.")
            path = self.path(step)
            write_verified(path, files, manifest)
            Checkpoint(path).verify()
            self._saved_step, self._failure = step, None
            self._on_saved(path)
            self._run.report("training", step)
            self._prune()
            self._prune_replays()
        except (StorageError, CheckpointError) as error:
            self._failure = StorageError(str(error))
            self._console.say(f"{error} The checkpoints before it are kept, and the next one will be tried.")

    def _write_replay(self, step: int) -> None:
        try:
            write_snapshot(self._run.folder, self._run.run_id, step, self._parts.replay, self._parts.limiter)
        except StorageError as error:
            self._console.say(f"{error} Without it a resumed run would go on with an older replay, or an empty one.")
            return
        self._replay_step = step
        self._prune_replays()

    def _prune(self) -> None:
        """Remove the oldest checkpoints. The newest has just been verified."""
        tested, best = judged(run_folder(self._params.results_dir, self._params), self._run.run_id, *SCORE_SEEDS)
        for path in superfluous(list_checkpoints(self._run.folder), self._params.max_ckpts, tested, best):
            remove_verified(path)

    def _prune_replays(self) -> None:
        """Remove the replays that no checkpoint needs any more."""
        for path in superfluous_replays(list_snapshots(self._run.folder), self._replay_step, self._saved_step):
            remove_verified(path)
