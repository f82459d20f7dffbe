"""What a run keeps, and how a training goes on from it. Real learners, no training."""

import shutil
import threading
import time

import numpy as np
import pytest
from factories import make_params, make_replay
from fake_learner import FakeRun, numbers_of

from agent.agent import Agent
from agent.learning.learner import Learner
from agent.policy import Critic, Policy
from agent.scaling import Scaling
from agent.training import checkpointer as checkpointer_file
from agent.training.checkpointer import Checkpointer, Parts
from agent.training.counters import RunCounters
from agent.training.workers.pool import WorkerPool
from utils.console import Console
from utils.envs.spec import EnvSpec
from utils.errors import CheckpointError, StorageError
from utils.replay.rate_limiter import RateLimiter
from utils.replay.snapshots import write_snapshot
from utils.storage.checkpoints import Checkpoint, list_checkpoints, newest_checkpoint
from utils.storage.run_folder import Run, read_run
from utils.storage.verified_folder import write_verified


def checkpointer_in(folder, params, seed=0, resume_count=0):
    env = EnvSpec(params.env).make()
    scaling = Scaling.from_env(env, params)
    replay = make_replay(100, 3, 1)
    learner = Learner(params, scaling, replay, np.random.default_rng(seed))
    console = Console()

    def make_agent(index):
        return Agent(index, EnvSpec(params.env).make, params, scaling, np.random.SeedSequence(index))

    workers = WorkerPool(make_agent, params.num_agents, 10, 60.0, lambda *_: None, folder / "stacks.txt", console)
    run, counters = Run(folder), RunCounters()
    parts = Parts(learner, workers, counters, replay, RateLimiter(1.0, 10, 1.0))
    checkpointer = Checkpointer(run, params, parts, resume_count, lambda path: None, console)
    return checkpointer, parts, [worker.agent for worker in workers.workers], run


def saved(folder, steps, **changes):
    """A run with checkpoints of these learner steps, whose lock has been let go."""
    checkpointer, parts, agents, run = checkpointer_in(folder, make_params(**changes))
    for step in steps:
        parts.learner.learner_step = step
        checkpointer.save()
    checkpointer.finish()
    run.close()
    return checkpointer, parts.learner, agents


def test_a_checkpoint_holds_everything_and_says_so(tmp_path):
    checkpointer, learner, agents = saved(tmp_path / "E", [40])
    checkpoint = Checkpoint(tmp_path / "E" / "Pendulum-v1.ckpt-40").verify()
    manifest = checkpoint.manifest
    assert manifest["env"] == "Pendulum-v1"
    assert manifest["learner_step"] == 40
    assert manifest["params"]["num_atoms"] == 51
    assert set(manifest["files"]) == {"policy.npz", "critic.npz", "learner.npz", "state.json"}
    assert set(manifest["versions"]) == {"tensorflow", "keras", "numpy", "gymnasium"}
    assert set(manifest["hardware"]) == {"cores", "memory_gb", "platform"}
    assert manifest["command"]
    assert not any("dir" in name for name in manifest["params"])  # no path of this machine
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(Policy.of(checkpoint).act(obs), 2.0 * learner.update.actor(obs).numpy(), rtol=1e-4, atol=1e-6)
    assert Critic.of(checkpoint).atoms[0] == -20.0
    assert read_run(tmp_path / "E")["learner_step"] == 40


def test_restore_brings_back_networks_counters_and_noise(tmp_path):
    checkpointer, parts, agents, run = checkpointer_in(tmp_path / "F", make_params())
    agents[0].noise.episodes, agents[1].noise.episodes = 3, 5
    parts.learner.learner_step = 40
    parts.counters.restore(320, 100.0)
    path = checkpointer.save_last()
    run.close()

    restored, others, their_agents, _ = checkpointer_in(tmp_path / "F", make_params(), seed=1)
    assert restored.restore(Checkpoint(path)) == ["The replay is that of learner step 40, 0 transitions."]
    assert others.learner.learner_step == 40
    assert [agent.noise.episodes for agent in their_agents] == [3, 5]
    assert others.counters.env_steps == 320
    assert others.workers.episodes == parts.workers.episodes == 8
    assert others.counters.seconds == 100.0
    first, second = parts.learner.snapshot()[2], others.learner.snapshot()[2]
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_restore_lists_each_size_that_differs_and_says_each_rate_that_changed(tmp_path):
    saved(tmp_path / "E", [40])
    path = tmp_path / "E" / "Pendulum-v1.ckpt-40"
    checkpointer, *_ = checkpointer_in(tmp_path / "F", make_params(dense1_size=9, v_min=-10.0))
    with pytest.raises(CheckpointError, match="v_min was -20.0 and is -10.0; dense1_size was 8 and is 9"):
        checkpointer.restore(Checkpoint(path))
    checkpointer, *_ = checkpointer_in(tmp_path / "G", make_params(tau=0.5))
    assert checkpointer.restore(Checkpoint(path)) == ["tau was 0.005 and is 0.5 from here on.", "The replay starts empty."]


