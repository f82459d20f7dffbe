"""The short form of the eleven goals of reliability (goals.py); soak.py has the long one."""

import subprocess
import sys

import pytest
from soak import TRIALS
from trainings import PATHS, ROOT


@pytest.mark.parametrize(
    "trial",
    [pytest.param(trial, id=f"{trial.goal}-{trial.act.__name__}") for trial in TRIALS if trial.short is not None],
)
def test_goal(trial, tmp_path):
    command = [sys.executable, str(ROOT / "tests/soak.py"), "--short", "--goal", trial.goal, "--only", trial.act.__name__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290, env={"TMPDIR": str(tmp_path)} | PATHS)
    assert done.returncode == 0, done.stdout + done.stderr
