"""ActorCritic: what no other test of the learner shows."""

import resource

import numpy as np
from factories import make_params

from agent.learning.actor_critic import ActorCritic


def test_a_schedule_of_the_rates_keeps_no_memory():
    networks = ActorCritic(make_params(num_critics=2), 3, 1, np.random.default_rng(0))
    grown = []
    for part in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(3_000):
            networks.set_rate_factor(1.0 - (3_000 * part + i) / 10_000)
        grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown[1] < 1_500  # kilobytes; Python floats took 4 400
