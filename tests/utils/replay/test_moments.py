"""Running mean and standard deviation."""

import json

import numpy as np
import pytest

from utils.replay.moments import RunningMoments


def test_batches_have_the_moments_of_all_their_rows():
    rows = np.random.default_rng(0).normal([5.0, -3e4, 0.0], [2.0, 1.0, 1e-3], (1000, 3)).astype(np.float32)
    moments = RunningMoments(3)
    for batch in np.array_split(rows, 13):
        moments.add(batch)
    np.testing.assert_allclose(moments.mean, rows.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.deviation, rows.astype(np.float64).std(axis=0), rtol=1e-9)


def test_by_hand():
    moments = RunningMoments(1)
    moments.add(np.array([[1.0], [3.0]]))
    moments.add(np.array([[5.0]]))
    assert moments.mean == [3.0]
    assert moments.deviation == pytest.approx([np.sqrt(8 / 3)])


@pytest.mark.parametrize("value", [0.0, 7.0, 1e6 + 0.1])
def test_a_constant_dimension_has_deviation_one(value):
    moments = RunningMoments(1)
    assert moments.deviation == [1.0]  # before the first row
    for _ in range(3):
        moments.add(np.full((10, 1), value, np.float32))
    assert moments.deviation == [1.0]


def test_state_continues():
    moments, other = RunningMoments(2), RunningMoments(2)
    moments.add(np.array([[1.0, 2.0], [3.0, 7.0]]))
    other.restore(json.loads(json.dumps(moments.state())))
    for one in (moments, other):
        one.add(np.array([[0.1, 0.2]]))
    assert moments.state() == other.state()


def test_a_state_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected"):
        RunningMoments(2).restore(RunningMoments(3).state())