def test_the_oldest_checkpoints_go_when_there_are_too_many(tmp_path):
    saved(tmp_path / "E", [10, 20, 30, 40], max_ckpts=1)  # none has been tested, so twice as many stay
    assert [path.name for path in list_checkpoints(tmp_path / "E")] == ["Pendulum-v1.ckpt-30", "Pendulum-v1.ckpt-40"]


def test_saving_the_same_step_again_writes_nothing(tmp_path):
    checkpointer, parts, *_ = checkpointer_in(tmp_path / "E", make_params())
    parts.learner.learner_step = 10
    path = checkpointer.save_last()
    before = (path / "manifest.json").stat().st_mtime_ns
    assert checkpointer.save_last() == path
    assert (path / "manifest.json").stat().st_mtime_ns == before
    assert checkpointer.newest == path


# ---- the replay, and going on with it: no learner is needed


def resumed(folder, **changes):
    """The run in the folder, gone on from its newest checkpoint, and what was said."""
    run = FakeRun(folder, **changes)
    newest, passed_over = newest_checkpoint(folder)
    assert passed_over == []
    return run, run.checkpointer.restore(newest)


def files_in(folder, pattern):
    return sorted(path.name for path in folder.glob(pattern))


def test_the_first_checkpoint_has_the_replay_and_every_so_many_and_the_last(tmp_path, capsys):
    run = FakeRun(tmp_path / "E", save_replay_every=2)
    for step, replay in ((10, "replay-10"), (20, "replay-20"), (30, "replay-20")):
        run.save(step)
        assert files_in(tmp_path / "E", "replay-*") == [replay]
    run.checkpointer.save_last()
    assert files_in(tmp_path / "E", "replay-*") == ["replay-30"]
    run.run.close()
    other, said = resumed(tmp_path / "E", save_replay_every=2)
    assert said == ["The replay is that of learner step 30, 48 transitions."]
    assert sorted(numbers_of(other.replay.sample(1, 512, 0.5)).ravel().tolist())[::511] == [0.0, 47.0]
    assert (other.limiter.inserts, other.counters.env_steps, other.learner.learner_step) == (48, 48, 30)


def test_the_last_save_waits_for_the_writer_and_writes_no_replay_twice(tmp_path, monkeypatch):
    written = []

    def slow(folder, run_id, step, *rest):
        time.sleep(0.3)
        written.append(step)
        return write_snapshot(folder, run_id, step, *rest)

    monkeypatch.setattr(checkpointer_file, "write_snapshot", slow)
    run = FakeRun(tmp_path / "E", save_replay_every=1)
    run.learner.learner_step = 10
    run.checkpointer.save()
    run.checkpointer.save_last()
    assert written == [10]


def test_the_last_save_tries_again_when_the_one_before_it_fails_meanwhile(tmp_path, monkeypatch):
    tries = []

    def full_at_first(path, files, manifest):
        time.sleep(0.3)
        tries.append(path.name)
        if len(tries) == 1:
            raise StorageError("the disk is full.")
        write_verified(path, files, manifest)

    monkeypatch.setattr(checkpointer_file, "write_verified", full_at_first)
    run = FakeRun(tmp_path / "E")
    run.learner.learner_step = 10
    run.checkpointer.save()
    assert run.checkpointer.save_last().exists()
    assert tries == ["Pendulum-v1.ckpt-10"] * 2


def test_environment_steps_are_recorded_and_restored(tmp_path):
    run = FakeRun(tmp_path / "E")
    run.counters.add_env_steps(15)
    run.save(10)
    run.run.close()
    assert Checkpoint(tmp_path / "E" / "Pendulum-v1.ckpt-10").manifest["env_step"] == 31  # and 16 transitions
    other, _ = resumed(tmp_path / "E")
    assert other.counters.env_steps == 31


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"env_kwargs": '{"g": 9.8}'}, "add --env-kwargs '{}'"),
        ({"wrapper": "faulty_envs:OneMore"}, "add --wrapper ''"),
        ({"action_repeat": 2}, "action_repeat was 1 and is 2"),
    ],
)
def test_training_does_not_go_on_in_another_environment(tmp_path, given, said):
    run = FakeRun(tmp_path / "E")
    run.save(10)
    run.run.close()
    with pytest.raises(CheckpointError, match=said):
        resumed(tmp_path / "E", **given)


def test_a_resumed_run_that_is_done_already_writes_nothing_again(tmp_path):
    run = FakeRun(tmp_path / "E")
    run.advance(10)
    run.checkpointer.save_last()
    run.run.close()
    before = {path: path.stat().st_ino for path in (tmp_path / "E").iterdir() if path.is_dir()}
    other, _ = resumed(tmp_path / "E")
    other.checkpointer.save_last()
    assert {path: path.stat().st_ino for path in before} == before


