"""Does the automatic support learn from rewards that no fixed support would fit? A table, in some fifteen minutes.

python benchmarks/rewards.py                  every case, three seeds
python benchmarks/rewards.py --cases late     one of them

Each case trains a small network on the point mass of tests/reward_envs.py, without v_min, v_max or reward_scale, and scores
the last policy over 50 episodes of the same point mass with plain rewards (0 at best), beside uniformly random actions.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import csv
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from agent.evaluation import Score, evaluate
from agent.policy import UniformPolicy
from agent.scaling import Scaling
from agent.training import train
from params import TrainParams
from utils.envs.spec import EnvSpec

sys.path.append(str(timing.ROOT / "tests"))
PointMass = importlib.import_module("reward_envs").PointMass  # found by the line above
ENV = "reward_envs:PointMass-v0"
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "thousandths": {},
    "thousands": {},
    "growing": {},
    "late": {},
    "penalty": {},
    "gamma 0.999": dict(discount_rate=0.999),
}
SMALL = dict(dense1_size=64, dense2_size=64, batch_size=64, updates_per_call=16, samples_per_insert=16.0, save_replay=False)
EPISODES = 50


def main() -> None:
    """Run the cases and print a row for each run."""
    given = timing.flags(
        __doc__,
        cases=dict(nargs="+", choices=CASES, default=list(CASES), help="what is run"),
        seeds=dict(type=int, nargs="+", default=[1, 2, 3], help="the random seeds"),
        steps=dict(type=int, default=10_000, help="learner steps"),
    )
    make = EnvSpec(ENV).make
    scaling = Scaling.from_env(make(), TrainParams(env=ENV))
    random = evaluate(UniformPolicy(scaling, np.random.default_rng(0)), make, range(EPISODES))
    result = timing.Result("rewards")
    for case in given.cases:
        for seed in given.seeds[:1] if given.quick else given.seeds:
            result.rows.append(run(case, seed, 64 if given.quick else given.steps, random))
    result.publish(given.json)


def run(case: str, seed: int, steps: int, random: Score) -> dict[str, Any]:
    """Train one policy. Returns the row of its case: scores, the least support and the greatest, and the faults."""
    kwargs = {} if case.startswith("gamma") else {"rewards": case}
    PointMass.has_paid = False
    with tempfile.TemporaryDirectory() as folder:
        folders = {f"{name}_dir": folder for name in ("ckpt", "log", "results")}
        starts = dict(learning_starts=10 if steps < 1000 else 10_000)
        given = {**SMALL, **starts, **CASES[case], **folders, "env_kwargs": json.dumps(kwargs)}
        result = train(env=ENV, random_seed=seed, num_steps_train=steps, run="run", **given)
        (log,) = Path(folder).glob("*/run/learner.csv")
        rows = list(csv.DictReader(log.open()))
        score = evaluate(result.policy, EnvSpec(ENV).make, range(EPISODES))
    lows, highs = ([float(row[name]) for row in rows] for name in ("v_min_raw", "v_max_raw"))
    return {
        "case": case,
        "seed": seed,
        "random actions": random.mean,
        "learned": score.mean,
        "standard errors above random": (score.mean - random.mean) / float(np.hypot(score.sem, random.sem)),
        "first support": f"{lows[0]:.3g} to {highs[0]:.3g}",
        "last support": f"{lows[-1]:.3g} to {highs[-1]:.3g}",
        "moves seen": int(np.count_nonzero(np.diff(lows) + 1j * np.diff(highs))),
        "skipped updates": int(rows[-1]["skipped_updates"]),
    }


if __name__ == "__main__":
    main()
