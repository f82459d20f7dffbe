"""What the live view says of known numbers."""

import contextlib
import io
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from callback_events import Screen, make_episode, make_run, make_status
from rich.console import Console
from rich.progress_bar import ProgressBar

from agent.training.callbacks.live_view import LiveView, Rate, Rates, Snapshot, line, rows
from utils.console import table

LEARNING = Snapshot(
    make_status(
        seconds=52.0,
        learner_step=3100,
        num_steps_train=5000,
        inserts=49_600,
        learning_starts=10_000,
        env_steps=49_600,
        episodes=248,
        replay_size=49_600,
        replay_capacity=1_000_000,
        saved_step=3000,
        metrics={"critic_loss": 2.31},
    ),
    recent_returns=(-300.0, -324.8),
    binned_returns=(-1600.0, -900.0, -312.4),
)


def but(snapshot, **changes):
    """The snapshot of a status that differs in this."""
    return replace(snapshot, status=replace(snapshot.status, **changes))


START = but(LEARNING, seconds=2.0, learner_step=0, inserts=3200, env_steps=3200, episodes=16, metrics={}, saved_step=None)
RATES = Rates(updates=211.0, env_steps=1690.0)


@pytest.mark.parametrize(
    ("snapshot", "phase"),
    [
        (START, "collecting random transitions: 3,200 of 10,000"),
        (but(START, learner_step=500, first_learner_step=500), "collecting transitions: 3,200 of 10,000"),  # resumed
        (but(START, inserts=10_000), "compiling the update (about 10 s)"),
        (but(LEARNING, first_learner_step=3100), "compiling the update (about 10 s)"),  # resumed with its replay
        (LEARNING, "learning"),
        (but(LEARNING, is_ending=True), "stopping: waiting for the learner and the agents"),
        (but(LEARNING, has_ended=True), "stopped"),
        (but(START, has_ended=True), "stopped"),
        (but(LEARNING, learner_step=5000, has_ended=True), "done"),
    ],
)
def test_phase(snapshot, phase):
    assert rows(snapshot, RATES)["phase"] == [phase]
    assert line(snapshot, RATES).startswith(phase)


def test_rows_while_learning():
    shown = rows(LEARNING, RATES)
    bar = shown["progress"][0]
    assert isinstance(bar, ProgressBar)
    assert bar.completed / bar.total == 0.62
    assert shown["progress"][1:] == ["62 %, 3,100 of 5,000 learner steps", "49,600 environment steps, 248 episodes"]
    assert shown["time"] == ["0:00:52 elapsed, 0:00:09 left"]  # 1 900 learner steps at 211 a second
    assert shown["speed"] == ["211 updates/s, 1,690 environment steps/s"]
    assert shown["score"][0] == "-312.4, mean return of the last 2 training episodes"
    assert shown["score"][2] == "since the start, from -1,600.0 to -312.4"
    assert shown["critic"] == ["loss 2.310"]
    assert shown["replay"] == ["49,600 of 1,000,000 transitions"]
    assert shown["saved"] == ["learner step 3,000"]


def test_rows_at_the_start_name_what_is_not_known():
    shown = rows(Snapshot(but(START, episodes=1).status), Rates())
    assert shown["score"] == ["no episode has finished yet"]
    assert shown["progress"][2] == "3,200 environment steps, 1 episode"
    assert shown["time"] == ["0:00:02 elapsed"]
    assert shown["speed"] == shown["critic"] == shown["saved"] == ["-"]


def test_percentage_is_100_at_the_end_only():
    assert rows(but(LEARNING, learner_step=4999), RATES)["progress"][1] == "99 %, 4,999 of 5,000 learner steps"
    last = rows(but(LEARNING, learner_step=5000, has_ended=True), RATES)
    assert last["progress"][1] == "100 %, 5,000 of 5,000 learner steps"
    assert last["time"] == ["0:00:52 elapsed"]


