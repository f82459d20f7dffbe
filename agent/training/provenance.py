"""Provenance in a checkpoint: the command line, the hardware, and the versions of packages."""

import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from params import FILE, FOLDER, TrainParams
from utils.parameters import fields_of_kind


def provenance() -> dict[str, Any]:
    """The entries for the manifest of a checkpoint, in JSON types."""
    versions = {name: _version(name) for name in ("tensorflow", "keras", "numpy", "gymnasium")}
    return {"versions": versions, "command": command_line(sys.argv), "hardware": hardware()}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # installed under another name, such as tensorflow-cpu
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))


def command_line(argv: list[str]) -> str:
    """The command without flags that name folders or files, so that these record no path of this machine."""
    folders = {name.replace("_", "-") for name in fields_of_kind(TrainParams, FOLDER, FILE)}
    kept, words = [Path(argv[0]).name], iter(argv[1:])
    for word in words:
        flag, equals, _ = word.removeprefix("--").replace("_", "-").partition("=")
        if not word.startswith("--") or flag not in folders:
            kept.append(word)
        elif not equals:
            next(words, None)  # the path
    return shlex.join(kept)


def hardware() -> dict[str, Any]:
    """The CPU cores that this process may use, the memory of the machine in GB, and the platform."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return {"cores": cores, "memory_gb": round(memory, 1), "platform": platform.platform()}
