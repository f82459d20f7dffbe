"""Memory: the size of a replay, and the memory of the machine or its container."""

import os
from pathlib import Path

from utils.errors import ParameterError

REST = 800 * 2**20  # bytes of a training besides its replay, most of it TensorFlow


def replay_bytes(capacity: int, obs_size: int, action_size: int) -> int:
    """Bytes of a full PrioritisedReplay (utils/replay/prioritised.py) of `capacity` transitions."""
    columns = 4 * (2 * obs_size + action_size + 2)  # float32: obs, action, reward, discount, next_obs
    nodes = 2 * (1 << max(0, capacity - 1).bit_length())
    return capacity * columns + 8 * nodes  # a tree in float64


def check_replay(capacity: int, obs_size: int, action_size: int, available: int | None = None) -> None:
    """Raise ParameterError when a replay would not fit in `available` bytes of memory (default: measured).

    The system allocates memory only when it is written to, so without this check a training would be killed hours later.
    """
    available = available_bytes() if available is None else available
    needed = replay_bytes(capacity, obs_size, action_size) + REST
    if needed <= available:
        return
    fits = _most_that_fits(available - REST, obs_size, action_size)
    advice = f"--replay-mem-size {fits} would fit" if fits else "not even the smallest would fit"
    raise ParameterError(
        f"replay_mem_size {capacity} needs {_words(needed)} of memory together with the rest of the training, and "
        f"{_words(available)} are available; {advice}."
    )


def available_bytes(root: Path = Path("/")) -> int:
    """Memory in bytes that this process may still allocate, within its control groups (version 1 or 2).

    `root` is the folder of the system's files.
    """
    return min([_of_the_machine(root), *_of_control_groups(root)])


def _most_that_fits(available: int, obs_size: int, action_size: int) -> int:
    """The greatest capacity, to two digits, of a replay that fits in `available` bytes."""
    low, high = 0, 2**48
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if replay_bytes(middle, obs_size, action_size) <= available else (low, middle - 1)
    digits = 10 ** max(0, len(str(low)) - 2)
    return low // digits * digits


def _of_the_machine(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        amounts = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(amounts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):  # not Linux: the physical memory
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_control_groups(root: Path) -> list[int]:
    """The bytes left in each control group of this process and in its parents; none where there is no limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        for controller in set(controllers.split(",")) & set(_GROUPS):
            mount, *files = _GROUPS[controller]
            # In a container the path is often that of the host, but the mount shows the container's own group.
            group = root / mount / place.lstrip("/")
            for folder in (group, *group.parents):
                if folder.is_relative_to(root / mount):
                    left += _left_by(folder, *files)
    return left


# controller ("" is version 2): the folder of its groups, and their files: limit, usage, and the cache count in memory.stat.
_GROUPS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def _left_by(folder: Path, limit: str, usage: str, cache: str) -> list[int]:
    try:
        allowed, used = int((folder / limit).read_text()), int((folder / usage).read_text())  # "max" is no limit
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return [max(0, allowed - used + int(counts.get(cache, 0)))]  # the cache is freed on demand
    except (OSError, ValueError):
        return []


def _words(amount: int) -> str:
    return f"{amount / 1e9:,.1f} GB"