@pytest.mark.parametrize("width", [40, 80])
def test_no_word_is_broken(width):
    large = but(LEARNING, num_steps_train=8_000_000, learner_step=7_654_321, env_steps=61_234_568, episodes=1_234_567)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table(rows(large, RATES)))
    drawn = console.export_text()
    assert max(map(len, drawn.splitlines())) <= width
    words = re.findall(r"\S+", drawn)
    for word in ("7,654,321", "61,234,568", "environment", "1,234,567", "episodes", "-1,600.0"):
        assert word in words


def test_line_is_short():
    assert (
        line(START, Rates(env_steps=1500.0))
        == "collecting random transitions: 3,200 of 10,000 | return -312.4 | 0:00:02 elapsed"
    )
    assert line(LEARNING, RATES) == (
        "learning | 3,100 of 5,000 learner steps (62 %) | return -312.4 | 211 updates/s | 0:00:52 elapsed | 0:00:09 left"
    )


def test_rate_is_the_mean_of_a_steady_stream():
    rate = Rate()
    assert rate.per_second is None
    for second in range(4):
        rate.count(100.0 + second, 1000 + 200 * second)
    assert rate.per_second == pytest.approx(200.0)


def test_rate_follows_a_change_smoothly():
    rate = Rate()
    for second in range(101):
        rate.count(second, 200 * second)
    rate.count(101.0, 20_000)  # a second without events
    assert 175 < rate.per_second < 195
    for second in range(102, 162):
        rate.count(second, 20_000)
    assert rate.per_second < 1.0


@pytest.fixture
def view(tmp_path):
    """A view that has started, and the lines that it shows."""
    run = make_run(tmp_path)
    view = LiveView()
    view.on_start(run)
    return SimpleNamespace(view=view, lines=run.console.lines, run=run)


def test_compilation_does_not_lower_the_rate_of_updates_nor_the_end(view):
    status = make_status(num_steps_train=5000, inserts=10_000, learning_starts=10_000)
    for second, learner_step in enumerate([0] * 10 + [100, 200, 300]):
        view.view.on_tick(replace(status, seconds=float(second), learner_step=learner_step))
    view.view.on_tick(replace(status, seconds=15.0, learner_step=300, has_ended=True))
    assert not any("updates/s" in line for line, _ in view.lines[:11])
    assert "| 100 updates/s | 0:00:12 elapsed | 0:00:47 left" in view.lines[-2][0]
    assert "| 100 updates/s | 0:00:15 elapsed" in view.lines[-1][0]
    assert [is_last for _, is_last in view.lines] == [False] * 13 + [True]


def test_returns_of_episodes_are_shown(view):
    for episode_return in (-100.0, -50.0):
        view.view.on_episode(make_episode(episode_return))
    view.view.on_tick(make_status())
    assert "return -75.0" in view.lines[0][0]


def test_last_state_is_shown_after_the_learner_has_ended(view):
    for learner_step, phase in ((88, {}), (88, {"is_ending": True}), (100, {"has_ended": True})):
        view.view.on_tick(make_status(learner_step=learner_step, **phase))
    first, ending, last = (line for line, _ in view.lines)
    assert "learning | 88 of 100" in first
    assert "stopping" in ending
    assert "done | 100 of 100 learner steps (100 %)" in last


@pytest.mark.parametrize("has_ended", [True, False])  # False: the run failed before its last status
def test_table_is_closed_once_at_the_end(tmp_path, has_ended):
    class Table(Screen):
        events = []

        @contextlib.contextmanager
        def live(self):
            yield
            self.events.append("closed")

    run = make_run(tmp_path, console=Table())
    view = LiveView()
    view.on_start(run)
    view.on_tick(make_status(has_ended=has_ended))
    assert run.console.events == ["closed"] * has_ended
    view.close()
    assert run.console.events == ["closed"]


def test_close_before_the_start_does_nothing():
    LiveView().close()
