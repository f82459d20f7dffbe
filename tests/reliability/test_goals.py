"""The short form of the eleven goals of reliability (goals.py); long_run.py has the long one."""

import os
import subprocess
import sys

import pytest
from reliability.long_run import TRIALS
from trainings import PATHS, ROOT

SECONDS = {"kill_trainings": 30, "signal_trainings": 20, "repeat_bit_for_bit": 50, "kill_at_every_operation": 20}


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(
            trial,
            id=f"{trial.goal}-{trial.act.__name__}",
            marks=pytest.mark.slow(seconds=SECONDS.get(trial.act.__name__, 10)),
        )
        for trial in TRIALS
        if trial.short is not None
    ],
)
def test_goal(trial, tmp_path):
    command = [
        sys.executable,
        str(ROOT / "tests/reliability/long_run.py"),
        "--short",
        "--goal",
        trial.goal,
        "--only",
        trial.act.__name__,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=880, env=os.environ | {"TMPDIR": str(tmp_path)} | PATHS
    )
    assert done.returncode == 0, done.stdout + done.stderr
