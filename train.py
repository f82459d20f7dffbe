"""Train one policy. The architecture in a page: build replay, limiter, learner and agents, and run them together.

python train.py                                     Pendulum, in some minutes
python train.py --env LunarLanderContinuous-v3      another environment
python train.py --summary                           both networks and every parameter with its source
python train.py --help                              every parameter
"""

if __name__ == "__main__":
    from utils.errors import quiet_signals

    quiet_signals()

import contextlib
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from agent.agent import BLOCK, Agent
from agent.archive import SLOW_DISK, Archive
from agent.choice import choose
from agent.config import run_folder
from agent.continuation import (
    check_continuable,
    checkpoint_to_continue,
    next_incarnation,
    nothing_to_do,
    resolve_training,
)
from agent.crew import Crew
from agent.environment import env_flags, env_spec
from agent.evaluation import evaluate
from agent.evaluator import Evaluator
from agent.examiner import Examiner
from agent.exhibits import show_result
from agent.progress import Progress
from agent.scaling import Scaling
from agent.turns import Turns
from params import ALIASES, TestParams, TrainParams
from utils import flags
from utils.board import Board
from utils.checkpoints import Checkpoint
from utils.child import INTERRUPTED, Child
from utils.console import Console, quiet_stderr
from utils.env_spec import wrong_with
from utils.envs import Environment, has_screen
from utils.errors import DependencyError, EnvironmentFailure, StorageError, run_script
from utils.memory import check_replay
from utils.metrics import Metrics
from utils.parameters import Resolved
from utils.probe import probe
from utils.rate_limiter import RateLimiter
from utils.replay import PrioritisedReplay
from utils.results import append_result, result_files
from utils.runs import RUN_FILE, Run, move_aside
from utils.stacks import write_stacks
from utils.threads import Signals, is_running, run_together

if TYPE_CHECKING:
    from agent.learner import Learner

NETWORKS, REPLAY, AGENTS = range(3)  # whose random numbers they are


