"""The runs of an environment: their paths, and the selection by a name or a pattern."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from agent.config import ABSENT, RUN_FIELDS, folder_name
from params import SHIPPED
from utils.errors import CheckpointError
from utils.storage.checkpoints import list_checkpoints, newest_manifest
from utils.storage.results import result_files
from utils.storage.run_folder import RUN_FILE

# Parameters that may differ between the runs of a mean, since they are not part of the algorithm.
MAY_DIFFER = {
    *RUN_FIELDS,
    *("random_seed", "num_steps_train", "save_ckpt_step", "max_ckpts", "save_replay", "save_replay_every"),
    *("env_timeout", "env_restarts"),
}


class Roots(Protocol):
    """Parameters that name an environment and the folders of its runs."""

    @property
    def env(self) -> str: ...  # noqa: D102
    @property
    def ckpt_dir(self) -> str: ...  # noqa: D102
    @property
    def results_dir(self) -> str: ...  # noqa: D102
    @property
    def log_dir(self) -> str: ...  # noqa: D102


class RunFiles(NamedTuple):
    """The paths of a run."""

    name: str
    checkpoints: Path
    results: Path  # without an ending
    logs: Path

    def exist(self) -> bool:
        """Whether the run has any file: a checkpoint, its record, scores or a log."""
        files = (self.checkpoints / RUN_FILE, self.logs / "agents.csv", *result_files(self.results))
        return any(path.is_file() for path in files) or bool(list_checkpoints(self.checkpoints))


def named_runs(roots: Roots, name: str) -> list[str]:
    """The runs that match a name or a pattern. Raises CheckpointError where there is none."""
    known = known_runs(roots)
    found = [one for one in known if one and fnmatchcase(one, name)] if re.search(r"[*?\[]", name) else [name]
    if not found or name and found == [name] and not run_files(roots, name).exist():
        there = ", ".join(one for one in known if one) or "none with a name"
        raise CheckpointError(f"there is no run {name} of {roots.env}; the runs are: {there}.")
    return found


def known_runs(roots: Roots) -> list[str]:
    """The names of all runs with any file; the run without a name is the empty one."""
    env = folder_name(roots.env)
    folders = [path for root in (roots.ckpt_dir, roots.log_dir) for path in (Path(root) / env).glob("[!.]*/")]
    files = [path for ending in ("csv", "txt") for path in (Path(roots.results_dir) / env).glob(f"[!.]*.{ending}")]
    names = {path.name for path in folders} | {path.name[:-4] for path in files}
    names = {name for name in names if not (name == SHIPPED or name.startswith("before-") or ".ckpt-" in name)}
    return [name for name in sorted(names, key=_natural) if run_files(roots, name).exist()]


def _natural(name: str) -> list[Any]:
    # "seed2" before "seed10": words and numbers alternate, so their types match in a comparison.
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def run_files(roots: Roots, name: str) -> RunFiles:
    """The paths of the run with this name, which need not exist."""
    env = folder_name(roots.env)
    return RunFiles(name, *(Path(root) / env / name for root in (roots.ckpt_dir, roots.results_dir, roots.log_dir)))


def differing_parameters(runs: Sequence[RunFiles]) -> list[str]:
    """Each parameter that differs between the checkpoints of these runs, other than MAY_DIFFER, with its values."""
    settings = {run.name: newest_manifest(run.checkpoints).get("params", {}) for run in runs}
    known = {name: ABSENT | of_run for name, of_run in settings.items() if of_run}
    names = set.intersection(*(set(of_run) for of_run in known.values())) if known else set()
    return [
        f"{name}: " + ", ".join(f"{of_run[name]} in {run}" for run, of_run in known.items())
        for name in sorted(names - MAY_DIFFER)
        if any(of_run[name] != next(iter(known.values()))[name] for of_run in known.values())
    ]
