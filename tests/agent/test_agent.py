"""An agent rolls transitions out of small environments whose every number is known."""

import numpy as np
import pytest
from factories import make_scaling
from faulty_envs import Deaf

from agent.agent import FIRST_SEED, Agent
from params import TrainParams
from utils.envs.environment import Environment
from utils.envs.spec import EnvSpec
from utils.errors import EnvironmentFailure

LOW, HIGH = np.array([-1.0], np.float32), np.array([3.0], np.float32)
SCALING = make_scaling(low=LOW, high=HIGH)


class Counter:
    """Observes the number of steps taken, pays 1 for each, and ends after `length` of them."""

    waiting_since = None

    def __init__(self, length=4, fails_at=None):
        self.length, self.fails_at = length, fails_at
        self.steps, self.taken, self.seeds, self.actions = 0, 0, [], []

    def reset(self, *, seed=None):
        self.steps = 0
        self.seeds.append(seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.taken += 1
        if self.taken == self.fails_at:
            raise EnvironmentFailure("a gear is broken")
        self.steps += 1
        self.actions.append(float(action[0]))
        return np.array([self.steps], np.float32), 1.0, self.steps == self.length, False, {}

    def close(self):
        pass


class Constant:
    """A policy that always takes the same action."""

    version = 7

    def __init__(self, action):
        self.action = action

    def act(self, obs):
        return np.full((len(obs), 1), self.action, np.float32)


DEFAULTS = dict(n_step_returns=3, discount_rate=0.5, noise="gaussian", noise_scale_per="same")


def make(envs, seed=0, **changes):
    """An agent of these environments; when they have been used up, new ones are made as the last."""
    envs = [*envs]
    count = len(envs)
    params = TrainParams(v_min=-1.0, v_max=1.0, envs_per_agent=count, **DEFAULTS | changes)
    last = envs[-1]

    def next_env():
        return envs.pop(0) if envs else Counter(last.length)

    return Agent(0, next_env, params, SCALING, np.random.SeedSequence(seed))


def test_a_batch_holds_the_transitions_of_complete_episodes_in_order():
    batch = make([Counter(4)]).collect(8, None)
    np.testing.assert_array_equal(batch.obs[:, 0], [0, 1, 2, 3, 0, 1, 2, 3])
    np.testing.assert_array_equal(batch.next_obs[:, 0], [3, 4, 4, 4, 3, 4, 4, 4])
    np.testing.assert_allclose(batch.reward, [1.75, 1.75, 1.5, 1.0, 1.75, 1.75, 1.5, 1.0])
    np.testing.assert_allclose(batch.discount, [0.125, 0, 0, 0, 0.125, 0, 0, 0])
    assert [(episode.episode_return, episode.length) for episode in batch.episodes] == [(4.0, 4), (4.0, 4)]


def test_batches_follow_each_other_without_loss():
    agent, whole = make([Counter(4)], seed=1), make([Counter(4)], seed=1).collect(30, None)
    parts = [agent.collect(n, None) for n in (1, 5, 24)]
    np.testing.assert_array_equal(np.concatenate([part.action for part in parts]), whole.action)
    assert [len(part) for part in parts] == [1, 5, 24]


def test_environment_steps_count_each_repetition_of_an_action():
    agent = make([Environment(Deaf(), "Deaf", action_repeat=3)])  # episodes of 3 + 3 + 2 environment steps, 1 for each
    batch = agent.collect(6, None)
    assert batch.reward.tolist() == [3 + 3 / 2 + 2 / 4, 3 + 2 / 2, 2.0] * 2
    assert batch.discount.tolist() == [0.0] * 6
    assert [(episode.episode_return, episode.length) for episode in batch.episodes] == [(8.0, 8), (8.0, 8)]
    assert agent.env_steps == batch.env_steps == 16
    other = make([Counter(4)])
    other.restore(agent.state())
    assert other.env_steps == 16
    assert other.collect(8, None).env_steps == 8  # steps before the restore are not reported again


def test_a_discount_counts_actions_not_environment_steps():
    batch = make([Environment(Deaf(length=30), "Deaf", action_repeat=3)], discount_rate=0.5).collect(1, None)
    assert batch.reward.tolist() == [3 + 3 / 2 + 3 / 4]
    assert batch.discount.tolist() == [0.5**3]


def test_several_environments_never_share_a_window():
    batch = make([Counter(4), Counter(5)]).collect(40, None)
    steps_apart = batch.next_obs[:, 0] - batch.obs[:, 0]
    assert set(steps_apart.tolist()) <= {1.0, 2.0, 3.0}
    assert {episode.length for episode in batch.episodes} == {4, 5}


def test_without_a_policy_it_acts_uniformly_within_the_bounds():
    env = Counter(10)
    make([env]).collect(2000, None)
    assert min(env.actions) >= -1.0
    assert max(env.actions) <= 3.0
    assert np.mean(env.actions) == pytest.approx(1.0, abs=0.1)
    assert np.std(env.actions) == pytest.approx(4 / 12**0.5, abs=0.1)


def test_with_a_policy_it_adds_noise_of_the_scale_of_the_actions():
    env = Counter(10)
    batch = make([env], noise_scale=0.1, noise_decay=1.0).collect(4000, Constant(1.0))
    assert np.mean(env.actions) == pytest.approx(1.0, abs=0.02)
    assert np.std(env.actions) == pytest.approx(0.1 * 2.0, rel=0.1)  # half of the range 4 is 2
    assert batch.policy_version == 7


def test_actions_are_clipped_before_they_are_stepped_and_stored():
    env = Counter(10)
    batch = make([env], noise_scale=0.5).collect(100, Constant(3.0))
    assert max(env.actions) == 3.0
    np.testing.assert_allclose(batch.action[:, 0], env.actions[: len(batch)], rtol=1e-6)


def test_noise_shrinks_with_each_episode_of_this_agent():
    agent = make([Counter(4)], noise_scale=0.3, noise_decay=0.5)
    agent.collect(8, None)
    assert agent.noise.deviation == pytest.approx(0.3 * 0.25)


def test_noise_decays_by_the_environment_steps_of_this_agent():
    agent = make([Counter(4)], noise_scale=0.3, noise_decay=0.5, noise_decay_per="step")
    agent.collect(1, None)  # of three steps
    assert agent.noise.deviation == pytest.approx(0.3 / 2**agent.env_steps)
    other = make([Counter(4)], noise_scale=0.3, noise_decay=0.5, noise_decay_per="step")
    other.restore(agent.state())
    assert other.noise.deviation == agent.noise.deviation


@pytest.mark.parametrize("changes", [{"noise": "ou"}, {"noise_scale_per": "episode"}, {"noise_decay_per": "step"}])
def test_an_agent_restored_after_truncation_acts_as_the_one_that_goes_on(changes):
    agent, other = (make([Counter(5), Counter(5)], seed=seed, **changes) for seed in (1, 2))
    agent.collect(50, Constant(1.0))
    agent.truncate()
    other.restore(agent.state())
    first, second = agent.collect(50, Constant(1.0)), other.collect(50, Constant(1.0))
    np.testing.assert_array_equal(first.action, second.action)
    assert first.noise == second.noise


@pytest.mark.parametrize("steps", [1, 3])
def test_an_episode_that_was_cut_off_is_not_reported(steps):
    agent = make([Counter(10)], n_step_returns=steps)
    agent.collect(12, Constant(1.0))
    cut = agent.truncate()
    reported = [] if cut is None else [episode.length for episode in cut.episodes]
    assert reported == []
    assert [episode.length for episode in agent.collect(30, Constant(1.0)).episodes] == [10, 10, 10]


def test_training_uses_no_seed_of_a_test():
    env = Counter(1)
    make([env]).collect(100, None)
    assert min(seed for seed in env.seeds if seed is not None) >= FIRST_SEED > 2_000_000 + 1000


def test_a_failed_environment_starts_with_new_noise():
    agent = make([Counter(100, fails_at=50)], noise="ou", noise_scale=0.05, noise_decay_per="none")
    with pytest.raises(EnvironmentFailure):
        agent.collect(100, Constant(1.0))
    agent.restart()
    assert agent.noise._is_new.all()


def test_the_newest_policy_is_used_from_the_next_step_on():
    env = Counter(10)
    agent = make([env], noise_scale=0.0)
    agent.collect(1, Constant(0.0))
    before = len(env.actions)
    agent.collect(5, Constant(2.0))
    assert set(env.actions[before:]) == {2.0}


def test_its_seeds_fix_resets_and_actions():
    first, again, other = Counter(4), Counter(4), Counter(4)
    for env, seed in ((first, 5), (again, 5), (other, 6)):
        make([env], seed=seed).collect(20, None)
    assert first.seeds == again.seeds
    assert first.actions == again.actions
    assert first.seeds != other.seeds
    assert len(set(first.seeds)) == len(first.seeds)


def test_a_failure_names_agent_step_and_action():
    agent = make([Counter(10, fails_at=6)], noise_scale=0.0)
    with pytest.raises(EnvironmentFailure, match=r"agent 0, its environment step 6, action \[\[2.*a gear is broken"):
        agent.collect(20, Constant(2.0))


def test_returns_are_raw_and_transitions_are_not_where_the_training_clips_rewards():
    clipped = EnvSpec("Deaf-v0", {"length": 4}).make(reward_clip=(0.0, 0.25))  # whose rewards are 1
    batch = make([clipped], n_step_returns=1).collect(4, None)
    assert [episode.episode_return for episode in batch.episodes] == [4.0]
    assert batch.reward.tolist() == [0.25] * 4