def test_without_save_replay_there_is_none_and_that_is_said(tmp_path):
    run = FakeRun(tmp_path / "E", save_replay=False, save_replay_every=1)
    run.save(10)
    run.checkpointer.save_last()
    run.run.close()
    assert files_in(tmp_path / "E", "replay-*") == []
    other, said = resumed(tmp_path / "E")
    assert said[-1] == "There is no replay to go on with, so it starts empty."
    assert (other.counters.env_steps, other.limiter.inserts) == (16, 0)


def test_the_synchronous_mode_says_when_the_replay_is_of_another_step(tmp_path):
    run = FakeRun(tmp_path / "E", synchronous=True)
    run.save(10)
    run.save(20)
    run.run.close()
    (tmp_path / "E" / "replay-20").rename(tmp_path / "E" / "replay-15")
    run, said = resumed(tmp_path / "E", synchronous=True)
    assert said[-1] == "The replay is that of learner step 20, 32 transitions."  # a name is not what is in it


def test_reload_takes_the_newest_valid_checkpoint_and_keeps_the_step(tmp_path, capsys):
    run = FakeRun(tmp_path / "E")
    assert not run.checkpointer.reload()
    run.save(10)
    run.save(20)
    (tmp_path / "E" / "Pendulum-v1.ckpt-20" / "learner.npz").write_bytes(b"")
    run.learner.learner_step = 25
    assert run.checkpointer.reload()
    assert run.learner.learner_step == 10  # what the frozen learner keeps is the step
    assert "its networks are again those of Pendulum-v1.ckpt-10." in capsys.readouterr().out


def test_a_full_disk_is_said_the_previous_is_kept_the_next_is_tried_and_only_the_last_counts(tmp_path, run_code):
    ended = run_code(
        """
        import resource, sys
        from pathlib import Path
        from fake_learner import FakeRun
        from utils.storage.checkpoints import newest_checkpoint
        from utils.script import run_script

        def disk(room):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

        folder = Path(sys.argv[1])
        run = FakeRun(folder)
        run.save(10)
        disk(1000)  # the networks do not fit, run.json does
        run.save(20)
        assert run.checkpointer.newest.name == "Pendulum-v1.ckpt-10"
        assert newest_checkpoint(folder)[0].step == 10
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "Pendulum-v1.ckpt-10", "replay-10", "run.json"]
        disk(resource.RLIM_INFINITY)
        run.save(30)
        assert newest_checkpoint(folder)[0].step == 30
        disk(1000)
        run.save(40)
        disk(resource.RLIM_INFINITY)
        assert run.checkpointer.save_last().name == "Pendulum-v1.ckpt-40"  # what failed before is tried again
        assert newest_checkpoint(folder)[0].step == 40
        run.advance(50)
        disk(1000)
        run_script(lambda: print(run.checkpointer.save_last()))
        """,
        tmp_path / "E",
    )
    assert ended.returncode == 6, ended.stderr
    assert ended.stdout.count("The checkpoints before it are kept, and the next one will be tried.") == 3
    assert "Pendulum-v1.ckpt-50 could not be saved: [Errno 27] File too large" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_checkpoint_is_saved_if_its_replay_does_not_fit_on_the_disk(tmp_path, run_code):
    ended = run_code(
        """
        import resource, sys
        from pathlib import Path
        from fake_learner import FakeRun
        folder = Path(sys.argv[1])
        run = FakeRun(folder, capacity=100_000, save_replay_every=1)
        run.save(10)
        run.advance(20, transitions=100_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
        run.checkpointer.save()
        run.checkpointer.finish()
        print(sorted(path.name for path in folder.iterdir()))
        """,
        tmp_path / "E",
    )
    assert ended.returncode == 0, ended.stderr
    assert "replay-20 could not be saved" in ended.stdout
    assert "['.lock', 'Pendulum-v1.ckpt-10', 'Pendulum-v1.ckpt-20', 'replay-10', 'run.json']" in ended.stdout


def test_a_run_whose_folder_was_removed_meanwhile_is_not_saved_beside_another(tmp_path):
    checkpointer, parts, *_ = checkpointer_in(tmp_path / "E", make_params())
    shutil.rmtree(tmp_path / "E")
    parts.learner.learner_step = 10
    with pytest.raises(StorageError, match="was removed or moved while training in it"):
        checkpointer.save_last()
    assert not (tmp_path / "E").exists()


def test_no_thread_is_left_after_close(tmp_path):
    before = set(threading.enumerate())
    run = FakeRun(tmp_path / "E")
    run.advance(10)
    run.checkpointer.save()
    assert run.checkpointer.close()
    assert set(threading.enumerate()) <= before
    assert newest_checkpoint(tmp_path / "E")[0].step == 10  # the save in progress was completed
