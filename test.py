"""Score one checkpoint over noise-free episodes, and add the score to test_results/.

python test.py                                                the newest checkpoint
python test.py --ckpt-file Pendulum-v1.ckpt-50000             one of the run's folder; a path works too
python test.py --ckpt-file best                               the one with the watcher's best score
python test.py --shipped                                      the shipped policy
python test.py --starts data/pendulum_legacy_starts.csv       the 100 start states behind the original's score
"""

if __name__ == "__main__":
    from utils.script import quiet_signals

    quiet_signals()

import dataclasses
import threading
from pathlib import Path

from threadpoolctl import threadpool_limits

from agent.config import resolve, run_folder
from agent.environment import env_problem
from agent.evaluation import evaluate, read_returns, read_starts
from agent.loading import BEST, load_checkpoint
from agent.names import ALIASES
from params import TestParams
from utils import flags
from utils.console import Console
from utils.script import Signals, run_script
from utils.storage.results import append_result, result_files
from utils.storage.writable import check_writable


def main() -> int:
    """Test as the flags say; returns the exit code."""
    resolved = flags.parse(TestParams, resolve, env_problem=env_problem, aliases=ALIASES)
    params: TestParams = resolved.values
    console = Console()
    starts = read_starts(params.starts, params.env) if params.starts is not None else None
    episodes = params.num_eps_test if starts is None else len(starts)
    seeds = range(params.random_seed, params.random_seed + episodes)
    others = read_returns(params.versus, seeds) if params.versus is not None else None
    loaded = load_checkpoint(params)
    for note in resolved.notes + loaded.notes:
        console.say(note)
    is_shipped = params.ckpt_file in (None, BEST) and loaded.is_shipped  # also where the run has no checkpoint
    results = run_folder(params.results_dir, dataclasses.replace(params, shipped=is_shipped))
    check_writable({"--results-dir": result_files(results)})
    with threadpool_limits(1, "blas"):
        score = evaluate(loaded.policy, loaded.env_spec.make, seeds, starts)
    row = score.row(loaded, params.random_seed if starts is None else None, Path(params.starts or "").name)
    with Signals(threading.Event()) as signals:  # a signal must not interrupt writing a score
        append_result(results, row)
    where = f"the start states of {params.starts}" if params.starts else f"seeds {seeds[0]} to {seeds[-1]}"
    console.say(f"{loaded.path.name}: {score.mean:.2f} +/- {score.sem:.2f} over {episodes} episodes from {where}.")
    if others is not None:
        difference = score.minus(others)
        console.say(f"Against {params.versus}, in pairs: {difference.mean:+.2f} +/- {difference.sem:.2f} an episode.")
    return signals.exit_code


if __name__ == "__main__":
    run_script(main)
