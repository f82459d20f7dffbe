"""The eleven goals of reliability in their long form, and the price of the guards: a line of figures for each.

python tests/reliability/long_run.py --goal 1                       kills of the store, and of a real train.py
python tests/reliability/long_run.py --goal 1 --short               as the tests do it
python tests/reliability/long_run.py --goal 9 --with minutes=480    with another count
python tests/reliability/long_run.py --goal all --json figures.json
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from processes import stop_ignoring_signals  # noqa: E402
from reliability import goals  # noqa: E402  (found by the line above)


@dataclass(frozen=True)
class Trial:
    """One thing to try for a goal, with the counts of its long form, and of its short one where there is one."""

    goal: str
    act: Callable[..., dict[str, Any]]
    long: dict[str, Any]
    short: dict[str, Any] | None


TRIALS = [
    Trial("1", goals.kill_the_store, {"kills": 5000}, {"kills": 100}),
    Trial("1", goals.kill_trainings, {"kills": 200}, {"kills": 1, "longest": 1.0}),
    Trial("2", goals.kill_at_every_operation, {}, {}),
    Trial("3", goals.mutate, {"count": 1_000_000}, {"count": 10_000}),
    Trial("4", goals.fuzz, {"sets": 1_000_000}, None),  # the short form is in test_params.py
    Trial("5", goals.faulty_environments, {"crashes": 1000}, {"crashes": 10}),
    Trial("5", goals.learn_through_crashes, {"learner_steps": 50_000, "least": -200.0}, None),
    Trial("6", goals.hammer_the_replay, {"seconds": 60.0}, {"seconds": 2.5}),
    Trial("7", goals.signal_trainings, {"each": 20}, {"each": 1, "longest": 1.0}),
    Trial(
        "8",
        goals.snapshot_a_replay,
        {"rows": 1_000_000, "most_seconds": 3.0, "most_stall": 0.1},
        {"rows": 100_000, "most_seconds": 30.0, "most_stall": 10.0},  # for a machine with other work: only the chunks count
    ),
    Trial("9", goals.find_a_leak, {"iterations": 100_000}, {"iterations": 3000}),
    Trial("9", goals.watch_memory, {"minutes": 10.0, "settle_minutes": 3.0, "most_mb_a_minute": 1.0}, None),
    Trial("10", goals.burst, {"checkpoints": 1000, "kills": 10}, {"checkpoints": 50, "kills": 3}),
    Trial("11", goals.repeat_bit_for_bit, {"steps": 4000}, {"steps": 80, "compile_cache": True}),
    Trial("guards", goals.weigh_the_guards, {"pairs": 20}, None),
]


def main():
    """Try what the flags ask for; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*dict.fromkeys(trial.goal for trial in TRIALS)]
    parser.add_argument("--goal", action="append", required=True, choices=[*names, "all"])
    parser.add_argument("--short", action="store_true", help="the counts that the tests use; what has none is left out")
    parser.add_argument("--only", help="the name of one of the goal's functions")
    parser.add_argument("--with", dest="given", action="append", default=[], metavar="NAME=NUMBER", help="another count")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    given = {name: json.loads(value) for name, _, value in (word.partition("=") for word in args.given)}
    stop_ignoring_signals()
    figures, missed = [], False
    for trial in TRIALS:
        counts = trial.short if args.short else trial.long
        if counts is None or not {trial.goal, "all"} & set(args.goal) or args.only not in (None, trial.act.__name__):
            continue
        counts = counts | {name: value for name, value in given.items() if name in trial.long}
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="long-run-", ignore_cleanup_errors=True) as folder:
            try:
                found = trial.act(Path(folder), **counts)
            except AssertionError as error:
                found, missed = {"missed": str(error)[-2000:]}, True
        found["took_s"] = round(time.monotonic() - begun, 1)
        print(f"goal {trial.goal}, {trial.act.__name__}: " + ", ".join(f"{k} {v}" for k, v in found.items()), flush=True)
        figures.append({"goal": trial.goal, "trial": trial.act.__name__, **found})
        if args.json:
            args.json.write_text(json.dumps(figures, indent=1))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
