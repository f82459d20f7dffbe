"""Shared by the benchmarks: measurements in turns, the description of the machine, and the output of results.

Importing this puts the toolkit's folder on the path, so each benchmark imports it first.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from utils.replay.transitions import TransitionBatch  # noqa: E402  (found by the line above)

PACKAGES = ("tensorflow", "keras", "numpy", "gymnasium", "cpprb", "stable-baselines3", "torch", "sbx-rl", "jax")


class AlternatingTimer:
    """Times of several contenders in turns, so that a slower machine affects all of them.

    A contender is a function that does some work and returns how many units of it (1 where it returns None).
    """

    def __init__(self, contenders: dict[str, Callable[[], int | None]], rounds: int):
        self._seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for work in contenders.values():
            work()  # compiles, fills caches
        for _ in range(rounds):
            for name, work in contenders.items():
                begun = time.perf_counter()
                units = work() or 1
                self._seconds[name].append((time.perf_counter() - begun) / units)

    def seconds(self, name: str) -> float:
        """The median of a contender's seconds for one unit of work."""
        return float(np.median(self._seconds[name]))

    def ratio(self, name: str, other: str) -> float:
        """The median, over the rounds, of a contender's seconds over another's in the same round."""
        return float(np.median(np.divide(self._seconds[name], self._seconds[other])))


@dataclass
class Result:
    """The result of a benchmark: single `figures`, `rows` of a table, and sentences about `skipped` parts."""

    benchmark: str
    figures: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def publish(self, where: str | None) -> None:
        """Print it as Markdown; with `where` also write it as JSON to that file, or ("-") print nothing but the JSON."""
        everything = {"benchmark": self.benchmark, "machine": machine()} | vars(self)
        if where == "-":
            print(json.dumps(everything, indent=1, allow_nan=False))
            return
        print("\n".join(self._markdown(everything["machine"])), flush=True)  # first: a NaN must not cost the measurements
        if where:
            Path(where).parent.mkdir(parents=True, exist_ok=True)
            Path(where).write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n")

    def _markdown(self, about: dict[str, Any]) -> Iterable[str]:
        busy = f"load {about['load']}, {about['stolen']:.0%} of its time stolen"
        yield f"\n{self.benchmark}, {about['date']}, {about['processor']}, {about['cores']} cores, {busy}\n"
        if self.rows:
            columns = list(self.rows[0])
            yield "| " + " | ".join(columns) + " |"
            yield "|---" * len(columns) + "|"
            for row in self.rows:
                yield "| " + " | ".join(shown(row.get(column, "")) for column in columns) + " |"
            yield ""
        for name, value in self.figures.items():
            yield f"* {name}: {shown(value)}"
        for sentence in self.skipped:
            yield f"* {sentence}"


def random_batch(size: int, obs_size: int, action_size: int, rng: np.random.Generator) -> TransitionBatch:
    """Random transitions."""
    obs, action, reward, next_obs = (
        rng.standard_normal(shape, np.float32) for shape in ((size, obs_size), (size, action_size), size, (size, obs_size))
    )
    return TransitionBatch(obs, action, reward, np.full(size, 0.95, np.float32), next_obs)


def shown(value: Any) -> str:
    """A value as text, with three significant digits; nothing for None."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """The conditions of a measurement: processor, cores, load, and versions."""
    found = {package for package in PACKAGES if _is_installed(package)}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),  # of the last 1, 5 and 15 minutes
        "stolen": stolen(_ticks_at_start),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES if package in found},
    }


def cpu_ticks() -> np.ndarray:
    """The time of the cores by state (proc_stat(5)); zeros where it is unknown."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0]
    except OSError:
        return np.zeros(8)
    return np.array(first.split()[1:9], float)  # user, nice, system, idle, iowait, irq, softirq, steal


def stolen(since: np.ndarray) -> float:
    """The share of the busy time since these ticks that the host gave to other machines (steal time)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = cpu_ticks() - since
    return float(steal / max(1.0, user + nice + system + irq + softirq + steal))


def flags(description: str | None, **more: dict[str, Any]) -> argparse.Namespace:
    """The common flags of all benchmarks, and `more` as name=keywords of add_argument."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="also write the result to FILE; without FILE print only JSON"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, its figures mean nothing")
    for name, keywords in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **keywords)
    return parser.parse_args()


def resident(pid: int | str = "self") -> int:
    """Bytes of memory of a process now. Where that cannot be read: of this process at most so far, or 0 for another one."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if pid == "self" else 0


def missing(*modules: str) -> list[str]:
    """A sentence for each module that is not installed."""
    return [
        f"Skipped what needs {module}, which is not installed: pip install -r benchmarks/requirements.txt."
        for module in modules
        if importlib.util.find_spec(module) is None
    ]


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


_ticks_at_start = cpu_ticks()
