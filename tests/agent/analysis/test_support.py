"""Where the returns lie within the support, and when it is said to be too narrow."""

import numpy as np
import pytest
from factories import save_checkpoint as save

from agent.analysis.plot_params import SupportParams
from agent.analysis.support import Support, draw_support, support_of, visited, warnings_of_log
from agent.loading import load_checkpoint
from agent.scaling import support_warnings
from utils.envs.spec import EnvSpec

ATOMS = np.linspace(-20.0, 0.0, 5)


def make():
    return EnvSpec("Pendulum-v1", max_ep_length=20).make()


@pytest.fixture
def loaded(tmp_path):
    save(tmp_path / "Pendulum-v1" / "Pendulum-v1.ckpt-10", make())
    return load_checkpoint(SupportParams(ckpt_dir=str(tmp_path)))


def test_the_critic_is_asked_about_the_states_that_the_policy_visits(loaded):
    obs, action = visited(loaded, make(), [1, 2])
    assert obs.shape == (40, 3)
    np.testing.assert_allclose(action, loaded.policy.act(obs), atol=1e-5)
    support = support_of([loaded], make, [1, 2])
    np.testing.assert_allclose(support.probs[0], loaded.critic.distribution(obs, action).mean(axis=0), rtol=1e-5)
    assert support.probs.sum() == pytest.approx(1.0, rel=1e-5)


def test_a_quantile_is_the_first_atom_with_that_much_mass_below():
    support = Support(np.array([1, 2]), np.tile(ATOMS, (2, 1)), np.array([[0.1, 0.2, 0.4, 0.3, 0.0], [0, 0, 0, 0, 1.0]]))
    assert list(support.quantile(0.05)) == [-20.0, 0.0]
    assert list(support.quantile(0.5)) == [-10.0, 0.0]
    assert list(support.quantile(0.99)) == [-5.0, 0.0]


def test_mass_outside_names_the_bound_to_move_and_mass_on_the_last_atom_does_not():
    assert list(support_warnings(0.0, 0.03, -20.0, 0.0)) == []
    assert dict(support_warnings(0.0, 0.07, -20.0, 5.0)) == {
        "v_max": "7% of the target mass lies above the support: raise v_max (now 5)."
    }
    assert "lower v_min (now -20)" in dict(support_warnings(0.5, 0.0, -20.0, 0.0))["v_min"]


def log_of(steps, below, above):
    columns = dict(learner_step=steps, target_mass_below=below, target_mass_above=above)
    return {name: np.array(values, float) for name, values in columns.items()}


def test_the_first_tenth_of_a_run_causes_no_warning():
    early = log_of([5, 9, 10, 100], [0, 0, 0, 0], [0.9, 0.9, 0, 0])
    assert warnings_of_log(early, -20.0, 0.0) == []
    late = log_of([5, 10, 100], [0, 0, 0], [0, 0.08, np.nan])
    assert warnings_of_log(late, -20.0, 0.0) == ["8% of the target mass lies above the support: raise v_max (now 0)."]
    assert warnings_of_log({}, -20.0, 0.0) == []


def legend_of(below, above):
    """The names of the lines about the edge atoms, for a run whose whole target mass may lie outside."""
    support = Support(np.array([10, 20]), np.tile(ATOMS, (2, 1)), np.array([[1.0, 0, 0, 0, 0]] * 2))
    log = {} if below is None else log_of([5, 30], [below] * 2, [above] * 2)
    _, lower = draw_support(support, log, "Toy-v0").axes
    return [line.get_label() for line in lower.lines[:2]]


def test_the_legend_says_no_fault_only_where_no_target_lies_outside():
    assert legend_of(0.0, 0.0) == ["on the first atom (no fault)", "on the last atom (no fault)"]
    assert legend_of(1.0, 0.0) == ["on the first atom (targets are cut off)", "on the last atom (no fault)"]
    assert legend_of(0.0, 1.0) == ["on the first atom (no fault)", "on the last atom (targets are cut off)"]
    assert legend_of(None, None) == ["on the first atom", "on the last atom"]  # without a log it is not known


@pytest.mark.parametrize("steps", [[10], [10, 20, 30]])
def test_the_names_of_the_bounds_stand_where_no_mass_is_drawn(steps):
    figure = draw_support(
        Support(np.array(steps), np.tile(ATOMS, (len(steps), 1)), np.full((len(steps), 5), 0.2)), {}, "Toy-v0"
    )
    figure.canvas.draw()
    upper = figure.axes[0]
    bottom, top = (upper.transData.transform((steps[0], edge))[1] for edge in (ATOMS[0], ATOMS[-1]))
    inside = upper.get_window_extent()
    for text in upper.texts:
        box = text.get_window_extent()
        assert box.y1 < bottom or box.y0 > top
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1


@pytest.mark.parametrize("steps", [[10], [10, 20, 30]])
def test_the_drawing_shows_both_bounds_and_the_warning(steps):
    support = Support(np.array(steps), np.tile(ATOMS, (len(steps), 1)), np.full((len(steps), 5), 0.2))
    figure = draw_support(support, log_of([5, 30], [0, 0], [0, 0.08]), "Toy-v0", ["raise v_max"])
    upper, lower = figure.axes
    assert {text.get_text() for text in upper.texts} == {"v_min: -20", "v_max: 0"}
    assert "raise v_max" in figure.get_suptitle()
    assert "target mass above the support" in [line.get_label() for line in lower.lines]


def test_a_support_that_moved_has_quantiles_and_bounds_of_its_own_at_each_checkpoint():
    atoms = np.array([ATOMS, 2.0 * ATOMS])
    support = Support(np.array([10, 30]), atoms, np.full((2, 5), 0.2))
    assert list(support.quantile(0.05)) == [-20.0, -40.0]
    assert list(support.mean) == [-10.0, -20.0]
    log = {**log_of([5, 20, 30], [0] * 3, [0] * 3), "v_min_raw": np.array([-20.0, -20.0, -40.0]), "v_max_raw": np.zeros(3)}
    upper = draw_support(support, log, "Toy-v0").axes[0]
    assert [list(line.get_ydata()) for line in upper.lines if len(line.get_xdata()) == 3] == [[-20.0, -20.0, -40.0]]
    assert {text.get_text() for text in upper.texts} == {"v_min: -40", "v_max: 0"}
