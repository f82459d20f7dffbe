"""Scores depend on seeds and policy alone, and Pendulum's legacy starts are the original's."""

import os
from pathlib import Path

import numpy as np
import pytest
from factories import save_checkpoint as save

from agent.evaluation import Score, evaluate, play, read_returns, read_starts, start_pendulum
from agent.policy import Policy
from utils.envs.spec import EnvSpec
from utils.errors import ParameterError
from utils.replay.transitions import Episode

ROOT = Path(__file__).resolve().parents[2]
STARTS = ROOT / "data" / "pendulum_legacy_starts.csv"
LANDER = "LunarLanderContinuous-v3"
make = EnvSpec("Pendulum-v1", max_ep_length=20).make


class Still:
    """Does nothing."""

    def act(self, obs):
        return np.zeros((len(obs), 1), np.float32)


class Damped:
    """Brakes: what it does depends on the state."""

    def act(self, obs):
        return -obs[:, 2:3]


def one_by_one(policy, make_it, seed):
    """The loop a user would write, with one observation [S] in a call."""
    env = make_it()
    (obs, _), total, ended = env.reset(seed=seed), 0.0, False
    while not ended:
        obs, reward, terminated, truncated, _ = env.step(policy.act(obs))
        total, ended = total + reward, terminated or truncated
    return total


def lander():
    (shipped,) = (ROOT / "ckpts" / "shipped" / LANDER).glob("*.ckpt-*")
    return Policy.load(shipped), EnvSpec(LANDER).make


def tiny(tmp_path):
    return Policy.load(save(tmp_path / "Pendulum-v1.ckpt-10", make())), make


@pytest.mark.parametrize("subject", [lander, tiny])
def test_a_return_depends_on_the_seed_alone(tmp_path, subject):
    policy, make_it = subject() if subject is lander else subject(tmp_path)
    seeds = range(3, 10)
    together = evaluate(policy, make_it, seeds)
    reverse = evaluate(policy, make_it, seeds[::-1])
    for i, seed in enumerate(seeds):
        (alone,) = evaluate(policy, make_it, [seed]).episodes
        *_, (_, played) = play(policy, make_it(), seed)
        assert alone == together.episodes[i] == reverse.episodes[-1 - i]  # bit for bit
        assert alone.episode_return == played == one_by_one(policy, make_it, seed)


def test_the_policy_gets_one_row_in_every_call():
    class Counted(Damped):
        def __init__(self):
            self.rows = set()

        def act(self, obs):
            self.rows.add(len(obs))
            return super().act(obs)

    policy = Counted()
    score = evaluate(policy, make, range(3))
    assert policy.rows == {1}
    assert [episode.length for episode in score.episodes] == [20, 20, 20]


def test_start_states_do_not_depend_on_the_policy():
    class Spy(Still):
        def __init__(self):
            self.first = None

        def act(self, obs):
            self.first = obs.copy() if self.first is None else self.first
            return super().act(obs)

    class Wild(Spy):
        def act(self, obs):
            super().act(obs)
            return np.full((len(obs), 1), 2.0, np.float32)

    calm, wild = Spy(), Wild()
    evaluate(calm, make, range(5))
    evaluate(wild, make, range(5))
    np.testing.assert_array_equal(calm.first, wild.first)


def test_mean_and_standard_error_by_hand():
    score = Score([Episode(1.0, 1), Episode(2.0, 1), Episode(6.0, 1)])
    assert score.mean == 3.0
    assert score.sem == pytest.approx(7**0.5 / 3**0.5)  # variance (4 + 1 + 9) / 2 = 7
    assert Score([Episode(1.0, 1)]).sem == 0.0


def test_stop_ends_it_early():
    calls = []
    score = evaluate(Still(), make, range(100), stop=lambda: calls.append(1) or len(calls) > 3)
    assert not score.episodes


def test_pendulum_starts_where_it_is_told():
    env = make()
    env.reset(seed=0)
    np.testing.assert_allclose(start_pendulum(env, np.array([np.pi / 2, -1.5])), [0.0, 1.0, -1.5], atol=1e-6)
    _, reward, *_ = env.step(np.zeros(1))
    assert reward == pytest.approx(-((np.pi / 2) ** 2 + 0.1 * 1.5**2))


def test_legacy_starts_are_read_and_used():
    starts = read_starts(STARTS, "Pendulum-v1")
    assert starts.shape == (100, 2)
    score = evaluate(Still(), make, range(3), starts[:3])
    env = make()
    for i in range(3):
        env.reset(seed=99)
        start_pendulum(env, starts[i])
        assert score.returns[i] == pytest.approx(sum(env.step(np.zeros(1))[1] for _ in range(20)), rel=1e-6)


@pytest.mark.parametrize(
    "text", ["", "theta0\n1\n", "theta0,thetadot0\n", "theta0,thetadot0\n1,x\n", "theta0,thetadot0\n1,inf\n"]
)
def test_files_without_starts_are_refused(tmp_path, text):
    (tmp_path / "starts.csv").write_text(text)
    with pytest.raises(ParameterError):
        read_starts(tmp_path / "starts.csv", "Pendulum-v1")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "/"])
def test_start_states_must_be_a_regular_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(ParameterError, match="cannot be read: it is no file"):
        read_starts(path, "Pendulum-v1")


def test_two_policies_are_compared_in_pairs(tmp_path):
    (tmp_path / "other.csv").write_text("seed,return\n7,1\n6,2\n5,0\n")
    others = read_returns(tmp_path / "other.csv", range(5, 8))
    assert others.tolist() == [0, 2, 1]
    difference = Score([Episode(1.0, 1), Episode(2.0, 1), Episode(6.0, 1)]).minus(others)
    assert difference.mean == 2.0  # 1, 0 and 5
    assert difference.sem == pytest.approx(7**0.5 / 3**0.5)
    with pytest.raises(ParameterError, match="no return for the seed 8, and 1 more"):
        read_returns(tmp_path / "other.csv", range(5, 10))


def test_files_are_found_in_the_project_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(read_starts("data/pendulum_legacy_starts.csv", "Pendulum-v1")) == 100
    assert read_returns("data/pendulum_original_on_seeds.csv", range(2)).tolist() == [-122.4748, -0.4145]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pendulum_legacy_starts.csv").write_text("theta0,thetadot0\n1,2\n")
    assert read_starts("data/pendulum_legacy_starts.csv", "Pendulum-v1").tolist() == [[1.0, 2.0]]  # the current folder first


def test_starts_are_for_pendulum_only():
    with pytest.raises(ParameterError, match="Pendulum"):
        read_starts(STARTS, "LunarLanderContinuous-v3")
    with pytest.raises(ParameterError, match="nowhere.csv"):
        read_starts("nowhere.csv", "Pendulum-v1")
