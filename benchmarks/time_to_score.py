"""Wall-clock and environment steps until a noise-free test of 20 episodes reaches a goal, from the start of the process.

python benchmarks/time_to_score.py                     three seeds of Pendulum (-150), half an hour
python benchmarks/time_to_score.py --env LunarLanderContinuous-v3 --seeds 1 2     two of LunarLander (200), up to 4.5 hours
python benchmarks/time_to_score.py --env BipedalWalker-v3 --cap 30 --contenders toolkit     three seeds, up to 1.5 hours
python benchmarks/time_to_score.py --env BipedalWalker-v3 --cap 30 --seeds 1 --contenders "SB3 TD3" "SBX TD3" "SBX CrossQ"

Contenders: `train.py --stop-at-score` with its defaults, TD3 of SB3 and of SBX and, where it is asked for, SBX's CrossQ,
all with RL Baselines3 Zoo's parameters for the environment.
All contenders are tested after the same number of updates, by the same code on the same 20 seeds. Test time counts for
all: a peer tests between two environment steps, this toolkit in a thread during the training. The clock starts with the
process, so it includes imports and compilation. Training seconds count from the first collected step to the tested
update. A run without the goal ends after 45 minutes. Afterwards, not timed, the policy plays 100 episodes on new seeds,
to tell a good policy from a lucky test.

Each finished run is a line of the ledger (--ledger FILE); runs in the ledger are skipped.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import csv
import json
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import loop
import peers
from utils.storage.lines import append_lines

GOALS = {"Pendulum-v1": -150.0, "LunarLanderContinuous-v3": 200.0, "BipedalWalker-v3": 300.0}
# Updates. An episode of BipedalWalker has up to 1 600 steps, so its tests take long and are rarer.
TEST_EVERY = {"Pendulum-v1": 1_000, "LunarLanderContinuous-v3": 5_000, "BipedalWalker-v3": 10_000}
CONTENDERS = ("toolkit", "SB3 TD3", "SBX TD3", "SBX CrossQ")
DEFAULT_CONTENDERS = CONTENDERS[:3]
KEY = ("contender", "env", "seed", "goal", "flags")  # identifies a run


def main() -> None:
    """Run what is not in the ledger; print the medians of the ledger."""
    given = timing.flags(
        __doc__,
        env=dict(choices=GOALS, default="Pendulum-v1", help="the environment"),
        seeds=dict(type=int, nargs="+", default=[1, 2, 3], help="the random seeds"),
        contenders=dict(nargs="+", choices=CONTENDERS, default=list(DEFAULT_CONTENDERS), help="the contenders to run"),
        goal=dict(type=float, help="another goal than the environment's"),
        cap=dict(type=float, default=45.0, help="minutes after which a run is ended"),
        ledger=dict(type=Path, default=timing.RESULTS / "time_to_score.jsonl", help="where finished runs are kept"),
        toolkit_flags=dict(default="", help="more flags for train.py, as one word; they are kept apart in the ledger"),
    )
    goal = given.goal if given.goal is not None else -2_000.0 if given.quick else GOALS[given.env]
    given.ledger.parent.mkdir(parents=True, exist_ok=True)
    seeds = given.seeds[:1] if given.quick else given.seeds
    present, sentences = peers.lacking([name for name in given.contenders if name in peers.PEERS])
    contenders = [name for name in given.contenders if name == "toolkit" or name in present]
    for seed in seeds:  # one seed of all contenders, then the next, so that a slower machine affects all of them
        for contender in contenders:
            flags = given.toolkit_flags if contender == "toolkit" else ""
            run = dict(zip(KEY, (contender, given.env, seed, goal, flags), strict=True))
            if not any(run.items() <= entry.items() for entry in entries(given.ledger)):
                ticks = timing.cpu_ticks()
                every, more = (100, loop.QUICK) if given.quick else (TEST_EVERY[given.env], ())
                found = to_goal(run, every, given.cap * 60.0, more)
                append_lines(given.ledger, json.dumps(run | found | {"stolen": round(timing.stolen(ticks), 3)}) + "\n")
    result = timing.Result("time to score", skipped=sentences)
    known = [entry for entry in entries(given.ledger) if (entry["env"], entry["goal"]) == (given.env, goal)]
    for contender, flags in dict.fromkeys((entry["contender"], entry["flags"]) for entry in known):
        result.rows.append(summary([entry for entry in known if (entry["contender"], entry["flags"]) == (contender, flags)]))
    result.publish(given.json)


def to_goal(run: dict[str, Any], every: int, cap: float, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Train until the goal or the cap (seconds), testing after so many updates: when it was reached, and all tests.

    The toolkit gets `more` flags.
    """
    if run["contender"] == "toolkit":
        flags = ["--random-seed", str(run["seed"]), "--stop-at-score", str(run["goal"]), "--save-ckpt-step", str(every)]
        with loop.training(run["env"], *flags, *more, *shlex.split(run["flags"])) as training:
            return followed(training.process, toolkit_tests(training), run["goal"], cap, training.begun)
    flags = ["--seed", str(run["seed"]), "--goal", str(run["goal"]), "--test-every", str(every)]
    begun = time.perf_counter()
    with peers.started(run["contender"], run["env"], *flags) as process:
        return followed(process, map(json.loads, process.stdout or ()), run["goal"], cap, begun)


