"""The archive of a run: what a checkpoint holds, when it is saved, and how a training goes on from one."""

import dataclasses
import importlib.metadata
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.agent import Agent
from agent.policy import Scaling
from params import FOLDERS, TrainParams, folder_name
from utils.checkpoints import (
    Checkpoint,
    checkpoint_path,
    list_checkpoints,
    named_checkpoint,
    newest_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from utils.errors import CheckpointError
from utils.rate_limiter import RateLimiter
from utils.runs import Run, move_aside

if TYPE_CHECKING:
    from agent.learner import Learner  # TensorFlow, which nothing here needs

STATE = "state.json"
LEARNER = "learner.npz"

# Parameters that shape what learner.npz holds. With another value a checkpoint cannot be continued.
_SHAPING = (
    "env",
    "dense1_size",
    "dense2_size",
    "num_atoms",
    "v_min",
    "v_max",
    "use_batch_norm",
    "reward_scale",
    "obs_mean",
    "obs_scale",
)
# Parameters that say what to do with a run, not what the run is.
_ERRANDS = (*FOLDERS, "resume", "fresh", "ckpt_file", "run", "debug", "render", "max_minutes", "stop_at_score")


class Archive:
    """Saves and restores one run. Counts the run's environment steps and seconds across restarts."""

    def __init__(
        self,
        run: Run,
        params: TrainParams,
        scaling: Scaling,
        learner: "Learner",
        agents: list[Agent],
        limiter: RateLimiter,
        incarnation: int = 0,
    ):
        self._run, self._params, self._scaling = run, params, scaling
        self._learner, self._agents, self._limiter = learner, agents, limiter
        self._incarnation = incarnation
        self._begun = time.monotonic()
        self._env_steps_before = 0
        self._seconds_before = 0.0
        self._saved_step: int | None = None

    @property
    def env_step(self) -> int:
        """Environment steps of the whole run."""
        return self._env_steps_before + self._limiter.inserts

    @property
    def seconds(self) -> float:
        """Seconds spent training in the whole run."""
        return self._seconds_before + time.monotonic() - self._begun

    def start_clock(self) -> None:
        """Count seconds from now: what came before was preparation."""
        self._begun = time.monotonic()

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint that this training has saved."""
        return self.path(self._saved_step) if self._saved_step is not None else None

    def path(self, learner_step: int) -> Path:
        """Where the checkpoint of a learner step lives."""
        return checkpoint_path(self._run.folder, folder_name(self._params.env), learner_step)

    def save(self) -> Path:
        """Save the learner as it is now, unless that is on the disk already. From the learner's thread, or after it ended."""
        step = self._learner.learner_step
        path = self.path(step)
        if self._saved_step == step:
            return path
        manifest = {
            "run_id": self._run.run_id,
            "learner_step": step,
            "env_step": self.env_step,
            "seconds": round(self.seconds, 1),
            "env": self._params.env,
            "obs_size": len(self._scaling.obs_mean),
            "action_low": self._scaling.action_low.tolist(),
            "action_high": self._scaling.action_high.tolist(),
            "params": recorded(self._params),
            "versions": {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy", "gymnasium")},
        }
        state = {"incarnation": self._incarnation, "episodes": [agent.noise.episodes for agent in self._agents]}
        save_checkpoint(path, {**self._learner.snapshot(), STATE: state}, manifest)
        self._saved_step = step
        self._run.report("training", step)
        for old in list_checkpoints(self._run.folder)[: -self._params.max_ckpts]:
            remove_checkpoint(old)
        return path

    def restore(self, checkpoint: Checkpoint) -> list[str]:
        """Go on from a checkpoint. Returns a sentence on each parameter that is no longer what it was.

        Raises CheckpointError listing what does not fit: another environment or other sizes.
        """
        then, now = checkpoint.manifest.get("params", {}), recorded(self._params)
        changed = {name: (then.get(name), value) for name, value in now.items() if name in then and then.get(name) != value}
        unfit = [f"{name} was {changed[name][0]} and is {changed[name][1]}" for name in _SHAPING if name in changed]
        if unfit:
            raise CheckpointError(f"{checkpoint.path} cannot be continued with these parameters: {'; '.join(unfit)}.")
        self._learner.restore(checkpoint.arrays(LEARNER), checkpoint.step)
        for agent, episodes in zip(self._agents, checkpoint.json(STATE).get("episodes", []), strict=False):
            agent.noise.episodes = int(episodes)
        self._env_steps_before = int(checkpoint.manifest.get("env_step", 0))
        self._seconds_before = float(checkpoint.manifest.get("seconds", 0.0))
        if checkpoint.path.parent == self._run.folder:
            self._saved_step = checkpoint.step
        return [f"{name} was {old} and is {new} from here on." for name, (old, new) in changed.items()]


def checkpoint_to_continue(run: Run, params: TrainParams) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint that the flags ask to go on from, and what a person should know about the choice.

    None means a new run. Raises CheckpointError when a run shall be resumed of which no checkpoint is whole, and
    ParameterError when the folder holds a run and nothing says what to do with it.
    """
    notes = []
    named = None
    if params.ckpt_file is not None:  # before anything is moved
        named = Checkpoint(named_checkpoint(params.ckpt_file, run.folder)).verify()
    if params.fresh:
        aside = run.start_anew()
        notes += [f"The run that was here is now in {aside}."] if aside else []
        if named is not None and aside is not None and not named.path.exists():
            named = Checkpoint(aside / named.path.name)
    if named is not None:
        checkpoint = named
        if checkpoint.run_id == run.run_id and params.resume:
            newer = [path for path in list_checkpoints(run.folder) if Checkpoint(path).step > checkpoint.step]
            if newer:
                notes.append(f"{len(newer)} newer checkpoints of this run are set aside in {move_aside(newer)}.")
        else:
            run.refuse_if_taken()
        return checkpoint, notes
    if not params.resume:
        run.refuse_if_taken()
        return None, notes
    newest, passed_over = newest_checkpoint(run.folder)
    notes += [f"Passed over: {error}" for error in passed_over]
    if newest is None and passed_over:
        raise CheckpointError(f"no checkpoint in {run.folder} is whole ({passed_over[0]}); start anew with --fresh.")
    if newest is None:
        notes.append(f"There is nothing to resume in {run.folder}, so this is a new run.")
    return newest, notes


def next_incarnation(checkpoint: Checkpoint | None) -> int:
    """How often the run has been resumed: each time it draws its random numbers from new seeds."""
    return 0 if checkpoint is None else int(checkpoint.json(STATE).get("incarnation", 0)) + 1


def recorded(params: TrainParams) -> dict[str, Any]:
    """The parameters that a checkpoint records, as JSON knows them."""
    values = {name: value for name, value in dataclasses.asdict(params).items() if name not in _ERRANDS}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