def main() -> int:
    """Train as the flags say; returns the exit code."""
    resolved = flags.parse(TrainParams, resolve_training, env_problem=wrong_with, aliases=ALIASES)
    params: TrainParams = resolved.values
    console = Console()
    make = env_spec(params).make
    env = make()
    scaling = Scaling.from_env(env, params)
    if params.render and not has_screen():
        raise DependencyError("--render needs a screen and there is none here; play.py writes a GIF without one.")
    if params.summary:
        return summarise(resolved, scaling, console)
    check_replay(params.replay_mem_size, env.obs_size, env.action_size)
    check_continuable(params)
    folder, logs, results = (run_folder(root, params) for root in (params.ckpt_dir, params.log_dir, params.results_dir))
    probe({"--ckpt-dir": [folder / RUN_FILE], "--log-dir": [logs / "learner.csv"], "--results-dir": result_files(results)})
    run = Run(folder)
    checkpoint, notes = checkpoint_to_continue(run, params)
    if sentence := nothing_to_do(checkpoint, params):
        console.say(sentence)
        return 0
    console.say(
        f"{params.env}: {env.obs_size} numbers observed, {env.action_size} acted; networks of {params.dense1_size} and "
        f"{params.dense2_size} units, {params.num_atoms} atoms; {params.num_steps_train:,} learner steps."
    )
    console.say(
        "Differs from the defaults: "
        + (", ".join(f"{name} {value}" for name, value in resolved.differing().items()) or "nothing")
    )
    for note in resolved.notes + notes:
        console.say(note)
    console.say(f"Checkpoints go to {run.folder}. TensorFlow is loading ...")
    with quiet_stderr():
        from agent.learner import Learner  # loads TensorFlow: not before everything else has been checked

        incarnation = next_incarnation(checkpoint)
        replay = PrioritisedReplay(
            params.replay_mem_size,
            env.obs_size,
            env.action_size,
            params.priority_alpha,
            params.priority_epsilon,
            np.random.default_rng(seeds(params, REPLAY, 0, incarnation)),
        )
        learner = Learner(params, scaling, replay, np.random.default_rng(seeds(params, NETWORKS, 0, incarnation)))
    limiter = RateLimiter.fitting(
        params.samples_per_insert,
        params.learning_starts,
        params.updates_per_call * params.batch_size,
        params.num_agents * BLOCK,
    )

    unused = [env]  # the environment that was made to read sizes becomes the first agent's

    def make_agent(index: int) -> Agent:
        def make_its_env() -> Environment:
            return unused.pop() if index == 0 and unused else make()

        return Agent(index, make_its_env, learner, params, scaling, seeds(params, AGENTS, index, incarnation))

    stacks = logs / "stacks.txt"
    crew = Crew(make_agent, params.num_agents, params.env_timeout, stacks, console)
    archive = Archive(run, params, scaling, learner, crew, replay, limiter, console, incarnation)
    if checkpoint is not None:
        console.say(f"Going on from {checkpoint.path}, learner step {checkpoint.step:,}.")
        for note in archive.restore(checkpoint):
            console.say(note)
    progress_logs = open_logs(params, checkpoint, run)
    progress = Progress(params, learner, archive, replay, limiter, *progress_logs, console)

    stop = threading.Event()
    loops: dict[str, Callable[[], object]] = {"progress": partial(progress.run, stop)}
    if params.synchronous:
        turns = Turns(learner, crew.agents, replay, limiter, archive, progress.episode, progress.failure)
        loops["learner"] = partial(turns.run, params.batch_size, stop)
    else:
        loops["learner"] = partial(learner.run, limiter, stop, archive)
        act = partial(Agent.run, replay=replay, limiter=limiter, stop=stop, report=progress.episode, failed=progress.failure)
        loops["agents"] = partial(crew.run, stop, act)
    if params.max_minutes is not None:
        loops["timer"] = partial(stop.wait, params.max_minutes * 60)
    if params.stop_at_score is not None:
        loops["examiner"] = partial(Examiner(params.stop_at_score, archive, make, console).run, stop)
    if params.render:
        loops["window"] = partial(show_checkpoints, params, archive, console, stop)
    evaluator = Evaluator(params, run.run_id, archive, console)
    if params.eval_every:
        loops["evaluator"] = partial(evaluator.run, stop)

    run.report("training", learner.learner_step)
    sys.setswitchinterval(0.0005)  # with the default of 5 ms the learner waits for the agents' Python
    with Signals(stop) as signals, threadpool_limits(1, "blas"), evaluator:
        try:
            archive.start_clock()
            with console.live(), contextlib.closing(progress):
                for thread in run_together(loops, stop):
                    console.say(f"{thread.name} did not come back and is left behind; {write_stacks(stacks, [thread])}.")
        finally:
            end(learner, archive, run, params, signals, console)
        if not signals.exit_code and not is_running("learner"):
            evaluator.finish(signals.came)
            score_last(params, archive.save_last(), make, console, signals.came, progress_logs[0])
        return signals.exit_code


def end(learner: "Learner", archive: Archive, run: Run, params: TrainParams, signals: Signals, console: Console) -> None:
    """Save the learner; after a signal within some seconds, since its sender does not wait longer."""
    patience = 8.0 if signals.exit_code else SLOW_DISK
    if is_running("learner"):  # it hangs, and its networks may be half of one step and half of the next
        archive.finish(patience)
        console.say(
            f"Nothing more is saved; {f'the last is {archive.newest}' if archive.newest else 'there is no checkpoint yet'}."
        )
        return
    done = learner.learner_step >= params.num_steps_train
    how_far = "" if done else f" Learner step {learner.learner_step:,} of {params.num_steps_train:,}: go on with --resume."
    console.say(f"Saved {archive.save_last(patience)}.{how_far}")
    run.report("done" if done else "stopped", learner.learner_step)


