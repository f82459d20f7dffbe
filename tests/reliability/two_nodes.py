"""A training on two Ray nodes of this machine: one is killed half-way, the run goes on, another joins and is used.

python tests/reliability/two_nodes.py             2 minutes

Prints what happens and ends with exit code 0 if all of it happened.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray  # noqa: E402
from ray._private.node import Node  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from trainings import Training  # noqa: E402

AGENTS, STEPS = 4, 3_000


def main() -> None:
    """Start a cluster and a training, and kill a node."""
    cluster = Cluster()
    nodes = {f"node {number}": cluster.add_node(num_cpus=2) for number in (1, 2)}
    ray.init(cluster.address, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        given = {"num_agents": AGENTS, "num_steps_train": STEPS, "samples_per_insert": 8.0, "env_timeout": 10.0}
        training = Training(Path(name), runner="ray", ray_address=cluster.address, **given)
        wait(training, lambda: workers(nodes) == {"node 1": 2, "node 2": 2})
        say(training, f"workers: {workers(nodes)}")
        wait(training, lambda: (training.reported() or 0) >= 200)
        say(training, "node 2 is killed")
        cluster.remove_node(nodes.pop("node 2"), allow_graceful=False)
        before = training.reported()
        wait(training, lambda: training.reported() >= before + 200)
        say(training, f"workers: {workers(nodes)}")
        nodes["node 3"] = cluster.add_node(num_cpus=2)
        say(training, "node 3 joins")
        wait(training, lambda: workers(nodes)["node 3"] == 2)
        say(training, f"workers: {workers(nodes)}")
        code = training.process.wait(300)
        say(training, f"the training ends with exit code {code}")
        print(*(f"  {line}" for line in training.text().splitlines()), sep="\n")
        ended = code == 0 and training.reported() == STEPS
    ray.shutdown()
    cluster.shutdown()
    left = subprocess.run(["pgrep", "-fa", "ray::RemoteAgent"], capture_output=True, text=True).stdout
    print(f"processes of agents that are left: {left or 'none'}")
    sys.exit(0 if ended and not left else 1)


def workers(nodes: dict[str, Node]) -> dict[str, int]:
    """How many workers each node has: processes whose parent is the node's raylet."""
    listed = subprocess.run(["ps", "-ww", "-eo", "ppid=,args="], capture_output=True, text=True, check=True).stdout
    parents = [int(line.split()[0]) for line in listed.splitlines() if "ray::RemoteAgent" in line]
    raylets = {name: node.all_processes["raylet"][0].process.pid for name, node in nodes.items()}
    return {name: parents.count(pid) for name, pid in raylets.items()}


def wait(training: Training, condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    training.until(condition, seconds=200.0)


def say(training: Training, sentence: str) -> None:
    """Print a sentence with the time and the learner step."""
    print(f"{time.strftime('%H:%M:%S')} learner step {training.reported()}: {sentence}", flush=True)


if __name__ == "__main__":
    main()
