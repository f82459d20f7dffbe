"""The archive of a run: what a checkpoint holds, when it is saved, and how a training goes on from one."""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config import ARCHITECTURE_FIELDS, folder_name, recorded, run_folder
from agent.crew import Crew
from agent.environment import env_spec, trained_env_spec
from agent.policy import Critic, Policy
from agent.provenance import provenance
from agent.retention import judged, superfluous, superfluous_replays
from agent.scaling import Scaling
from agent.snapshots import restore_newest, write_snapshot
from params import TrainParams
from utils.checkpoints import Checkpoint, checkpoint_path, list_checkpoints, list_snapshots, newest_checkpoint
from utils.console import Console
from utils.errors import CheckpointError, StorageError
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay
from utils.runs import Run
from utils.saver import Saver
from utils.sealed_folder import remove_sealed, write_sealed

if TYPE_CHECKING:
    from agent.learner import Learner  # TensorFlow, which nothing here needs

STATE = "state.json"
LEARNER = "learner.npz"
SLOW_DISK = 600.0  # seconds that a save may take before it counts as failed


class Archive:
    """Saves and restores one run. Counts the run's environment steps and seconds across restarts."""

    def __init__(
        self,
        run: Run,
        params: TrainParams,
        scaling: Scaling,
        learner: "Learner",
        crew: Crew,
        replay: PrioritisedReplay,
        limiter: RateLimiter,
        console: Console,
        incarnation: int = 0,
    ):
        self._run, self._params, self._scaling, self._console = run, params, scaling, console
        self._learner, self._crew, self._replay, self._limiter = learner, crew, replay, limiter
        self._incarnation = incarnation
        self._saver = Saver("saver")
        self._begun = time.monotonic()
        self._env_steps_before = 0
        self._seconds_before = 0.0
        self._handed_over: int | None = None  # the last learner step that the saver was given
        self._saved_step: int | None = None  # the last that is on the disk
        self._replay_step: int | None = None  # of the replay that is on the disk
        self._failure: StorageError | None = None  # of the last save

    @property
    def env_step(self) -> int:
        """Environment steps of the run across restarts, each repetition of an action included."""
        return self._env_steps_before + self._limiter.inserts + self._crew.repeated_steps

    @property
    def episodes(self) -> int:
        """Finished episodes of the whole run, as far as its agents still exist."""
        return sum(agent.noise.episodes for agent in self._crew.agents)

    @property
    def seconds(self) -> float:
        """Seconds spent training in the whole run."""
        return self._seconds_before + time.monotonic() - self._begun

    def start_clock(self) -> None:
        """Count seconds from now: what came before was preparation."""
        self._begun = time.monotonic()

    @property
    def saved_step(self) -> int | None:
        """The learner step of the newest checkpoint that is on the disk; None while there is none."""
        return self._saved_step

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint that is on the disk."""
        return self.path(self._saved_step) if self._saved_step is not None else None

    def path(self, learner_step: int) -> Path:
        """Where the checkpoint of a learner step lives."""
        return checkpoint_path(self._run.folder, folder_name(self._params.env), learner_step)

    def save(self) -> None:
        """Copy the learner as it is now and have the saver write it, from time to time with the replay.

        From the learner's thread. A save that fails is said, and the next one tries again. In the synchronous mode each
        has the replay, and this returns when all is on the disk.
        """
        number = self._learner.learner_step // self._params.save_ckpt_step
        with_replay = self._params.synchronous or number % self._params.save_replay_every == 0
        self._hand_over(with_replay)
        if self._params.synchronous:
            self.finish()

    def save_last(self, patience: float = SLOW_DISK) -> Path:
        """Save the learner, which has ended, with the replay; returns where. Raises StorageError."""
        step = self._learner.learner_step
        if self._handed_over != step or self._failure is not None:
            self._hand_over(with_replay=True)
        elif self._replay_step != step and self._params.save_replay:
            self._saver.submit(partial(self._write_replay, step))
        self.finish(patience)
        if self._failure is not None:
            raise self._failure
        return self.path(step)

    def finish(self, patience: float = SLOW_DISK) -> None:
        """Wait for what is being written. Raises StorageError when the disk takes longer than `patience` seconds."""
        if not self._saver.wait(patience):
            raise StorageError(
                f"{self._run.folder} takes more than {patience:g} seconds to write a checkpoint; it is given up."
            )

    def reload(self) -> bool:
        """Put the learner back to the newest whole checkpoint of this run; False when there is none."""
        self.finish()
        newest, _ = newest_checkpoint(self._run.folder)
        if newest is None:
            return False
        self._learner.restore(newest.arrays(LEARNER), self._learner.learner_step)
        self._console.say(f"The learner's numbers went bad, so its networks are again those of {newest.path.name}.")
        return True

    def restore(self, checkpoint: Checkpoint) -> list[str]:
        """Go on from a checkpoint, and from the newest whole replay. Returns sentences on what is not as it was.

        Raises CheckpointError listing what does not fit: another environment or other sizes.
        """
        trained_env_spec(checkpoint, self._params)  # raises where code or keyword arguments differ
        then, now = checkpoint.manifest.get("params", {}), recorded(self._params)
        changed = {name: (then.get(name), value) for name, value in now.items() if name in then and then.get(name) != value}
        unfit = [f"{name} was {changed[name][0]} and is {changed[name][1]}" for name in ARCHITECTURE_FIELDS if name in changed]
        if unfit:
            raise CheckpointError(f"{checkpoint.path} cannot be continued with these parameters: {'; '.join(unfit)}.")
        self._learner.restore(checkpoint.arrays(LEARNER), checkpoint.step)
        try:
            self._crew.restore(checkpoint.json(STATE)["agents"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{checkpoint.path / STATE} does not hold the agents' state: {error!r}.") from None
        self._seconds_before = float(checkpoint.manifest.get("seconds", 0.0))
        notes = [f"{name} was {old} and is {new} from here on." for name, (old, new) in changed.items()]
        if checkpoint.path.parent == self._run.folder:
            self._saved_step = self._handed_over = checkpoint.step
            replay_step, passed_over = restore_newest(checkpoint, self._replay, self._limiter)
            self._replay_step = replay_step
            notes += passed_over
            if replay_step is None:
                notes.append("There is no replay to go on with, so it starts empty.")
            else:
                notes.append(f"The replay is that of learner step {replay_step:,}, {len(self._replay):,} transitions.")
            if self._params.synchronous and replay_step != checkpoint.step:
                notes.append("It is not of the checkpoint's own step, so this run will not be the same bit for bit.")
        else:
            notes.append("The replay starts empty.")
        self._env_steps_before = int(checkpoint.manifest.get("env_step", 0)) - self._limiter.inserts - self._crew.repeated_steps
        return notes

    # ---- saving

    def _hand_over(self, with_replay: bool) -> None:
        step = self._learner.learner_step
        state = {"incarnation": self._incarnation, "agents": self._crew.state()}
        policy, critic, arrays = self._learner.snapshot()
        files = {Policy.FILE: policy.arrays(), Critic.FILE: critic.arrays(), LEARNER: arrays, STATE: state}
        manifest = {
            "run_id": self._run.run_id,
            "learner_step": step,
            "env_step": self.env_step,
            "seconds": round(self.seconds, 1),
            "env": self._params.env,
            "env_spec": dataclasses.asdict(env_spec(self._params)),
            "obs_size": len(self._scaling.obs_mean),
            "action_low": self._scaling.action_low.tolist(),
            "action_high": self._scaling.action_high.tolist(),
            "params": recorded(self._params),
            **provenance(),
        }
        self._handed_over = step
        self._saver.submit(partial(self._write, step, files, manifest, with_replay and self._params.save_replay))

    def _write(self, step: int, files: dict[str, Any], manifest: dict[str, Any], with_replay: bool) -> None:
        """In the saver's thread: the replay first, then the checkpoint, then what is no longer needed goes."""
        if with_replay and self._run.is_held():
            self._write_replay(step)
        try:
            if not self._run.is_held():
                raise StorageError(f"{self._run.folder} was removed or moved while training in it.")
            path = self.path(step)
            write_sealed(path, files, manifest)
            Checkpoint(path).verify()
            self._saved_step, self._failure = step, None
            self._run.report("training", step)
            self._prune()
            self._prune_replays()
        except (StorageError, CheckpointError) as error:
            self._failure = StorageError(str(error))
            self._console.say(f"{error} The checkpoints before it are kept, and the next one will be tried.")

    def _write_replay(self, step: int) -> None:
        try:
            write_snapshot(self._run.folder, self._run.run_id, step, self._replay, self._limiter)
        except StorageError as error:
            self._console.say(f"{error} Without it a resumed run would go on with an older replay, or an empty one.")
            return
        self._replay_step = step
        self._prune_replays()

    def _prune(self) -> None:
        """Remove the oldest checkpoints. The newest has just been verified."""
        tested, best = judged(run_folder(self._params.results_dir, self._params), self._run.run_id)
        for path in superfluous(list_checkpoints(self._run.folder), self._params.max_ckpts, tested, best):
            remove_sealed(path)

    def _prune_replays(self) -> None:
        """Remove the replays that nobody would go on with any more."""
        for path in superfluous_replays(list_snapshots(self._run.folder), self._replay_step, self._saved_step):
            remove_sealed(path)