def summarise(resolved: Resolved, scaling: Scaling, console: Console) -> int:
    """Print both networks and every parameter with its source; nothing is trained and no file touched."""
    params = resolved.values
    with quiet_stderr():
        from agent import networks
        from agent.update import CompiledUpdate

        update = CompiledUpdate(params, scaling, np.random.default_rng(seeds(params, NETWORKS, 0, 0)))
    for model in (update.actor, *update.critics):
        console.say(networks.summary(model))
    console.say(f"Actor and critic have {update.actor.count_params() + update.critics[0].count_params():,} parameters.")
    width = max(map(len, resolved.sources))
    for name, source in resolved.sources.items():
        console.say(f"{name:{width}}  {getattr(params, name)!s:24}  {source}")
    return 0


def seeds(params: TrainParams, role: int, index: int, incarnation: int) -> np.random.SeedSequence:
    """The seeds of one part of the run; a resumed run never draws the same numbers again."""
    return np.random.SeedSequence(params.random_seed, spawn_key=(role, index, incarnation))


def open_logs(params: TrainParams, checkpoint: Checkpoint | None, run: Run) -> tuple[Metrics, Metrics]:
    """The logs of the learner and of the agents, cut back to the checkpoint that training goes on from."""
    folder = run_folder(params.log_dir, params)
    if checkpoint is None or checkpoint.run_id != run.run_id:
        checkpoint = None  # what is logged there belongs to another run
        move_aside([path for name in ("learner.csv", "agents.csv", "tensorboard") if (path := folder / name).exists()])
    steps = {name: checkpoint.manifest[name] if checkpoint else None for name in ("learner_step", "env_step")}
    try:
        board = Board(folder / "tensorboard", resumed_after=steps["learner_step"])
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}. Choose another with --log-dir.") from None
    return (
        Metrics(folder / "learner.csv", "learner_step", board, keep_through=steps["learner_step"]),
        Metrics(folder / "agents.csv", "env_step", board, keep_through=steps["env_step"]),
    )


def show_checkpoints(params: TrainParams, archive: Archive, console: Console, stop: threading.Event) -> None:
    """Show each new checkpoint in a window of play.py, one at a time. A process with TensorFlow must not render."""
    shown = None
    given = env_flags(params) | {"num_eps_play": 1}
    while not stop.wait(0.5):
        if archive.newest in (None, shown):
            continue
        shown = archive.newest
        try:
            with Child("play.py", "--render", "--no-record", **given, ckpt_file=shown) as child:
                code = child.wait(float("inf"), stop.is_set)
        except OSError as error:
            console.say_once(f"There is no window: {error}.")
            continue
        if code not in (0, None, *INTERRUPTED):
            console.say_once(f"There is no window: {child.last_line}", key="no window")


def score_last(
    params: TrainParams, path: Path, make: Callable[..., Environment], console: Console, stop: Callable[[], bool], log: Metrics
) -> None:
    """Score the last checkpoint as test.py would, so that a score exists without the watcher."""
    test = TestParams(env=params.env, env_kwargs=params.env_kwargs, wrapper=params.wrapper, ckpt_file=str(path))
    choice = choose(test, make())
    try:
        score = evaluate(choice.policy, make, range(test.random_seed, test.random_seed + test.num_eps_test), stop=stop)
    except EnvironmentFailure as error:  # the training has come to its end all the same
        console.say(f"{path.name} could not be scored: {error}. Try python test.py.")
        return
    if len(score.episodes) == test.num_eps_test:
        append_result(run_folder(params.results_dir, params), score.row(choice, test.random_seed))
        console.say(f"{path.name}: {score.mean:.2f} +/- {score.sem:.2f} over {test.num_eps_test} noise-free episodes.")
        show_result(log, params, choice, score.mean, make, console, stop)


if __name__ == "__main__":
    run_script(main)
