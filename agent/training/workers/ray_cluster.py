"""A connection to Ray: a Ray of this machine alone, which ends with it, or a cluster that runs already."""

import importlib.util
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

from params import TrainParams
from utils.console import Console, quiet_stderr
from utils.errors import DependencyError, ParameterError

REACHED, ANSWERED = 5.0, 10.0  # seconds within which a cluster must accept a connection, and answer
ENDED = 4.0  # seconds for Ray to end; what is left of it then ends itself
INSTALL = "pip install -r requirements-ray.txt"
OBJECT_STORE = 256 * 2**20  # bytes for the policies and batches in flight, where Ray is started here
# Read by Ray when it is imported. The first is Ray's switch for the loopback interface; its name is about its default.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Ray would report its use to its makers, and warn that it will leave CUDA_VISIBLE_DEVICES alone, which this switches on.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class RayCluster:
    """Connected until `close`. Where this process is connected to Ray already, that connection is used and left open."""

    def __init__(self, params: TrainParams, console: Console):
        """Connect to `ray_address`, "auto" for a cluster that this machine belongs to, or start Ray where it is empty.

        Ray is started without a dashboard, and listens on the loopback interface only. Its workers get the import path of
        this process. Says so where some agents find no core. Raises DependencyError and ParameterError.
        """
        address = params.ray_address
        if importlib.util.find_spec("ray") is None:
            raise DependencyError(f"--runner ray needs Ray, which is not installed: {INSTALL}.")
        for name, value in _QUIET.items() | (set() if address else _ALONE.items()):
            os.environ.setdefault(name, value)
        if address not in ("", "auto"):
            _check_reachable(address)
        self._is_own = False
        try:
            with _deferred_signals(), quiet_stderr():
                import ray

                self.ray: ModuleType = ray
                if not ray.is_initialized():
                    self._connect(address)
            self._check_room(params, console)
        except BaseException:
            self.close()
            raise

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
            reason = " ".join(str(error).split()).partition(". ")[0]
            what = f"there is no Ray cluster at --ray-address {address}" if address else "Ray does not start"
            raise ParameterError(f"{what}: {reason}.") from None
        self._is_own = True
        with suppress(AttributeError):  # what Ray prints on dead workers would disturb the live view
            self.ray._private.worker._worker_logs_enabled = False

    def _check_room(self, params: TrainParams, console: Console) -> None:
        """Say so where there are not enough cores for all agents; ParameterError where no agent would ever have one."""
        cpus, agents = self.ray.cluster_resources().get("CPU", 0.0), params.num_agents
        fitting, share = int(cpus / params.ray_cpus_per_agent + 1e-9), math.floor(100.0 * cpus / agents) / 100.0
        if fitting >= agents:
            return
        others = "the others wait until a machine joins" if params.ray_address else "the others never do"
        sentence = (
            f"Ray has {cpus:g} cores, and {agents} agents ask for {params.ray_cpus_per_agent:g} each: {fitting} of them act, "
            f"{others}. With --ray-cpus-per-agent {share:g} all act."
        )
        if not fitting and not params.ray_address:
            raise ParameterError(sentence)
        console.say(sentence)

    def close(self) -> None:
        """Disconnect, and end the Ray that was started here. Further calls do nothing."""
        if self._is_own:
            self._is_own = False
            thread = threading.Thread(target=self.ray.shutdown, name="Ray's end", daemon=True)
            with quiet_stderr():
                thread.start()
                thread.join(ENDED)


def _check_reachable(address: str) -> None:
    """Raise ParameterError where nothing listens at host:port; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) >= 2**16:
        raise ParameterError(f"--ray-address must be auto or host:port, got {address}.")
    try:
        socket.create_connection((host, int(port)), timeout=REACHED).close()
        answer = _health(address)
        if "AuthenticationError" in answer and "RAY_AUTH_MODE" not in os.environ:
            os.environ["RAY_AUTH_MODE"] = "token"  # Ray's default from 2.61 on
            answer = _health(address)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ParameterError(f"there is no Ray cluster at --ray-address {address}: {error}.") from None
    if answer:
        raise ParameterError(f"the Ray cluster at --ray-address {address} refuses this process: {answer}")


def _health(address: str) -> str:
    """The message of Ray's own health check of a cluster, empty if it passes. Runs in a child process, which may hang."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWERED)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Deliver signals at the end: in the middle of its start, Ray ends by a segmentation fault. Undo Ray's own handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
