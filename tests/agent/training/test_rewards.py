"""Without v_min and v_max a small critic learns from rewards of any size. The other cases: benchmarks/rewards.py."""

import json

import numpy as np
import pytest
import reward_envs  # noqa: F401  (registers the environment)
from fake_learner import omit_recording

from agent.evaluation import evaluate
from agent.policy import UniformPolicy
from agent.training import train
from utils.envs.spec import EnvSpec

ENV = "reward_envs:PointMass-v0"
SMALL = dict(dense1_size=64, dense2_size=64, batch_size=64, updates_per_call=16, samples_per_insert=16.0, save_replay=False)


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("rewards", ["thousands", "thousandths"])
def test_a_point_mass_learns_five_standard_errors_above_random(tmp_path, monkeypatch, rewards):
    omit_recording(monkeypatch)
    folders = {f"{name}_dir": str(tmp_path) for name in ("ckpt", "log", "results")}
    given = dict(num_steps_train=3000, learning_starts=2000, random_seed=1, env_kwargs=json.dumps({"rewards": rewards}))
    policy = train(env=ENV, synchronous=True, **SMALL, **folders, **given).policy
    scores = [
        evaluate(one, EnvSpec(ENV).make, range(30)) for one in (policy, UniformPolicy(policy.scaling, np.random.default_rng(0)))
    ]
    assert scores[0].mean - scores[1].mean > 5 * np.hypot(scores[0].sem, scores[1].sem)
    assert scores[0].mean > -60  # random: -165
