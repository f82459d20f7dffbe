"""RunWarnings prints what is wrong with a run, once."""

import pytest
from callback_events import make_run
from factories import make_params

from agent.training.callbacks.run_warnings import RunWarnings

SOUND = {"target_mass_below": 0.0, "target_mass_above": 0.0, "skipped_updates": 0}


@pytest.fixture
def warned(tmp_path):
    """The callback of a run of 100 learner steps, and what it has printed."""
    run = make_run(tmp_path, make_params(num_steps_train=100))
    callback = RunWarnings()
    callback.on_start(run)
    return callback, run.console.said


@pytest.mark.parametrize(("side", "advice"), [("above", "raise v_max"), ("below", "lower v_min")])
def test_target_mass_outside_the_support_is_printed_after_the_first_tenth(warned, side, advice):
    callback, said = warned
    metrics = SOUND | {f"target_mass_{side}": 0.07}
    callback.on_metrics(9, metrics)
    assert said == []
    callback.on_metrics(11, metrics)
    callback.on_metrics(12, metrics)
    (sentence,) = said
    assert "7%" in sentence
    assert advice in sentence


def test_skipped_update_is_printed_once(warned):
    callback, said = warned
    callback.on_metrics(1, SOUND | {"skipped_updates": 1})
    callback.on_metrics(2, SOUND | {"skipped_updates": 2})
    (sentence,) = said
    assert "An update was skipped" in sentence


def test_sound_run_prints_nothing(warned):
    callback, said = warned
    callback.on_metrics(99, SOUND)
    assert said == []
