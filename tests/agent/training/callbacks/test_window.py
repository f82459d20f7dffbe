"""The window plays the newest checkpoint, one at a time, in a child process."""

from pathlib import Path

import pytest
from callback_events import make_run, make_status, use_fake_children

from agent.training.callbacks import window as module
from agent.training.callbacks.window import Window

LEARNING = make_status()


@pytest.fixture
def children(monkeypatch):
    """The windows that were opened."""
    return use_fake_children(monkeypatch, module)


@pytest.fixture
def window(tmp_path, children):
    window = Window()
    window.on_start(make_run(tmp_path))
    return window


def test_without_a_checkpoint_there_is_no_window(window, children):
    window.on_tick(LEARNING)
    assert children == []


def test_one_window_at_a_time_shows_the_newest_checkpoint(window, children):
    for step in (10, 20, 30):
        window.on_checkpoint(Path(f"ckpt-{step}"))
        window.on_tick(LEARNING)
    assert [child.name for child in children] == ["ckpt-10"]
    assert children[0].words == ("play.py", "--render", "--no-record")
    children[0].code = 0
    window.on_tick(LEARNING)
    children[1].code = 0
    window.on_tick(LEARNING)  # nothing newer: no further window
    assert [child.name for child in children] == ["ckpt-10", "ckpt-30"]
    assert window._run.console.said == []


@pytest.mark.parametrize(("code", "sentences"), [(3, ["There is no window: said"]), (130, [])])
def test_window_that_fails_is_reported_once_and_one_that_is_closed_is_not(window, children, code, sentences):
    for step in (10, 20):
        window.on_checkpoint(Path(f"ckpt-{step}"))
        window.on_tick(LEARNING)
        children[-1].code = code
        window.on_tick(LEARNING)
    assert window._run.console.said == sentences


def test_window_that_cannot_start_is_reported(window, monkeypatch):
    def fails(*words, **flags):
        raise OSError("out of processes")

    monkeypatch.setattr(module, "Child", fails)
    window.on_checkpoint(Path("ckpt-10"))
    window.on_tick(LEARNING)
    assert window._run.console.said == ["There is no window: out of processes."]


@pytest.mark.parametrize("ending", [{"is_ending": True}, {"has_ended": True}])
def test_no_window_opens_while_the_run_ends(window, children, ending):
    window.on_checkpoint(Path("ckpt-10"))
    window.on_tick(make_status(**ending))
    assert children == []


def test_close_ends_the_window(window, children):
    window.on_checkpoint(Path("ckpt-10"))
    window.on_tick(LEARNING)
    window.close()
    window.close()
    assert children[0].has_ended
