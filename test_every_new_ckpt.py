"""Run test.py once for every checkpoint of a run, in order, as each one appears. Start it beside train.py.

python test_every_new_ckpt.py
python test_every_new_ckpt.py --exit-when-done      end when training has ended and all is tested
python test_every_new_ckpt.py --report              update plots/<env>/report.html after each test
"""

if __name__ == "__main__":
    from utils.script import quiet_signals

    quiet_signals()

import contextlib
import threading
from functools import partial
from pathlib import Path

from agent.config import resolve, run_folder
from agent.environment import env_flags, trained_env_spec
from agent.names import ALIASES
from params import WatchParams
from utils import flags
from utils.child import INTERRUPTED, Child
from utils.console import Console
from utils.errors import CheckpointError, EnvMismatchError, ToolkitError
from utils.script import Signals, run_script
from utils.storage.checkpoints import Checkpoint
from utils.storage.results import IDENTITY, ledger_of, read_scores, result_files
from utils.storage.watcher import Watcher
from utils.storage.writable import check_writable
from utils.tensorboard import TensorBoardWriter

SHARED = ("run", "results_dir")  # parameters for both child scripts, besides the environment's


def main() -> int:
    """Watch as the flags say; returns the exit code."""
    resolved = flags.parse(WatchParams, resolve, aliases=ALIASES)
    params: WatchParams = resolved.values
    console = Console()
    for note in resolved.notes:
        console.say(note)
    folder, results = run_folder(params.ckpt_dir, params), run_folder(params.results_dir, params)
    ledger = ledger_of(results)
    check_writable({"--results-dir": [*result_files(results), ledger.path]})
    console.say(f"Watching {folder}; scores go to {results}.csv. Ctrl-C ends it.")
    stop = threading.Event()
    with Signals(stop) as signals:
        update = partial(report, params, stop, console) if params.report else lambda: None
        Watcher(folder, ledger, partial(test, params, stop, console), update).run(stop, params.exit_when_done)
    return signals.exit_code


def test(params: WatchParams, stop: threading.Event, console: Console, path: Path) -> str:
    """Score one checkpoint in a separate process; returns "tested" or "failed".

    Raises EnvMismatchError before a test for which a flag is missing: it would count as failed and never be repeated.
    """
    try:
        trained_env_spec(Checkpoint(path), params)
    except EnvMismatchError:
        raise
    except CheckpointError:
        pass  # test.py says what is wrong with it
    if not start(params, stop, console, ["test.py"], (*SHARED, "num_eps_test", "random_seed"), path):
        return "failed"
    try:
        show_in_tensorboard(params, path)
    except (OSError, ToolkitError) as error:  # the test itself has succeeded
        console.say_once(f"TensorBoard lacks a score: {error}.", key="tensorboard")
    return "tested"


def show_in_tensorboard(params: WatchParams, path: Path) -> None:
    """Add the checkpoint's score to TensorBoard as eval/score. Raises OSError and ToolkitError."""
    checkpoint = Checkpoint(path)
    scored = (checkpoint.run_id, str(checkpoint.step), str(params.random_seed), str(params.num_eps_test), "")
    for row in read_scores(run_folder(params.results_dir, params)):
        if scored == tuple(row[name] for name in IDENTITY):
            with contextlib.closing(TensorBoardWriter(run_folder(params.log_dir, params) / "tensorboard")) as board:
                board.scalars({"eval/score": float(row["mean"])}, checkpoint.step)


def report(params: WatchParams, stop: threading.Event, console: Console) -> None:
    """Update the page of the run. Its failure does not count as a failed test."""
    start(params, stop, console, ["plot.py", "report"], (*SHARED, "ckpt_dir", "log_dir", "plot_dir"), None)


def start(
    params: WatchParams, stop: threading.Event, console: Console, words: list[str], names: tuple[str, ...], path: Path | None
) -> bool:
    """Run a script with the parameters `names`, and a checkpoint unless it is None. Returns whether it succeeded."""
    given = env_flags(params) | {name: getattr(params, name) for name in names}
    what = " ".join(words)
    if path is not None:
        given["ckpt_file"], what = path, path.name
    try:
        child = Child(*words, **given)
    except OSError as error:
        console.say(f"{what}: {words[0]} could not be started: {error}.")
        return False
    with child:
        code = child.wait(params.test_timeout, stop.is_set)
        if code in INTERRUPTED:
            stop.wait(1.0)  # Ctrl-C reaches both processes, this one perhaps later
    if stop.is_set() and code != 0:
        return False  # interrupted: no message, and the watcher does not count it
    late = [f"{what}: ended after {params.test_timeout:g} seconds."] if code is None else []
    console.say("\n".join(filter(None, [child.output, *late])) or f"{what}: {words[0]} printed nothing.")
    return code == 0


if __name__ == "__main__":
    run_script(main)
