"""The peers: TD3 and DDPG of Stable-Baselines3 (PyTorch) and of SBX (JAX), and SBX's CrossQ, each in a separate process.

As a script this trains one of them, and prints a line of JSON for each measurement or test; the benchmarks start it.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from agent.evaluation import evaluate
from agent.training.callbacks.stop_at_score import EPISODES, FIRST_SEED
from utils.envs.spec import EnvSpec

MODULES = {"SB3": "stable_baselines3", "SBX": "sbx"}
SAME_WORK_PEERS = ("SB3 TD3", "SBX TD3", "SB3 DDPG", "SBX DDPG")  # their rates are compared with the toolkit's
PEERS = (*SAME_WORK_PEERS, "SBX CrossQ")
NETWORKS = {"net_arch": [400, 300]}
# The toolkit's own sizes, for comparing rates.
SAME_WORK: dict[str, Any] = dict(batch_size=256, buffer_size=1_000_000, learning_starts=1_000, policy_kwargs=NETWORKS)
# RL Baselines3 Zoo's parameters, 2.9 (its hyperparams/td3.yml and crossq.yml). What they do not name is the peer's default:
# the batch is 256. Older editions of td3.yml make as many updates, but all of them after each episode.
_TD3: dict[str, Any] = dict(gamma=0.98, buffer_size=200_000, learning_starts=10_000, learning_rate=1e-3, policy_kwargs=NETWORKS)
ZOO: dict[str, dict[str, dict[str, Any]]] = {
    "TD3": dict.fromkeys(("Pendulum-v1", "LunarLanderContinuous-v3", "BipedalWalker-v3"), _TD3),
    "CrossQ": {
        "Pendulum-v1": dict(policy_delay=2, policy_kwargs={"net_arch": [256, 256]}),
        "LunarLanderContinuous-v3": dict(buffer_size=1_000_000, learning_starts=10_000),
        "BipedalWalker-v3": dict(
            gamma=0.98,
            buffer_size=300_000,
            learning_starts=10_000,
            policy_kwargs={"net_arch": {"pi": [256, 256], "qf": [1024, 1024]}},
        ),
    },
}
ZOO_NOISE = {"TD3": 0.1, "CrossQ": None}  # deviation of the noise on actions; CrossQ's policy is stochastic
CONFIRMING = range(100)  # the seeds of test.py, which stop no training
UNBOUNDED = 10**9  # environment steps; its parent ends it

Look = Callable[[dict[str, Any], dict[str, Any]], bool]  # the callback of Stable-Baselines3 after each environment step


def main() -> None:
    """Train one peer as the flags say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", nargs=2, type=float, metavar=("WARM_UP", "SECONDS"), help="measure its rates and end")
    parser.add_argument("--goal", type=float, help="train by the zoo's parameters until a test reaches this")
    parser.add_argument("--test-every", type=int, default=1_000, help="updates between two tests")
    given = parser.parse_args()
    if given.measure:
        model = make(given.peer, given.env, given.seed, SAME_WORK, noise=None)
        model.learn(UNBOUNDED, stopwatch(model, *given.measure))
    else:
        algorithm = given.peer.split()[1]
        model = make(given.peer, given.env, given.seed, ZOO[algorithm][given.env], ZOO_NOISE[algorithm])
        model.learn(UNBOUNDED, exam(model, given.env, given.goal, given.test_every))
        print_line(confirmed=score(model, given.env, CONFIRMING))


def make(peer: str, env: str, seed: int, settings: dict[str, Any], noise: float | None) -> Any:
    """A model of a peer that makes one update for each environment step."""
    import gymnasium
    from stable_baselines3.common.noise import NormalActionNoise

    if peer.startswith("SB3"):
        import stable_baselines3 as algorithms
    else:
        import sbx as algorithms
    made = gymnasium.make(env)
    size = made.action_space.shape or ()
    return getattr(algorithms, peer.split()[1])(
        "MlpPolicy",
        made,
        seed=seed,
        train_freq=1,
        gradient_steps=1,
        action_noise=None if noise is None else NormalActionNoise(np.zeros(size), np.full(size, noise)),
        **settings,
    )


def stopwatch(model: Any, warm_up: float, seconds: float) -> Look:
    """Ends a training after a time and prints its rates. Both count from `warm_up` seconds after its first update."""
    marks: list[tuple[float, int, int]] = []  # time, updates, environment steps

    def look(*_: object) -> bool:
        now = time.perf_counter()
        if not model._n_updates:
            return True
        if not marks or len(marks) == 1 and now - marks[0][0] >= warm_up:
            marks.append((now, model._n_updates, model.num_timesteps))
        elif len(marks) == 2 and now - marks[1][0] >= seconds:
            begun, updates, steps = marks[1]
            took = now - begun
            print_line(updates=(model._n_updates - updates) / took, env_steps=(model.num_timesteps - steps) / took)
            return False
        return True

    return look


def exam(model: Any, env: str, goal: float, every: int) -> Look:
    """Tests a training at intervals on the seeds of --stop-at-score, prints each test, and ends it at `goal`."""
    begun, due = time.perf_counter(), every

    def look(*_: object) -> bool:
        nonlocal due
        if model._n_updates < due:
            return True
        due += every
        seconds = round(time.perf_counter() - begun, 1)
        mean = score(model, env, range(FIRST_SEED, FIRST_SEED + EPISODES))
        print_line(score=mean, updates=model._n_updates, env_steps=model.num_timesteps, training_seconds=seconds)
        return mean < goal

    return look


def score(model: Any, env: str, seeds: Sequence[int]) -> float:
    """Mean return of noise-free episodes, by the same code that scores the toolkit's policies."""
    policy = SimpleNamespace(act=lambda obs: model.predict(obs, deterministic=True)[0])
    return evaluate(policy, EnvSpec(env).make, seeds).mean


def print_line(**values: float) -> None:
    """One line of JSON for the parent process."""
    print(json.dumps(values), flush=True)


@contextlib.contextmanager
def started(peer: str, env: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A process that trains a peer; it is ended with the block."""
    command = [sys.executable, str(Path(__file__)), "--peer", peer, "--env", env, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def lacking(peers: Sequence[str]) -> tuple[list[str], list[str]]:
    """The peers that can run here, and a sentence for each missing package."""
    needed = {MODULES[peer.split()[0]] for peer in peers}
    sentences = timing.missing(*sorted(needed))
    absent = {module for module in needed if timing.missing(module)}
    return [peer for peer in peers if MODULES[peer.split()[0]] not in absent], sentences


if __name__ == "__main__":
    main()
