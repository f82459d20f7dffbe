"""Trainings from Python: `train` and `train_seeds`."""

import sys
import threading
from pathlib import Path

import gymnasium
import pytest
from fake_learner import omit_recording, use_fake_learner
from threadpoolctl import threadpool_info

from agent.training import Callback, train, train_seeds
from agent.training.runs import _unused_name
from params import TrainParams
from utils.errors import ParameterError
from utils.storage.run_folder import Run, read_run

SMALL = {
    "num_steps_train": 32,
    "save_ckpt_step": 16,
    "learning_starts": 64,
    "batch_size": 16,
    "dense1_size": 8,
    "dense2_size": 8,
    "num_agents": 1,
    "max_ep_length": 20,
    "replay_mem_size": 1000,
}


@pytest.fixture
def small(tmp_path):
    return SMALL | {f"{name}_dir": str(tmp_path / name) for name in ("ckpt", "log", "results")}


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.slow(seconds=20)
def test_train_twice_leaves_the_process_as_it_was(small, monkeypatch, capsys):
    omit_recording(monkeypatch)
    before = sys.getswitchinterval(), blas_threads(), set(threading.enumerate())
    first, second = train(**small), train(**small)
    assert (sys.getswitchinterval(), blas_threads()) == before[:2]
    assert {thread for thread in set(threading.enumerate()) - before[2] if thread.is_alive()} == set()
    assert capsys.readouterr().out == ""  # silent unless asked
    assert [first.checkpoint.parent.name, second.checkpoint.parent.name] == ["run1", "run2"]
    assert (first.learner_step, first.status, len(first.score.episodes)) == (32, "done", 100)
    assert first.policy.act([1.0, 0.0, 0.0]).shape == (1,)
    Run(first.checkpoint.parent).close()  # the lock is released


def test_callback_stops_a_training_in_another_thread(small, monkeypatch):
    use_fake_learner(monkeypatch)

    class StopAtFirstCheckpoint(Callback):
        seen: list[str] = []  # noqa: RUF012
        ended = False

        def on_checkpoint(self, path: Path):
            self.seen.append(path.name)
            return True

        def on_end(self, result):
            self.ended = True

    callback, results = StopAtFirstCheckpoint(), []
    parameters = small | {"num_steps_train": 1_000_000}
    thread = threading.Thread(target=lambda: results.append(train(callbacks=[callback], **parameters)))
    thread.start()
    thread.join(200)
    (result,) = results
    assert result.status == "stopped"
    assert 16 <= result.learner_step < 1_000_000
    assert callback.seen[0] == "Pendulum-v1.ckpt-16"
    assert callback.ended


def test_error_of_a_callback_ends_the_run_and_is_raised_after_a_checkpoint(small, monkeypatch):
    use_fake_learner(monkeypatch)

    class Failing(Callback):
        def on_checkpoint(self, path):
            raise RuntimeError("broken callback")

    with pytest.raises(RuntimeError, match="broken callback"):
        train(callbacks=[Failing()], **small | {"num_steps_train": 1_000_000, "run": "broken"})
    folder = Path(small["ckpt_dir"]) / "Pendulum-v1" / "broken"
    assert read_run(folder)["status"] == "stopped"
    assert list(folder.glob("*.ckpt-*"))
    Run(folder).close()


def test_wrong_values_are_named_in_one_error_without_tensorflow(small):
    with pytest.raises(ParameterError) as error:
        train(**small | {"tau": 5, "num_agents": 0, "learning_rate": 1e-3})
    for word in ("tau must be at most 1", "num_agents must be at least 1", "learning_rate"):
        assert word in str(error.value)
    assert not Path(small["ckpt_dir"]).exists()


def test_max_minutes_stops_a_training_and_scores_it(small, monkeypatch):
    use_fake_learner(monkeypatch)
    result = train(**small | {"num_steps_train": 10**9, "max_minutes": 0.01})
    assert result.status == "stopped"
    assert len(result.score.episodes) == 100


def test_stop_at_score_stops_a_training_at_the_first_checkpoint_that_reaches_it(small, monkeypatch, capsys):
    use_fake_learner(monkeypatch)
    result = train(verbose=True, **small | {"num_steps_train": 10**9, "stop_at_score": -9000.0})
    assert result.status == "stopped"
    assert len(result.score.episodes) == 100
    assert "over 20 noise-free episodes" in capsys.readouterr().out


def test_an_environment_from_a_callable_is_trained_on_and_scored(small, monkeypatch):
    use_fake_learner(monkeypatch)

    def short_pendulum():
        return gymnasium.make("Pendulum-v1", max_episode_steps=7)

    result = train(make_env=short_pendulum, **small)
    assert result.checkpoint.parent.parent.name == "short_pendulum-v0"
    assert {episode.length for episode in result.score.episodes} == {7}
    assert train(make_env=short_pendulum, env="Short-v0", **small).checkpoint.name == "Short-v0.ckpt-32"
    (seeded,) = train_seeds([5], make_env=short_pendulum, **small)
    assert seeded.checkpoint.parent.name == "seed5"


@pytest.mark.parametrize("given", [{"eval_every": 16}, {"render": True}, {"runner": "ray"}])
def test_another_process_cannot_make_what_a_callable_makes(small, given):
    with pytest.raises(ParameterError, match=f"make_env does not go with {next(iter(given))}"):
        train(make_env=lambda: gymnasium.make("Pendulum-v1"), **small, **given)


def test_runs_at_the_same_time_take_different_names(small):
    params, taken = TrainParams(ckpt_dir=small["ckpt_dir"]), []
    threads = [threading.Thread(target=lambda: taken.append(_unused_name(params))) for _ in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == ["run1", "run2", "run3", "run4"]


def test_seeds_have_a_folder_each_and_finished_ones_are_skipped(small, monkeypatch):
    use_fake_learner(monkeypatch)
    first = train_seeds([1, 2], **small)
    again = train_seeds([1, 2, 3], **small)
    names = [result.checkpoint.parent.name for result in again]
    assert names == ["seed1", "seed2", "seed3"]
    scores = [result.score.mean for result in first]
    assert [result.score.mean for result in again[:2]] == scores  # scored again, not trained again
    assert [result.checkpoint for result in first] == [result.checkpoint for result in again[:2]]
