"""A run that the first version of the toolkit wrote (tests/data/format_1) still loads, tests, plays and resumes."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from agent.policy import Critic, Policy

OLD = Path(__file__).parent / "data" / "format_1" / "Pendulum-v1"


@pytest.fixture
def run(tmp_path):
    shutil.copytree(OLD, tmp_path / "ckpts" / "Pendulum-v1")
    roots = {"ckpt": "ckpts", "results": "results"}
    return tmp_path, [word for name, root in roots.items() for word in (f"--{name}-dir", str(tmp_path / root))]


def test_networks_give_the_same_numbers():
    policy, critic = Policy.load(OLD / "Pendulum-v1.ckpt-16"), Critic.load(OLD / "Pendulum-v1.ckpt-16")
    obs = np.array([[1, 0, 0], [0, 1, -4]], np.float32)
    np.testing.assert_allclose(policy.act(obs), [[9.202957153320312e-05], [0.0001971721649169922]], rtol=1e-6)
    np.testing.assert_allclose(critic.value(obs, policy.act(obs)), [-999.2175903320312, -998.9124755859375], rtol=1e-5)
