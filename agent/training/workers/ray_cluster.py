"""A connection to Ray: a Ray of this machine alone, which ends with it, or a cluster that runs already."""

import importlib.util
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

from utils.console import Console, quiet_stderr
from utils.errors import DependencyError, ParameterError

REACHED = 5.0  # seconds within which a cluster must accept a connection
INSTALL = "pip install -r requirements-ray.txt"
OBJECT_STORE = 256 * 2**20  # bytes for the policies and batches in flight, where Ray is started here
# Read by Ray when it is imported. The first is Ray's switch for the loopback interface; its name is about its default.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Ray would report its use to its makers, and warn that it will leave CUDA_VISIBLE_DEVICES alone, which this switches on.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class RayCluster:
    """Connected until `close`. Where this process is connected to Ray already, that connection is used and left open."""

    def __init__(self, address: str):
        """Connect to `address`, "auto" for a cluster that this machine belongs to, or start Ray where it is empty.

        Ray is started without a dashboard, and listens on the loopback interface only. Its workers get the import path of
        this process. Raises DependencyError and ParameterError.
        """
        if importlib.util.find_spec("ray") is None:
            raise DependencyError(f"--runner ray needs Ray, which is not installed: {INSTALL}.")
        if address not in ("", "auto"):
            _check_reachable(address)
        for name, value in _QUIET.items() | (set() if address else _ALONE.items()):
            os.environ.setdefault(name, value)
        with _kept_handlers(), quiet_stderr():
            import ray

            self.ray: ModuleType = ray
            self._is_own = not ray.is_initialized()
            if self._is_own:
                self._connect(address)

    def _connect(self, address: str) -> None:
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        options = {
            "runtime_env": {"env_vars": {"PYTHONPATH": path}},
            "logging_level": logging.ERROR,
            "log_to_driver": False,
        }
        if not address:
            options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
        try:
            self.ray.init(address or "local", **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            what = f"there is no Ray cluster at --ray-address {address}" if address else "Ray does not start"
            raise ParameterError(f"{what}: {reason}") from None
        with suppress(AttributeError):  # what Ray prints on dead workers would disturb the live view
            self.ray._private.worker._worker_logs_enabled = False

    def check_room(self, agents: int, cpus_per_agent: float, console: Console) -> None:
        """Say so where the cluster has not enough cores for all agents."""
        cpus = self.ray.cluster_resources().get("CPU", 0.0)
        fitting, share = int(cpus / cpus_per_agent + 1e-9), math.floor(100.0 * cpus / agents) / 100.0
        if fitting < agents:
            console.say(
                f"Ray has {cpus:g} cores, and {agents} agents ask for {cpus_per_agent:g} each: {fitting} of them act, the "
                f"others wait until a machine joins. With --ray-cpus-per-agent {share:g} all act."
            )

    def close(self) -> None:
        """Disconnect, and end the Ray that was started here. Further calls do nothing."""
        if self._is_own:
            self._is_own = False
            with quiet_stderr():
                self.ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise ParameterError where nothing listens at host:port; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) >= 2**16:
        raise ParameterError(f"--ray-address must be auto or host:port, got {address}.")
    try:
        socket.create_connection((host, int(port)), timeout=REACHED).close()
    except OSError as error:
        raise ParameterError(f"there is no Ray cluster at --ray-address {address}: {error}.") from None


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Undo what Ray does to the signals of this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
