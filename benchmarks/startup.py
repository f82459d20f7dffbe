"""Start-up: from `python train.py` to the first learner step, and `test.py` for 100 episodes of Pendulum.

python benchmarks/startup.py           three minutes

The first learner steps are detected by their checkpoint: with --save-ckpt-step 8 it follows the first compiled call. The
time includes the imports, the random transitions (learning_starts), and the compilation.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import loop


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__)
    rounds, envs = (1, ("Pendulum-v1",)) if given.quick else (5, ("Pendulum-v1", "BipedalWalker-v3"))
    episodes, flags = (1, loop.QUICK) if given.quick else (100, ())
    contenders: dict[str, Callable[[], float]] = {
        "import of TensorFlow": partial(command, "-c", "import tensorflow"),
        f"test.py, {episodes} episodes of Pendulum": partial(scoring, episodes),
        **{f"train.py --env {env}, to the first learner step": partial(first_learner_step, env, flags) for env in envs},
    }
    seconds = {name: [measure() for _ in range(rounds)] for name, measure in contenders.items()}
    result = timing.Result("startup")
    result.rows = [{"seconds of": name, "median": float(np.median(all_)), "worst": max(all_)} for name, all_ in seconds.items()]
    result.publish(given.json)


def scoring(episodes: int) -> float:
    """Seconds of test.py with the shipped policy."""
    with tempfile.TemporaryDirectory(prefix="d4pg-benchmark-") as folder:
        flags = ["--env", "Pendulum-v1", "--ckpt-dir", folder, "--results-dir", folder, "--num-eps-test", str(episodes)]
        return command(str(timing.ROOT / "test.py"), *flags)


def first_learner_step(env: str, flags: tuple[str, ...]) -> float:
    """Seconds until train.py has saved the checkpoint of its first compiled call."""
    with loop.training(env, "--save-ckpt-step", "8", *flags) as training:
        while not list(training.folder.glob("ckpts/*/*.ckpt-8")):
            if training.process.poll() is not None:
                raise RuntimeError(f"train.py ended: {training.process.communicate()[0]}")
            time.sleep(0.02)
        return training.seconds


def command(*arguments: str) -> float:
    """Seconds of a Python process from start to end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