def followed(
    process: subprocess.Popen[str], tests: Iterator[dict[str, Any]], goal: float, cap: float, begun: float
) -> dict[str, Any]:
    """Follow the tests of a contender until one reaches the goal and is confirmed, or until the cap."""
    alarm = threading.Timer(cap, process.terminate)
    alarm.daemon = True
    alarm.start()
    passed: list[dict[str, Any]] = []
    confirmed = None
    for test in tests:
        if "confirmed" in test:
            confirmed = test["confirmed"]
            break
        passed.append({"seconds": round(time.perf_counter() - begun, 2)} | test)
        if test["score"] >= goal:
            alarm.cancel()
    alarm.cancel()
    reached = bool(passed) and passed[-1]["score"] >= goal
    at_cap = time.perf_counter() - begun >= cap
    if not reached and process.wait() not in ((0, -15, 143) if at_cap else (0,)):
        raise RuntimeError(f"a contender ended with the code {process.returncode} before its goal and its cap")
    last = passed[-1] if passed else {}
    return {"reached": reached, "cap": cap, **last, "confirmed": confirmed, "tests": passed}


def toolkit_tests(training: loop.Training) -> Iterator[dict[str, Any]]:
    """The tests that train.py prints, with the counters of the tested checkpoints."""
    for line in training.process.stdout or ():
        if found := re.match(r"Learner step ([\d,]+): (\S+) over 20 noise-free episodes", line):
            step = int(found[1].replace(",", ""))
            (manifest,) = training.folder.glob(f"ckpts/*/*.ckpt-{step}/manifest.json")
            counters = json.loads(manifest.read_text())
            counted = {"updates": step, "env_steps": counters["env_step"], "training_seconds": counters["seconds"]}
            yield {"score": float(found[2])} | counted
    for path in training.folder.glob("results/*.csv"):
        with open(path, newline="") as file:
            yield {"confirmed": float(list(csv.DictReader(file))[-1]["mean"])}


def entries(ledger: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians of a contender; None if a run lacks the value. A run without the goal counts with its values at the cap."""
    runs = [run | {"best": max((test["score"] for test in run["tests"]), default=None)} for run in runs]

    def median(name: str) -> float | None:
        known = [run[name] for run in runs if run.get(name) is not None]
        return float(np.median(known)) if len(known) == len(runs) else None

    return {
        "contender": " ".join(filter(None, (runs[0]["contender"], runs[0]["flags"]))),
        "reached": f"{sum(run['reached'] for run in runs)} of {len(runs)}",
        "seconds from the start": float(np.median([run["seconds"] if run["reached"] else run["cap"] for run in runs])),
        "each": ", ".join(f"{run['seconds']:.0f}" if run["reached"] else f"not in {run['cap']:.0f}" for run in runs),
        "training seconds": median("training_seconds"),
        "stolen": median("stolen"),
        "env steps": median("env_steps"),
        "updates": median("updates"),
        "best test": median("best"),
        "mean of 100 fresh episodes": median("confirmed"),
    }


if __name__ == "__main__":
    main()
