"""The complete training on BipedalWalker-v3: updates/s and environment steps/s, compared with the learner alone and the peers.

python benchmarks/training.py          twenty minutes; without the peers' packages ten

In each of three rounds, each contender runs in a new process, one after the other: train.py as a user starts it,
learner.py, and TD3 and DDPG of SB3 and SBX with the same networks and batch. Ratios are within one round.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

import loop
import peers

ENV = "BipedalWalker-v3"
RATIOS = (256, 64, 32)  # samples for each insert: 1, 4 and 8 environment steps for each update of 256
ONE_CRITIC = ("--num-critics", "1", "--no-layer-norm")  # as in learner.py; the entry in ENVS has more work

COUNTED = ("compiled updates/s", "run updates/s")  # of learner.py: without and with its replay


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__)
    ratios, rounds = (RATIOS[:1], 1) if given.quick else (RATIOS, 3)
    warm_up, seconds = (0.5, 1.0) if given.quick else (5.0, 20.0)
    present, sentences = peers.lacking(peers.SAME_WORK_PEERS)
    contenders: dict[str, Callable[[], loop.Rates]] = {
        **{f"toolkit, {ratio} samples an insert": partial(toolkit, ratio, given.quick) for ratio in ratios},
        **{peer: partial(peer_rates, peer, warm_up, seconds) for peer in present},
    }
    measured: dict[str, list[loop.Rates]] = {name: [] for name in contenders}
    alone: list[dict[str, float]] = []
    for _ in range(rounds):
        alone.append(learner_alone(given.quick))
        for name, measure in contenders.items():
            measured[name].append(measure())
    result = timing.Result("training", skipped=sentences)
    result.figures = {f"learner alone, {name}": median([rates[name] for rates in alone]) for name in COUNTED}
    for name, rates in measured.items():
        updates = [rate.updates for rate in rates]
        row = {"contender": name, "updates/s": median(updates), "env steps/s": median([rate.env_steps for rate in rates])}
        for counted in COUNTED:
            row[f"of the learner's {counted}"] = ratio(updates, [rates[counted] for rates in alone])
        if "SB3 TD3" in measured:
            row["times SB3 TD3"] = ratio(updates, [rate.updates for rate in measured["SB3 TD3"]])
        result.rows.append(row)
    result.publish(given.json)


def learner_alone(quick: bool) -> dict[str, float]:
    """The rates of learner.py for the sizes of this environment."""
    command = [sys.executable, str(timing.ROOT / "benchmarks" / "learner.py"), "--env", ENV, "--json"]
    done = subprocess.run(
        command + ["--quick"] * quick, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    row: dict[str, float] = json.loads(done.stdout)["rows"][0]
    return row


def toolkit(samples_per_insert: int, quick: bool) -> loop.Rates:
    """The rates of train.py; in the quick form those of 64 learner steps, whose only row is written at their end."""
    flags = (*loop.QUICK, "--num-steps-train", "64") if quick else ()
    with loop.training(ENV, "--samples-per-insert", str(samples_per_insert), *ONE_CRITIC, *flags) as training:
        return training.rates(rows=1, rows_of_start=0) if quick else training.rates(rows=4)


def peer_rates(peer: str, warm_up: float, seconds: float) -> loop.Rates:
    """The rates of a peer."""
    with peers.started(peer, ENV, "--measure", str(warm_up), str(seconds)) as process:
        return loop.Rates(**json.loads(process.communicate()[0]))


def median(values: list[float]) -> float:
    """The median of a few numbers."""
    return float(np.median(values))


def ratio(values: list[float], others: list[float]) -> float:
    """The median of the ratios, each of one round."""
    return median([value / other for value, other in zip(values, others, strict=True)])


if __name__ == "__main__":
    main()
