"""Memory: what a replay takes is what its arrays take, and the available memory respects every limit."""

import numpy as np
import pytest
from factories import make_replay

from utils import memory
from utils.errors import ParameterError
from utils.memory import REST, available_bytes, check_replay, replay_bytes

GB = 10**9


@pytest.mark.parametrize(("capacity", "obs_size", "action_size"), [(1, 1, 1), (1000, 24, 4), (1024, 3, 1), (1025, 17, 6)])
def test_replay_bytes_equals_the_size_of_its_arrays(capacity, obs_size, action_size):
    replay = make_replay(capacity, obs_size, action_size)
    owners = (replay, replay._sums)
    arrays = [value for owner in owners for value in vars(owner).values() if isinstance(value, np.ndarray)]
    assert replay_bytes(capacity, obs_size, action_size) == sum(array.nbytes for array in arrays)


def test_check_replay_accepts_the_limit_and_refuses_one_transition_more():
    needed = replay_bytes(1_000_000, 24, 4) + REST
    check_replay(1_000_000, 24, 4, available=needed)
    with pytest.raises(ParameterError):
        check_replay(1_000_001, 24, 4, available=needed)


def test_error_names_needed_and_available_memory_and_a_fitting_size():
    # 216 bytes for each of a billion transitions, and a tree of 2**31 numbers of 8 bytes.
    with pytest.raises(ParameterError) as caught:
        check_replay(10**9, 24, 4, available=8 * GB)
    said = str(caught.value)
    assert f"replay_mem_size 1000000000 needs {(216 + 2 * 2**30 * 8 / GB + REST / GB):,.1f} GB" in said
    assert "8.0 GB are available" in said
    fits = int(said.split("--replay-mem-size ")[1].split()[0])
    check_replay(fits, 24, 4, available=8 * GB)
    with pytest.raises(ParameterError):
        check_replay(int(1.1 * fits), 24, 4, available=8 * GB)


def test_error_says_when_no_size_fits():
    with pytest.raises(ParameterError, match="not even the smallest would fit"):
        check_replay(1000, 3, 1, available=REST)


# ---- available memory, from the files in which Linux tells it

MACHINE = "MemTotal:  16000000 kB\nMemFree:  1000 kB\nMemAvailable:  8000000 kB\n"
NO_LIMIT_1 = 9223372036854771712  # what version 1 says then
V1, V2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"


def machine(root, groups, **files):
    """The files of a machine with 8.192 GB available: /proc/self/cgroup, and (limit, taken, cached) for each group."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(MACHINE)
    (root / "proc/self/cgroup").write_text(groups)
    for place, (limit, taken, cached) in files.items():
        folder = root / place
        folder.mkdir(parents=True, exist_ok=True)
        old = place.startswith(V1)
        (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(f"{limit}\n")
        (folder / ("memory.usage_in_bytes" if old else "memory.current")).write_text(f"{taken}\n")
        (folder / "memory.stat").write_text(f"anon 5\n{'total_' if old else ''}inactive_file {cached}\n")
    return available_bytes(root)


ALL = 8_000_000 * 1024


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, ALL),
        ("0::/\n", {V2: ("max", GB, 0)}, ALL),
        ("0::/\n", {V2: (3 * GB, GB, 0)}, 2 * GB),
        ("0::/\n", {V2: (3 * GB, GB, GB // 2)}, 2.5 * GB),  # the cache is given up on demand
        ("0::/a/b\n", {f"{V2}/a/b": (5 * GB, GB, 0), f"{V2}/a": (3 * GB, 2 * GB, 0)}, GB),  # the group around it is full
        ("0::/a/b\n", {f"{V2}/a/b": (3 * GB, GB, 0), f"{V2}/a": ("max", 2 * GB, 0)}, 2 * GB),
        ("0::/a\n", {V2: (3 * GB, GB, 0)}, 2 * GB),  # the path is the host's, the mount the container's own
        ("0::/a\n", {f"{V2}/b": (3 * GB, GB, 0)}, ALL),  # another's limit
        ("5:memory:/a\n0::/\n", {f"{V1}/a": (3 * GB, GB, 0)}, 2 * GB),
        ("5:cpu,memory:/a\n", {V1: (3 * GB, GB, 0), f"{V1}/a": (NO_LIMIT_1, GB, 0)}, 2 * GB),
        ("5:cpu:/a\n", {f"{V1}/a": (3 * GB, GB, 0)}, ALL),
        ("5:memory:/\n", {V1: (GB, 2 * GB, 0)}, 0),  # over its limit for an instant
        ("rubbish\n5:memory\n::\n", {}, ALL),
    ],
)
def test_available_bytes_is_the_minimum_of_machine_and_control_groups(tmp_path, groups, files, expected):
    assert machine(tmp_path, groups, **files) == expected


def test_without_linux_files_the_physical_memory_is_available(tmp_path):
    assert available_bytes(tmp_path) >= memory.available_bytes() > 0
