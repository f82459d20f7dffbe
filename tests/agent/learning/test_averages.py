"""Moving averages over the learner steps."""

import numpy as np
import pytest

from agent.learning.averages import MEMORY, Averages, Statistics, average


def test_few_steps_give_their_mean():
    averages = Averages()
    for value in (1.0, 2.0, 6.0):
        averages.add(Statistics(value, 0.0, 2.0 * value, np.full(3, value)), 8)
    assert (averages.below, averages.above, averages.td_error, averages.steps) == (
        pytest.approx(3.0),
        0.0,
        pytest.approx(6.0),
        24,
    )
    assert averages.target_mass == pytest.approx([3.0, 3.0, 3.0])


def test_many_steps_forget_by_an_exponential():
    value = 1.0
    for step in range(10_000, 10_500):
        value = average(value, 0.0, 1, step)
    assert value == pytest.approx(np.exp(-500.0 / MEMORY), rel=1e-6)
