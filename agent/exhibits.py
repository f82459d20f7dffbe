"""Exhibits: what TensorBoard shows of a run besides its scalars."""

import tempfile
from collections.abc import Callable

import numpy as np

from agent.archive import Archive, recorded
from agent.choice import Choice
from agent.config import run_folder
from agent.environment import env_flags
from agent.policy import Critic
from params import PlayParams, TrainParams
from utils.board import Board
from utils.child import Child
from utils.console import Console
from utils.envs import Environment
from utils.errors import DependencyError, ToolkitError
from utils.metrics import Metrics
from utils.replay import PrioritisedReplay

SAMPLE = 1024  # transitions of the replay, at least, that a histogram is made of
BUCKETS = 40  # of the histogram of priorities
FILM_SECONDS = 300.0  # that the film of the last policy may take


class Exhibits:
    """Adds histograms to TensorBoard whenever a checkpoint has appeared. Nothing here raises: `log` keeps what fails."""

    def __init__(self, params: TrainParams, archive: Archive, replay: PrioritisedReplay, log: Metrics):
        self._params, self._archive, self._replay, self._log = params, archive, replay, log
        self._shown = archive.newest  # of the run that is resumed: it has been shown

    def look(self) -> None:
        """Add the histograms of the newest checkpoint, once."""
        newest = self._archive.newest
        if newest is None or newest == self._shown:
            return
        self._shown = newest

        def add(board: Board) -> None:
            add_histograms(board, Critic.load(newest), self._replay, self._params.priority_alpha)

        self._log.exhibit(add)


def add_histograms(board: Board, critic: Critic, replay: PrioritisedReplay, alpha: float) -> None:
    """The critic's return distribution, and the priorities, over what the replay holds.

    Nothing is drawn: in the synchronous mode that would change the run.
    """
    rows = replay.view(SAMPLE)
    probs = critic.distribution(rows["obs"], rows["action"])  # [n, K]
    half = (critic.atoms[1] - critic.atoms[0]) / 2
    edges = np.append(critic.atoms - half, critic.atoms[-1] + half)
    board.histogram("value/return_distribution", edges, probs.sum(axis=0), critic.version)
    if alpha > 0:  # otherwise all are the same
        priorities = rows["mass"] ** (1.0 / alpha)
        edges = np.geomspace(priorities.min() * 0.999, priorities.max() * 1.001, BUCKETS + 1)
        board.histogram("replay/priorities", edges, np.histogram(priorities, edges)[0], critic.version)


def show_result(
    log: Metrics,
    params: TrainParams,
    choice: Choice,
    score: float,
    make: Callable[[], Environment],
    console: Console,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Add the parameters with the final score (HParams) and a film of the policy to TensorBoard.

    Does not raise: a film that fails is one sentence in the console. `stop()` ends the film early.
    """
    settings = {name: str(value) if isinstance(value, list) else value for name, value in recorded(params).items()}
    log.exhibit(lambda board: board.hparams(settings, {"score/final": score}, choice.learner_step))
    if "rgb_array" not in make().render_modes:
        return
    try:
        film = film_of(params, choice, stop)
    except (OSError, ToolkitError) as error:
        if not stop():
            console.say(f"TensorBoard shows no film of {choice.path.name}: {error}")
        return
    log.exhibit(lambda board: board.gif("film", film, choice.learner_step))


def film_of(params: TrainParams, choice: Choice, stop: Callable[[], bool] = lambda: False) -> bytes:
    """The content of a GIF of one episode, made by play.py in a child process.

    TensorFlow and MuJoCo's renderer in one process end it with a segmentation fault. Raises OSError and DependencyError.
    """
    given = env_flags(params) | {"ckpt_file": choice.path}
    with tempfile.TemporaryDirectory() as folder:
        with Child("play.py", "--no-render", **given, num_eps_play=1, record_dir=folder) as child:
            code = child.wait(FILM_SECONDS, stop)
        if code != 0:
            why = f"it took more than {FILM_SECONDS:g} seconds." if code is None else child.last_line
            raise DependencyError(why.removeprefix("Error: ") or f"play.py ended with the exit code {code}.")
        return run_folder(folder, PlayParams(env=params.env)).with_suffix(".gif").read_bytes()
