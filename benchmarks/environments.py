"""Does an environment that params.py does not know learn from its id alone? A table, in some fifteen minutes.

python benchmarks/environments.py                                      every environment, one seed
python benchmarks/environments.py --environments Reacher-v5 --seeds 1 2 3

Each policy is trained with the defaults, by `train(env=ID, num_steps_train=...)`, and scored over 100 episodes, beside
uniformly random actions and an action of zero. MuJoCo and dm_control are optional (requirements-extras.txt): what is
not installed is named and left out.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import sys
import tempfile
from typing import Any

import numpy as np

from agent.environment import env_spec
from agent.evaluation import Score, evaluate
from agent.policy import UniformPolicy
from agent.scaling import Scaling
from agent.training import train
from params import TrainParams
from utils.envs.environment import select_renderer
from utils.errors import DependencyError, ParameterError

sys.path.append(str(timing.ROOT / "tests"))
ENVIRONMENTS = {  # what is particular of each, and learner steps
    "InvertedDoublePendulum-v5": ("MuJoCo", 10_000),
    "Reacher-v5": ("MuJoCo", 10_000),
    "shimmy:dm_control/cartpole-swingup-v0": ("dm_control", 10_000),
    "MountainCarContinuous-v0": ("sparse reward", 20_000),
    "examples.my_env:Rocket-v0": ("actions from 0 to 25, float64", 10_000),
    "reward_envs:PointMassInParts-v0": ("Dict observation", 10_000),
}
SEEDS = range(100)  # of the scored episodes
SMALL = dict(learning_starts=300, dense1_size=16, dense2_size=16, batch_size=16, num_agents=1, max_ep_length=50)


class Nothing:
    """Takes the action zero, or the bound that is nearest to it."""

    def __init__(self, scaling: Scaling):
        self._action = np.clip(np.zeros_like(scaling.action_low), scaling.action_low, scaling.action_high)

    def act(self, obs: np.ndarray) -> np.ndarray:
        """The same action [n, A] for each of the observations [n, S]."""
        return np.tile(self._action, (len(obs), 1))


def main() -> None:
    """Train on the environments and print a row for each run."""
    given = timing.flags(
        __doc__,
        environments=dict(nargs="+", default=list(ENVIRONMENTS), help="ids"),
        seeds=dict(type=int, nargs="+", default=[1], help="the random seeds"),
        steps=dict(type=int, help="learner steps; default: those of ENVIRONMENTS, or 10 000"),
    )
    select_renderer(renders=False)
    result = timing.Result("environments")
    for env in given.environments:
        try:
            env_spec(TrainParams(env=env)).make().close()
        except (DependencyError, ParameterError) as error:
            result.skipped.append(f"{env} is left out: {error}")
            continue
        for seed in given.seeds:
            steps = given.steps or ENVIRONMENTS.get(env, ("", 10_000))[1]
            result.rows.append(run(env, seed, steps, SMALL | {"num_steps_train": 16} if given.quick else {}))
    result.publish(given.json)


def run(env: str, seed: int, steps: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one policy with the defaults. Returns its row."""
    with tempfile.TemporaryDirectory() as folder:
        folders = {f"{name}_dir": folder for name in ("ckpt", "log", "results")}
        given: dict[str, Any] = {"num_steps_train": steps, **folders, **changes}
        result = train(env=env, random_seed=seed, run="run", save_replay=False, **given)
        make = env_spec(TrainParams(env=env, max_ep_length=changes.get("max_ep_length", TrainParams.max_ep_length))).make
        scaling = result.policy.scaling
        learned = evaluate(result.policy, make, SEEDS)
    others = [evaluate(policy, make, SEEDS) for policy in (UniformPolicy(scaling, np.random.default_rng(0)), Nothing(scaling))]
    return {
        "environment": env,
        "seed": seed,
        "about": ENVIRONMENTS.get(env, ("",))[0],
        "learner steps": result.learner_step,
        "random actions": others[0].mean,
        "action zero": others[1].mean,
        "learned": learned.mean,
        "standard error": learned.sem,
        "standard errors above both": min(standard_errors(learned, other) for other in others),
        "environment steps": result.env_steps,
        "minutes": result.seconds / 60.0,
    }


def standard_errors(learned: Score, other: Score) -> float:
    """The difference of two means, in standard errors of it."""
    return (learned.mean - other.mean) / max(float(np.hypot(learned.sem, other.sem)), 1e-12)


if __name__ == "__main__":
    main()
