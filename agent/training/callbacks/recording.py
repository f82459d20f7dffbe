"""A recording of a checkpoint for TensorBoard, made by a child process."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from agent.config import folder_name
from agent.environment import env_flags
from params import TrainParams
from utils.child import Child
from utils.errors import DependencyError

RECORDING_SECONDS = 300.0  # that play.py may take


def record_checkpoint(params: TrainParams, checkpoint: Path, stop: Callable[[], bool] = lambda: False) -> bytes:
    """The content of a GIF of one episode, made by play.py in a child process.

    TensorFlow and MuJoCo's renderer in one process end it with a segmentation fault. Raises OSError and DependencyError.
    """
    given = env_flags(params) | {"ckpt_file": checkpoint}
    with tempfile.TemporaryDirectory() as folder:
        with Child("play.py", "--no-render", **given, num_eps_play=1, record_dir=folder) as child:
            code = child.wait(RECORDING_SECONDS, stop)
        if code != 0:
            why = f"it took more than {RECORDING_SECONDS:g} seconds." if code is None else child.last_line
            raise DependencyError(why.removeprefix("Error: ") or f"play.py ended with the exit code {code}.")
        return Path(folder, f"{folder_name(params.env)}.gif").read_bytes()
