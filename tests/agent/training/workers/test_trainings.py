"""Trainings whose agents are in processes or on Ray: killed workers, signals, and resuming with another runner."""

import csv
import os
import signal
from pathlib import Path

import pytest
from processes import descendants, running
from trainings import Training, slowed

PROCESSES = {"processes": "process_agent.py", "ray": "ray::RemoteAgent"}


def agents(runner):
    """The ids of the processes that hold agents, below this process."""
    found = []
    for pid in descendants():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:  # it has ended
            continue
        found += [pid] if PROCESSES[runner] in command else []
    return found


def learned(training):
    """The learner steps in the log."""
    (log,) = training.checkpoints.parent.parent.glob("logs/*/learner.csv")
    return [int(row["learner_step"]) for row in csv.DictReader(log.read_text().splitlines())]


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("runner", list(PROCESSES))
def test_training_with_a_killed_worker_ends_at_its_last_step_and_leaves_no_process(tmp_path, runner):
    before = descendants()
    given = {"runner": runner, "num_steps_train": 400, "learning_starts": 200, "samples_per_insert": 8.0}
    training = Training(tmp_path, **given, **({"ray_cpus_per_agent": 0.5} if runner == "ray" else {}))
    training.until(lambda: training.reported() is not None and training.reported() >= 80)
    os.kill(agents(runner)[0], signal.SIGKILL)
    assert training.process.wait(slowed(120)) == 0, training.text()
    assert learned(training)[-1] == training.reported() == 400
    assert running(spared=before) == set()
    if runner == "ray":
        resumed = Training(tmp_path, resume=True, num_steps_train=440, small={})  # in threads, with the recorded parameters
        assert resumed.process.wait(slowed(120)) == 0, resumed.text()
        assert resumed.reported() == 440


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_of_an_agent_outlives_the_training(tmp_path, number):
    training = Training(tmp_path, runner="processes", num_steps_train=10**6)
    training.until(lambda: len(agents("processes")) == 2)
    training.process.send_signal(number)
    code = training.process.wait(slowed(15))
    assert code == (130 if number == signal.SIGINT else -9)
    for pid in agents("processes"):  # of SIGKILL: they read end-of-file
        os.waitid(os.P_PID, pid, os.WEXITED)
    assert "Traceback" not in training.text()
