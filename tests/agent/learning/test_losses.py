"""The maths of D4PG against numbers worked out by hand, naive loops and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from agent.learning import losses

FIVE = np.linspace(-1.0, 1.0, 5, dtype=np.float32)  # -1, -0.5, 0, 0.5, 1


@pytest.mark.parametrize(
    ("lands_at", "expected"),
    [
        (0.00, [0, 0, 1.0, 0.0, 0]),  # on an atom: it gets everything
        (0.25, [0, 0, 0.5, 0.5, 0]),  # half way between two: shared equally
        (0.40, [0, 0, 0.2, 0.8, 0]),  # the nearer gets more
        (9.00, [0, 0, 0.0, 0.0, 1]),  # past the end: all on the last atom
        (-9.0, [1, 0, 0.0, 0.0, 0]),  # before the start: all on the first
    ],
)
def test_project_shares_mass_between_neighbours(lands_at, expected):
    moved, probs = np.full((1, 5), lands_at, np.float32), np.full((1, 5), 0.2, np.float32)
    np.testing.assert_allclose(losses.project(moved, probs, FIVE), [expected], atol=1e-6)


def naive_projection(moved, probs, atoms):
    """Algorithm 1 of Bellemare et al., one atom at a time."""
    spacing = atoms[1] - atoms[0]
    projected = np.zeros_like(probs)
    for row in range(len(probs)):
        for mass, value in zip(probs[row], moved[row], strict=True):
            place = (np.clip(value, atoms[0], atoms[-1]) - atoms[0]) / spacing
            low = min(int(place), len(atoms) - 2)
            projected[row, low] += mass * (low + 1 - place)
            projected[row, low + 1] += mass * (place - low)
    return projected


@pytest.mark.parametrize(("v_min", "v_max", "atoms"), [(-20.0, 0.0, 51), (-1.0, 1.0, 2), (100.0, 1000.0, 101)])
def test_project_is_the_papers_algorithm(v_min, v_max, atoms):
    rng = np.random.default_rng(0)
    support = np.linspace(v_min, v_max, atoms, dtype=np.float32)
    moved = rng.uniform(v_min - 1, v_max + 1, (32, atoms)).astype(np.float32)
    probs = rng.dirichlet(np.ones(atoms), 32).astype(np.float32)
    projected = losses.project(moved, probs, support)
    np.testing.assert_allclose(projected, naive_projection(moved, probs, support), atol=2e-5)
    np.testing.assert_allclose(tf.reduce_sum(projected, axis=1), 1.0, atol=2e-4)


def test_project_keeps_the_mean_of_what_stays_inside():
    rng = np.random.default_rng(1)
    support = np.linspace(-20.0, 0.0, 51, dtype=np.float32)
    moved = rng.uniform(-20.0, 0.0, (16, 51)).astype(np.float32)
    probs = rng.dirichlet(np.ones(51), 16).astype(np.float32)
    np.testing.assert_allclose(losses.project(moved, probs, support).numpy() @ support, (moved * probs).sum(1), atol=1e-3)


def test_mass_outside_counts_what_lands_more_than_half_an_atom_away():
    moved = np.array([[-1.3, -1.2, 0.0, 1.2, 1.3]], np.float32)  # half an atom is 0.25
    probs = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]], np.float32)
    below, above = losses.mass_outside(moved, probs, FIVE)
    assert float(below) == pytest.approx(0.1)
    assert float(above) == pytest.approx(0.25)


def test_cross_entropies_by_hand():
    target = np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)
    logits = np.log(np.array([[0.25, 0.75], [0.25, 0.75]], np.float32))
    expected = [-(0.5 * np.log(0.25) + 0.5 * np.log(0.75)), -np.log(0.25)]
    np.testing.assert_allclose(losses.cross_entropies(target, logits), expected, rtol=1e-6)


def test_entropies_by_hand():
    probs = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]], np.float32)
    np.testing.assert_allclose(losses.entropies(probs), [np.log(2), 0.0, 1.5 * np.log(2)], atol=1e-6)


def test_mean_value_by_hand():
    atoms = np.array([-1.0, 0.0, 1.0], np.float32)
    logits = np.log(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], np.float32))
    np.testing.assert_allclose(losses.mean_value(logits, atoms), [0.3, -0.5], rtol=1e-6)


def test_saturation_is_the_mean_square():
    assert float(losses.saturation(tf.constant([[1.0, -2.0], [3.0, 0.0]]))) == pytest.approx(3.5)


def test_saturated_share_counts_actions_near_a_bound():
    actions = tf.constant([[0.0, 0.999], [-1.0, 0.98]])
    assert float(losses.saturated_share(actions)) == pytest.approx(0.5)


def test_l2_is_half_the_sum_of_squares():
    assert float(losses.l2([tf.constant([[1.0, 2.0]]), tf.constant([[3.0]])])) == pytest.approx(7.0)


@pytest.mark.parametrize("function", ["cross_entropies", "mean_value"])
def test_gradients_agree_with_finite_differences(function):
    rng = np.random.default_rng(2)
    logits = tf.Variable(rng.normal(size=(3, 5)))
    target, atoms = rng.dirichlet(np.ones(5), 3), FIVE.astype(np.float64)

    def value():
        if function == "cross_entropies":
            return tf.reduce_sum(losses.cross_entropies(target, logits))
        return tf.reduce_sum(losses.mean_value(logits, atoms))

    with tf.GradientTape() as tape:
        loss = value()
    gradient, small = tape.gradient(loss, logits).numpy(), 1e-6
    for row, column in [(0, 0), (1, 3), (2, 4)]:
        start = logits.numpy()
        moved = start.copy()
        moved[row, column] += small
        logits.assign(moved)
        after = value()
        logits.assign(start)
        assert float(after - value()) / small == pytest.approx(gradient[row, column], abs=1e-5)
