"""One training run: its parts are built, run together, saved and scored."""

import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from threadpoolctl import threadpool_limits

from agent.config import run_folder
from agent.environment import env_flags, env_spec, training_env
from agent.evaluation import Score, evaluate
from agent.loading import load_checkpoint
from agent.scaling import Scaling
from agent.training.callbacks.callback import Callback, RunInfo
from agent.training.checkpointer import SLOW_DISK, Checkpointer
from agent.training.dispatcher import Dispatcher
from agent.training.measurements import Measurements
from agent.training.parts import build_parts
from agent.training.result import Result
from agent.training.resume import check_resumable, checkpoint_to_resume, next_resume_count, nothing_to_do
from agent.training.workers.pool import WorkerPool
from agent.training.workers.ray_cluster import RayCluster
from agent.training.workers.replay_writer import ReplayWriter
from agent.training.workers.synchronous import SynchronousLoop
from params import TestParams, TrainParams
from utils.console import Console
from utils.envs.environment import select_renderer
from utils.errors import EnvironmentFailure, ToolkitError
from utils.memory import check_replay
from utils.replay.transitions import TransitionBatch
from utils.storage.checkpoints import Checkpoint
from utils.storage.results import append_result, result_files, rewind_results
from utils.storage.run_folder import RUN_FILE, Run
from utils.storage.writable import check_writable
from utils.threads import ThreadGroup, write_thread_dumps

WRITER_PATIENCE = 1.0  # seconds to wait for the end of the checkpoint writer's thread
HURRY = 8.0  # seconds for the last save after a signal
SWITCH_INTERVAL = 0.0005  # seconds; with Python's default of 5 ms the learner waits for the agents' Python


