"""What a checkpoint records of the command, the machine and the packages."""

import importlib.metadata
import json
import os
import platform

import numpy as np
import pytest

from agent.training.provenance import command_line, hardware, provenance


@pytest.mark.parametrize(
    ("argv", "recorded"),
    [
        (["/home/someone/train.py", "--tau", "0.01"], "train.py --tau 0.01"),
        (["train.py", "--ckpt-dir", "/tmp/x", "--tau", "0.01", "--log_dir=/tmp/y"], "train.py --tau 0.01"),
        (["train.py", "--run", "two words"], "train.py --run 'two words'"),
        (["train.py", "--ckpt-file", "/home/someone/E.ckpt-5", "--tau", "0.01"], "train.py --tau 0.01"),
        (["train.py"], "train.py"),
    ],
)
def test_the_command_is_recorded_without_folders_and_files(argv, recorded):
    assert command_line(argv) == recorded


def test_hardware_names_cores_memory_and_platform():
    found = hardware()
    assert 1 <= found["cores"] <= os.cpu_count()
    assert found["memory_gb"] == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, abs=0.06)
    assert platform.system() in found["platform"]


def test_a_package_under_another_name_does_not_end_the_training(monkeypatch):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_found)
    assert provenance()["versions"]["numpy"] == np.__version__


def test_provenance_is_json():
    assert set(json.loads(json.dumps(provenance()))) == {"versions", "command", "hardware"}
