"""Show one checkpoint: in a window if there is a screen, and as a recording in video/.

python play.py                                  the newest checkpoint; writes video/<env>.gif
python play.py --format mp4                     the complete first episode, full size
python play.py --compare 5000 50000             the checkpoints of two learner steps side by side, from the same start
python play.py --grow                           checkpoints of increasing age, one after the other
python play.py --render --no-record             only the window
python play.py --shipped                        the shipped policy; writes video/<env>/shipped.gif
python play.py --ckpt-file best                 the checkpoint with the watcher's best score
"""

if __name__ == "__main__":
    from utils.script import quiet_signals

    quiet_signals()

import contextlib
import dataclasses
from pathlib import Path

from threadpoolctl import threadpool_limits

from agent.analysis.recording import AGES, Make, record_episode, record_pair, record_series, recording_seed
from agent.config import resolve, run_folder
from agent.environment import env_problem
from agent.evaluation import play
from agent.loading import LoadedCheckpoint, at_step, load_checkpoint, load_series
from agent.names import ALIASES
from params import PlayParams
from utils import flags
from utils.console import Console
from utils.envs.environment import has_screen, select_renderer
from utils.errors import DependencyError
from utils.replay.transitions import Episode
from utils.script import run_script
from utils.storage.writable import check_writable


def main() -> int:
    """Play as the flags say; returns the exit code."""
    select_renderer(renders=True)
    resolved = flags.parse(PlayParams, resolve, env_problem=env_problem, aliases=ALIASES)
    params: PlayParams = resolved.values
    console = Console()
    threadpool_limits(1, "blas")  # as in test.py, so that an episode has the same return
    if params.render and not has_screen():
        raise DependencyError("--render needs a screen and there is none here; without it a recording is written to video/.")
    series = requested(params)
    make = series[-1].env_spec.make
    with contextlib.closing(make()) as unused:
        modes = unused.render_modes
    if params.render and "human" not in modes:
        raise DependencyError(f"{params.env} cannot open a window (it offers {modes}); leave --render out.")
    show = "human" in modes and (has_screen() if params.render is None else params.render)
    if params.record:
        if "rgb_array" not in modes:
            raise DependencyError(f"{params.env} cannot draw into a picture (it offers {modes}); use --no-record.")
        check_writable({"--record-dir": [recording_path(params)]})
    for note in resolved.notes + series[-1].notes:
        console.say(note)
    console.say(f"Playing {', '.join(loaded.path.name for loaded in series)}.")
    seed = recording_seed(params.env, params.random_seed if resolved.sources["random_seed"] == "flag" else None)
    if seed != params.random_seed:
        console.say(f"The episodes start with seed {seed}, whose start state shows the most; --random-seed sets another.")
    params = dataclasses.replace(params, random_seed=seed)
    recorded = None
    if params.record:
        recorded = record(params, make, series)
        console.say(f"Wrote {recording_path(params)}.")
    if len(series) > 1:
        return 0  # these are only recorded
    env = make(render_mode="human" if show else None)
    for i in range(params.num_eps_play):
        if i == 0 and recorded and not show:
            score, length = recorded
        else:  # an environment renders either into a window or into pictures, so play the episode again
            length = 0
            for step, score in play(series[0].policy, env, params.random_seed + i):  # noqa: B007
                length += step.env_steps
        console.say(f"Episode {i + 1}: return {score:.2f} in {length} steps.")
    env.close()
    return 0


def requested(params: PlayParams) -> list[LoadedCheckpoint]:
    """The checkpoint to play, or those of --compare or --grow."""
    if params.compare is not None:
        return [at_step(params, step) for step in params.compare]
    return load_series(params, AGES) if params.grow else [load_checkpoint(params)]


def recording_path(params: PlayParams) -> Path:
    """<record_dir>/<env>[/<run>].<format>, with the steps of --compare or "grow" before the ending."""
    path = run_folder(params.record_dir, params)
    what = "." + "-".join(map(str, params.compare)) if params.compare is not None else ".grow" if params.grow else ""
    return path.with_name(f"{path.name}{what}.{params.format}")


def record(params: PlayParams, make: Make, series: list[LoadedCheckpoint]) -> Episode | None:
    """Record as the flags say. Returns the episode, or None for several checkpoints."""
    path = recording_path(params)
    gif_bytes = 1_000 * params.gif_kilobytes
    if params.compare is not None:
        record_pair(make, series, params.random_seed, path, params.overlay, gif_bytes)
    elif params.grow:
        record_series(make, series, params.random_seed, path, params.overlay, gif_bytes)
    else:
        return record_episode(make, series[0], params.random_seed, path, params.overlay, gif_bytes)
    return None


if __name__ == "__main__":
    run_script(main)
