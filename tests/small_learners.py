"""Small learners for tests: parameters, a replay with given transitions, and a bandit problem. Loads TensorFlow."""

import numpy as np

from agent.learning.learner import Learner
from agent.scaling import Scaling
from params import TrainParams
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.transitions import TransitionBatch


def small(**changes):
    """Parameters of a learner that compiles and learns within a second or two."""
    defaults = dict(
        v_min=-2.0,
        v_max=2.0,
        dense1_size=32,
        dense2_size=32,
        batch_size=64,
        updates_per_call=4,
        num_steps_train=4000,
        critic_learning_rate=3e-3,
        actor_learning_rate=3e-3,
        tau=0.05,
    )
    return TrainParams(**defaults | changes)


def make(params, batch, obs_size=1, action_size=1, seed=0):
    unit = np.ones(action_size, np.float32)
    scaling = Scaling(np.zeros(obs_size, np.float32), np.ones(obs_size, np.float32), np.inf, params.reward_scale, -unit, unit)
    replay = PrioritisedReplay(
        5000, obs_size, action_size, params.priority_alpha, params.priority_epsilon, np.random.default_rng(seed)
    )
    replay.add(batch)
    return Learner(params, scaling, replay, np.random.default_rng(seed)), replay


def batch_of(obs, action, reward, discount, next_obs):
    columns = (np.asarray(column, np.float32) for column in (obs, action, reward, discount, next_obs))
    return TransitionBatch(*columns)


def bandit(n=1000):
    """One observation, one step; of all actions 0.3 pays best, namely 1."""
    action = np.random.default_rng(0).uniform(-1, 1, (n, 1))
    return batch_of(np.ones((n, 1)), action, 1.0 - 2.0 * (action[:, 0] - 0.3) ** 2, np.zeros(n), np.ones((n, 1)))