class Trainer:
    """Trains one policy. The constructor checks everything that needs no TensorFlow; `run` trains.

    A trainer holds the lock of its run folder until `close`, and can be used as a context manager.
    """

    def __init__(self, config: TrainParams, callbacks: Sequence[Callback] = (), console: Console | None = None):
        """Raises ParameterError, DependencyError, StorageError, CheckpointError, FolderInUseError."""
        self.config, self.stop = config, threading.Event()
        self._console = console or Console(silent=True)
        select_renderer(renders=False)
        self._make_env = env_spec(config).make  # for scores; the agents' are those of training_env
        folder, self._logs, self._results = (
            run_folder(root, config) for root in (config.ckpt_dir, config.log_dir, config.results_dir)
        )
        self._thread_dumps = self._logs / "stacks.txt"
        with contextlib.ExitStack() as undo:  # closes these after an error
            self._env = undo.enter_context(contextlib.closing(training_env(config)))
            self._scaling = Scaling.from_env(self._env, config)
            check_replay(config.replay_mem_size, self._env.obs_size, self._env.action_size)
            check_resumable(config)
            check_writable(
                {
                    "--ckpt-dir": [folder / RUN_FILE],
                    "--log-dir": [self._logs / "learner.csv"],
                    "--results-dir": result_files(self._results),
                }
            )
            self._run = undo.enter_context(contextlib.closing(Run(folder)))
            self._checkpoint, self.notes = checkpoint_to_resume(self._run, config)
            self._cluster = RayCluster(config, self._console) if config.runner == "ray" else None
            undo.pop_all()
        self._dispatcher = Dispatcher(callbacks, self.stop, self._console)

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the run folder, and Ray."""
        self._run.close()
        if self._cluster is not None:
            self._cluster.close()

    def run(self, is_interrupted: Callable[[], bool] = lambda: False, scores_again: bool = False) -> Result:
        """Train until num_steps_train, or until `stop` is set; then save and score the last checkpoint.

        `is_interrupted()` tells whether a signal asked for the end. Then the save has HURRY seconds, and there is no score.
        Raises the error of the failed part, after a last save where that is possible. If the checkpoint to continue from has
        already reached num_steps_train, it is only scored, and not even that without `scores_again`.
        """
        if sentence := nothing_to_do(self._checkpoint, self.config):
            self._console.say(sentence)
            self._env.close()
            complete = cast(Checkpoint, self._checkpoint)
            return self._earlier_result(complete, self._score(complete.path, is_interrupted) if scores_again else None)
        self._say_sizes()
        self._build()
        self._run.report("training", self._parts.learner.learner_step)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            with threadpool_limits(1, "blas"):
                self._dispatcher.start(self._info(is_interrupted))
                self._parts.counters.start()
                try:
                    self._threads.run(self.stop)
                finally:
                    try:
                        self._save_last(HURRY if is_interrupted() else SLOW_DISK)
                    finally:
                        self._report_end()
                return self._finish(is_interrupted)
        finally:
            sys.setswitchinterval(interval)
            self._checkpointer.close(WRITER_PATIENCE)  # every save has ended by now, or has failed
            self._dispatcher.close()

    # ---- building

    def _say_sizes(self) -> None:
        config, env = self.config, self._env
        where = "an automatic support" if config.has_automatic_support else f"{config.v_min:g} to {config.v_max:g}"
        predicts = f"{config.num_atoms} atoms on {where}" if config.value_head == "categorical" else "a scalar value"
        self._console.say(
            f"{config.env}: observations of {env.obs_size} numbers, actions of {env.action_size}; hidden layers of "
            f"{' and '.join(map(str, config.actor_hidden))} units, {predicts}; {config.num_steps_train:,} learner steps."
        )
        self._console.say(f"Checkpoints go to {self._run.folder}. TensorFlow is loading ...")

    def _build(self) -> None:
        config, console = self.config, self._console
        resume_count = next_resume_count(self._checkpoint)

        def on_failure(agent: int, error: EnvironmentFailure) -> None:
            self._measurements.failure(agent, error)

        self._parts = build_parts(
            config,
            self._env,
            self._scaling,
            self._cluster,
            resume_count,
            on_failure,
            self._thread_dumps,
            console,
        )
        self._checkpointer = Checkpointer(self._run, config, self._parts, resume_count, self._dispatcher.checkpoint, console)
        if self._checkpoint is not None:
            console.say(f"Resuming from {self._checkpoint.path}, learner step {self._checkpoint.step:,}.")
            try:
                notes = self._checkpointer.restore(self._checkpoint)
            except BaseException:
                self._checkpointer.close(WRITER_PATIENCE)
                raise
            for note in notes:
                console.say(note)
            if self._checkpoint.run_id == self._run.run_id:
                rewind_results(self._results, self._run.run_id, self._checkpoint.step)
        self._measurements = Measurements(config, self._parts, self._checkpointer, console)
        self._threads = ThreadGroup(self._loops())

    def _loops(self) -> dict[str, Callable[[], object]]:
        config, parts, stop = self.config, self._parts, self.stop
        observe = parts.learner.scaling.observe
        writer = ReplayWriter(parts.replay, parts.limiter, parts.counters, observe, self._report)
        loops: dict[str, Callable[[], object]] = {"callbacks": partial(self._dispatcher.run, self._measurements)}
        if config.synchronous:
            workers = cast(WorkerPool, parts.workers).workers  # threads, whose agents can truncate their episodes
            turns = SynchronousLoop(parts.learner, workers, writer, parts.limiter, self._checkpointer)
            loops["learner"] = partial(turns.run, config.batch_size, stop)
        else:
            loops["learner"] = partial(parts.learner.run, parts.limiter, stop, self._checkpointer)
            loops["workers"] = partial(parts.workers.run, parts.learner, writer, stop)
        if config.max_minutes is not None:
            loops["timer"] = partial(stop.wait, config.max_minutes * 60)
        return loops

    def _report(self, batch: TransitionBatch) -> None:
        self._measurements.count(batch)
        self._dispatcher.episodes(self._measurements.episodes(batch))

    def _info(self, is_interrupted: Callable[[], bool]) -> RunInfo:
        resumed = self._checkpoint
        if resumed is not None and resumed.run_id != self._run.run_id:
            resumed = None  # that checkpoint belongs to another run
        return RunInfo(
            self.config,
            self._make_env,
            self._run.run_id,
            self._run.folder,
            self._logs,
            self._results,
            (resumed.step, int(resumed.manifest["env_step"])) if resumed else None,
            self._parts.replay,
            self._console,
            self.stop,
            is_interrupted,
        )

    # ---- ending

    def _save_last(self, patience: float) -> None:
        if self._threads.is_alive("learner"):  # its networks may be in the middle of an update
            self._checkpointer.finish(patience)
            newest = self._checkpointer.newest
            self._console.say(f"Nothing more is saved; {f'the last is {newest}' if newest else 'there is no checkpoint yet'}.")
            return
        step, total = self._parts.learner.learner_step, self.config.num_steps_train
        how_far = "" if step >= total else f" Learner step {step:,} of {total:,}: continue with --resume."
        self._console.say(f"Saved {self._checkpointer.save_last(patience)}.{how_far}")
        self._run.report("done" if step >= total else "stopped", step)

    def _report_end(self) -> None:
        for thread in self._threads.hanging():
            where = write_thread_dumps(self._thread_dumps, [thread])
            self._console.say(f"{thread.name} did not stop and is left behind; {where}.")
        if not self._threads.is_alive("callbacks"):
            self._dispatcher.flush(self._measurements.row(), self._measurements.status(has_ended=True))

    def _finish(self, is_interrupted: Callable[[], bool]) -> Result:
        learner, counters = self._parts.learner, self._parts.counters
        seconds, score, path = counters.seconds, None, self._checkpointer.newest
        if path is not None and not is_interrupted() and not self._threads.is_alive("learner"):
            score = self._score(path, is_interrupted)
        status = "done" if learner.learner_step >= self.config.num_steps_train else "stopped"
        result = Result(path, score, learner.learner_step, counters.env_steps, seconds, status)
        if not self._threads.is_alive("callbacks"):
            self._dispatcher.end(result)
        return result

    def _earlier_result(self, checkpoint: Checkpoint, score: Score | None) -> Result:
        counts = int(checkpoint.manifest.get("env_step", 0)), float(checkpoint.manifest.get("seconds", 0.0))
        return Result(checkpoint.path, score, checkpoint.step, *counts, "done")

    def _score(self, path: Path, is_interrupted: Callable[[], bool]) -> Score | None:
        """Score a checkpoint as test.py does. A failure is printed, not raised: the training itself is complete."""
        test = TestParams(**env_flags(self.config), ckpt_file=str(path))
        seeds = range(test.random_seed, test.random_seed + test.num_eps_test)
        score = None
        try:
            loaded = load_checkpoint(test)
            score = evaluate(loaded.policy, self._make_env, seeds, stop=is_interrupted)
            if len(score.episodes) < test.num_eps_test:
                return None
            self._console.say(
                f"{path.name}: {score.mean:.2f} +/- {score.sem:.2f} over {test.num_eps_test} noise-free episodes."
            )
            append_result(self._results, score.row(loaded, test.random_seed))
        except ToolkitError as error:
            failed = "could not be scored" if score is None else "has a score that is not in the results"
            self._console.say(f"{path.name} {failed}: {str(error).rstrip('.')}. Try python test.py.")
        return score
