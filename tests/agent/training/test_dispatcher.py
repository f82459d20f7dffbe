"""The dispatcher: the order of events, how a callback stops a run, and what its exceptions do."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from callback_events import Screen, make_episode, make_result, make_run, make_status

from agent.training import dispatcher as module
from agent.training.callbacks.callback import Callback
from agent.training.dispatcher import Dispatcher

SECONDS = 30.0  # that a test waits for another thread, at most


class Recorder(Callback):
    """Keeps the events. `answer` names the methods that return True, `fails` those that raise."""

    def __init__(self, answer=(), fails=()):
        self.events, self._answer, self._fails = [], answer, fails

    def _note(self, name, value=None):
        self.events.append((name, value))
        if name in self._fails:
            raise RuntimeError(f"broken {name}")
        return name in self._answer

    def on_start(self, run):
        return self._note("start", run.run_id)

    def on_episode(self, episode):
        return self._note("episode", episode.episode_return)

    def on_metrics(self, learner_step, metrics):
        return self._note("metrics", learner_step)

    def on_tick(self, status):
        return self._note("tick", status.learner_step)

    def on_checkpoint(self, path):
        return self._note("checkpoint", path.name)

    def on_end(self, result):
        return self._note("end", result.learner_step)

    def close(self):
        return self._note("close")

    @property
    def names(self):
        return [name for name, _ in self.events]


class Optional(Recorder):
    is_optional = True


class Slow(Recorder):
    """Its first checkpoint takes until `go` is set."""

    slow = True

    def __init__(self, **how):
        super().__init__(**how)
        self.began, self.go, self.seen_all = threading.Event(), threading.Event(), threading.Event()

    def on_checkpoint(self, path):
        self.began.set()
        assert self.go.wait(SECONDS)
        return super().on_checkpoint(path)


@pytest.fixture
def made(tmp_path):
    """Makes a dispatcher of callbacks, with its stop event and its console."""

    def make(*callbacks, **run):
        stop, console = threading.Event(), Screen()
        return SimpleNamespace(
            dispatcher=Dispatcher(callbacks, stop, console),
            stop=stop,
            said=console.said,
            run=make_run(tmp_path, console=console, stop=stop, **run),
        )

    return make


def test_events_come_in_order(made):
    recorder = Recorder()
    dispatcher = (training := made(recorder)).dispatcher
    dispatcher.start(training.run)
    dispatcher.checkpoint(Path("ckpt-10"))
    dispatcher.episodes([make_episode(-1.0), make_episode(-2.0)])
    dispatcher.flush((40, {"critic_loss": 2.5}), make_status())
    dispatcher.flush(None, make_status(learner_step=41))
    dispatcher.end(make_result(Path("ckpt-100")))
    dispatcher.close()
    assert recorder.events == [
        ("start", "r1"),
        ("episode", -1.0),
        ("episode", -2.0),
        ("checkpoint", "ckpt-10"),
        ("metrics", 40),
        ("tick", 40),
        ("tick", 41),
        ("end", 100),
        ("close", None),
    ]


@pytest.mark.parametrize("event", ["start", "episode", "metrics", "tick", "checkpoint"])
def test_true_from_a_callback_stops_the_run(made, event):
    recorder, other = Recorder(answer=[event]), Recorder()
    training = made(recorder, other)
    training.dispatcher.start(training.run)
    training.dispatcher.episodes([make_episode()])
    training.dispatcher.checkpoint(Path("ckpt-10"))
    training.dispatcher.flush((40, {}), make_status())
    assert training.stop.is_set()
    assert other.names == recorder.names


def test_run_calls_until_the_stop_and_says_that_it_ends(made, monkeypatch):
    monkeypatch.setattr(module, "TICK", 0.0)
    seen = []

    class StopsAtTheThird(Callback):
        def on_tick(self, status):
            seen.append(status.is_ending)
            return len(seen) == 3

    training = made(StopsAtTheThird())
    measurements = SimpleNamespace(due_row=lambda: None, status=lambda is_ending=False: make_status(is_ending=is_ending))
    training.dispatcher.run(measurements)
    assert seen == [False, False, False, True]


@pytest.mark.parametrize("event", ["episode", "metrics", "tick", "checkpoint", "end", "close"])
def test_exception_of_an_optional_callback_is_reported_once(made, event):
    broken, other = Optional(fails=[event]), Recorder()
    training = made(broken, other)
    training.dispatcher.start(training.run)
    for _ in range(2):
        training.dispatcher.episodes([make_episode()])
        training.dispatcher.checkpoint(Path("ckpt-10"))
        training.dispatcher.flush((40, {}), make_status())
    training.dispatcher.end(make_result(Path("ckpt-100")))
    training.dispatcher.close()
    method = "close" if event == "close" else f"on_{event}"
    assert training.said == [f"Optional failed in {method} and is reported once: RuntimeError('broken {event}')."]
    assert not training.stop.is_set()
    assert other.names == broken.names


def test_exception_of_on_start_ends_the_run_for_optional_callbacks_too(made):
    training = made(Optional(fails=["start"]))
    with pytest.raises(RuntimeError, match="broken start"):
        training.dispatcher.start(training.run)


def test_exception_of_a_callback_is_raised_by_run_and_it_gets_no_further_event(made, monkeypatch):
    monkeypatch.setattr(module, "TICK", 0.0)
    broken, other = Recorder(fails=["tick"]), Recorder()
    training = made(other, broken)
    measurements = SimpleNamespace(due_row=lambda: None, status=lambda is_ending=False: make_status())
    with pytest.raises(RuntimeError, match="broken tick"):
        training.dispatcher.run(measurements)
    training.dispatcher.flush((41, {}), make_status(learner_step=41))  # the last one, after the failure
    training.dispatcher.close()
    assert broken.names == ["tick", "close"]
    assert other.names == ["tick", "metrics", "tick", "close"]


def test_slow_callback_delays_no_other_and_sees_the_latest_checkpoint_only(made):
    slow, other = Slow(), Recorder()
    training = made(slow, other)
    training.dispatcher.start(training.run)
    training.dispatcher.checkpoint(Path("ckpt-10"))
    training.dispatcher.flush(None, make_status())
    assert slow.began.wait(SECONDS)
    for step in (20, 30, 40):
        training.dispatcher.checkpoint(Path(f"ckpt-{step}"))
    training.dispatcher.flush(None, make_status())
    assert [value for name, value in other.events if name == "checkpoint"] == ["ckpt-10", "ckpt-20", "ckpt-30", "ckpt-40"]
    training.stop.set()  # the last checkpoint is saved after the stop
    slow.go.set()
    training.dispatcher.end(make_result(Path("ckpt-100")))
    assert [value for name, value in slow.events if name == "checkpoint"] == ["ckpt-10", "ckpt-40"]
    assert slow.names[-1] == "end"


def test_end_does_not_wait_for_a_slow_callback_after_a_signal(made):
    slow = Slow()
    training = made(slow, is_interrupted=lambda: True)
    training.dispatcher.start(training.run)
    training.dispatcher.checkpoint(Path("ckpt-10"))
    training.dispatcher.flush(None, make_status())
    assert slow.began.wait(SECONDS)
    training.dispatcher.end(make_result(Path("ckpt-100")))
    training.dispatcher.close()
    assert slow.names == ["start", "tick", "end", "close"]  # ckpt-10 is not finished yet
    slow.go.set()


def test_true_from_a_slow_callback_stops_the_run(made):
    slow = Slow(answer=["checkpoint"])
    slow.go.set()
    training = made(slow)
    training.dispatcher.start(training.run)
    training.dispatcher.checkpoint(Path("ckpt-10"))
    training.dispatcher.flush(None, make_status())
    assert training.stop.wait(SECONDS)
    training.dispatcher.close()


@pytest.mark.parametrize("is_optional", [False, True])
def test_exception_in_the_thread_of_a_slow_callback(made, is_optional):
    slow = Slow(fails=["checkpoint"])
    slow.is_optional = is_optional
    slow.go.set()
    training = made(slow)
    training.dispatcher.start(training.run)
    training.dispatcher.checkpoint(Path("ckpt-10"))
    training.dispatcher.flush(None, make_status())
    if is_optional:
        training.dispatcher.end(make_result(Path("ckpt-100")))
        assert training.said == ["Slow failed in on_end and is reported once: RuntimeError('broken checkpoint')."]
    else:
        with pytest.raises(RuntimeError, match="broken checkpoint"):
            training.dispatcher.end(make_result(Path("ckpt-100")))


def test_thread_of_a_slow_callback_ends_with_a_failed_run(made):
    slow = Slow()
    training = made(slow)
    before = set(threading.enumerate())
    training.dispatcher.start(training.run)
    (thread,) = set(threading.enumerate()) - before
    training.dispatcher.close()  # without `end`
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_episodes_beyond_the_limit_are_dropped_and_checkpoints_are_not(made, monkeypatch):
    monkeypatch.setattr(module, "MOST_EPISODES", 3)
    recorder = Recorder()
    training = made(recorder)
    for number in range(10):
        training.dispatcher.episodes([make_episode(float(number))])
        training.dispatcher.checkpoint(Path(f"ckpt-{number}"))
    training.dispatcher.flush(None, make_status())
    assert [value for name, value in recorder.events if name == "episode"] == [7.0, 8.0, 9.0]
    assert [value for name, value in recorder.events if name == "checkpoint"] == [f"ckpt-{number}" for number in range(10)]


def test_episodes_that_arrive_meanwhile_do_not_keep_the_other_events_waiting(made):
    recorder = Recorder()
    training = made(recorder)

    class AsFastAsItIsRead(Callback):
        def on_episode(self, episode):
            assert len(recorder.events) < 10
            training.dispatcher.episodes([make_episode()])

    training.dispatcher._callbacks.append(AsFastAsItIsRead())
    training.dispatcher.episodes([make_episode()])
    training.dispatcher.checkpoint(Path("ckpt-10"))
    training.dispatcher.flush(None, make_status())
    assert recorder.names == ["episode", "checkpoint", "tick"]


def test_all_are_closed_even_when_one_raises(made):
    first, broken, last = Recorder(), Recorder(fails=["close"]), Recorder()
    training = made(first, broken, last)
    with pytest.raises(RuntimeError, match="broken close"):
        training.dispatcher.close()
    assert [callback.names for callback in (first, broken, last)] == [["close"]] * 3
