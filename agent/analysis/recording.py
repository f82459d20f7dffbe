"""Recordings of checkpoints: one, two side by side, or a series. A panel shows the critic's return distribution."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from agent.evaluation import play
from agent.loading import LoadedCheckpoint
from agent.policy import Critic
from params import PlayParams
from utils.envs.environment import Environment
from utils.errors import DependencyError
from utils.media.overlay import GAP, fit, mass_window, side_by_side, with_panel, with_title
from utils.media.video import GIF_BYTES, GIF_SECONDS, GIF_WIDTH, HOLD, Gif, Mp4, Recording
from utils.replay.transitions import Episode, Step

Make = Callable[..., Environment]  # makes an environment; takes render_mode
Window = tuple[float, float] | None  # range of returns on the panel's axis; None for all atoms

AGES = 6  # checkpoints in a series
SECONDS_EACH = 4.0  # of each of them in a GIF; an MP4 shows complete episodes
# Seeds with more to see than the default seed. With this one Pendulum starts hanging down and swings up.
RECORDING_SEEDS = {"Pendulum-v1": 21_526}


def recording_seed(env_id: str, given: int | None = None) -> int:
    """The seed of a recorded episode: `given`, else from RECORDING_SEEDS, else the default of play.py."""
    return given if given is not None else RECORDING_SEEDS.get(env_id, PlayParams.random_seed)


def returns_window(series: Sequence[LoadedCheckpoint], env: Environment, seed: int) -> Window:
    """The range of returns with the mass of each critic over an episode of its policy from `seed`.

    This first pass draws nothing. It fixes the panel's axis for all frames.
    """
    windows = []
    for loaded in series:
        steps = [step for step, _ in play(loaded.policy, env, seed)]
        obs, action = np.array([step.obs for step in steps]), np.array([step.action for step in steps])
        atoms, probs = loaded.critic.atoms, loaded.critic.distribution(obs, action)
        if atoms is None or probs is None:
            values = loaded.critic.value(obs, action)
            windows.append((float(values.min()), float(values.max())))
        else:
            windows.append(mass_window(atoms, probs))
    low, high = zip(*windows, strict=True)
    return min(low), max(high)


def record_episode(
    make: Make, loaded: LoadedCheckpoint, seed: int, path: Path, overlay: bool = True, gif_bytes: int = GIF_BYTES
) -> Episode:
    """Record an episode to a GIF or MP4, by the ending of `path`. Plays to the end, even if the recording is shorter.

    A GIF has at most `gif_bytes` bytes. Raises DependencyError when the environment cannot render or an encoder is missing,
    and StorageError.
    """
    length, score = 0, 0.0
    with contextlib.closing(drawing(make)) as env:
        window = returns_window([loaded], env, seed) if overlay else None
        with contextlib.closing(_new_recording(path, env, most_bytes=gif_bytes)) as recording:
            for step, score in play(loaded.policy, env, seed):
                length += step.env_steps
                if recording.wants_more():
                    recording.add(picture(loaded.critic, env.render(), recording.width, step, score, overlay, window))
            recording.save()
    return Episode(score, length)


def episode_gif(make: Make, loaded: LoadedCheckpoint, seed: int) -> bytes:
    """The content of a GIF of one episode, with the overlay. Raises DependencyError as `record_episode` does."""
    env = drawing(make)
    recording = Gif(Path(), env.fps)
    with contextlib.closing(env):
        _take(recording, frames(loaded, env, seed, recording.width, window=returns_window([loaded], env, seed)))
    return recording.content()


def record_pair(
    make: Make, pair: Sequence[LoadedCheckpoint], seed: int, path: Path, overlay: bool = True, gif_bytes: int = GIF_BYTES
) -> None:
    """Record two checkpoints side by side from the same start. The shorter episode repeats its last frame."""
    with contextlib.ExitStack() as opened:
        envs = [opened.enter_context(contextlib.closing(drawing(make))) for _ in pair]
        window = returns_window(pair, envs[0], seed) if overlay else None
        recording = _new_recording(path, envs[0], widest=2 * GIF_WIDTH + GAP, most_bytes=2 * gif_bytes)
        half = _new_recording(path, envs[0]).width if isinstance(recording, Gif) else recording.width
        halves = [
            frames(loaded, env, seed, half, overlay, f"learner step {loaded.learner_step:,}", window)
            for loaded, env in zip(pair, envs, strict=True)
        ]
        _shoot(recording, side_by_side(*halves))


def record_series(
    make: Make, series: Sequence[LoadedCheckpoint], seed: int, path: Path, overlay: bool = True, gif_bytes: int = GIF_BYTES
) -> None:
    """Record the checkpoints one after the other from the same start, with the learner step in the frame."""
    seconds = SECONDS_EACH * len(series)
    with contextlib.closing(drawing(make)) as env:
        window = returns_window(series, env, seed) if overlay else None
        recording = _new_recording(path, env, seconds=seconds, most_bytes=round(gif_bytes * max(1.0, seconds / GIF_SECONDS)))
        limit = round(SECONDS_EACH * env.fps) if isinstance(recording, Gif) else None

        def part(loaded: LoadedCheckpoint) -> Iterator[np.ndarray]:
            shots = frames(loaded, env, seed, recording.width, overlay, f"learner step {loaded.learner_step:,}", window)
            return itertools.islice(_held(shots, round(HOLD * env.fps)), limit)

        _shoot(recording, itertools.chain.from_iterable(map(part, series)))


def _held(shots: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """`shots`, then the last one `count` times more, so that the end of a short episode is visible."""
    shot = None
    for shot in shots:
        yield shot
    if shot is not None:
        yield from itertools.repeat(shot, count)


def frames(
    loaded: LoadedCheckpoint,
    env: Environment,
    seed: int,
    width: Callable[[np.ndarray], int],
    overlay: bool = True,
    title: str = "",
    window: Window = None,
) -> Iterator[np.ndarray]:
    """The frames of an episode, uint8 [H, W, 3], each scaled to `width(frame)` pixels.

    With `overlay`, the panel below shows the critic's distribution for the state and action before the frame. `title` is
    above the frame. `window` is the range of the panel's axis.
    """
    for step, score in play(loaded.policy, env, seed):
        frame = picture(loaded.critic, env.render(), width, step, score, overlay, window)
        yield with_title(frame, title) if title else frame


def picture(
    critic: Critic,
    frame: np.ndarray,
    width: Callable[[np.ndarray], int],
    step: Step,
    score: float,
    overlay: bool,
    window: Window = None,
) -> np.ndarray:
    """A scaled frame, with the panel of the critic's distribution for the state and action before it."""
    wide = width(frame)
    if not overlay:
        return fit(frame, wide)
    where = step.obs[None], step.action[None]
    probs, (value,) = critic.distribution(*where), critic.value(*where)
    bars = None if probs is None or critic.atoms is None else (critic.atoms, probs[0])
    low, high = critic.scaling.action_low, critic.scaling.action_high
    return with_panel(frame, wide, bars, float(value), score, step.action, low, high, window)


def drawing(make: Make) -> Environment:
    """An environment that renders into memory. Raises DependencyError when it cannot."""
    env = make()
    env.close()
    if "rgb_array" not in env.render_modes:
        raise DependencyError(f"{env.id} cannot draw into a picture (it offers {env.render_modes}).")
    return make(render_mode="rgb_array")


def _new_recording(path: Path, env: Environment, **limits: float) -> Recording:
    return Mp4(path, env.fps) if path.suffix == ".mp4" else Gif(path, env.fps, **limits)  # type: ignore[arg-type]


def _shoot(recording: Recording, pictures: Iterator[np.ndarray]) -> None:
    with contextlib.closing(recording):
        _take(recording, pictures)
        recording.save()


def _take(recording: Recording, pictures: Iterator[np.ndarray]) -> None:
    for shot in pictures:
        recording.add(shot)
        if not recording.wants_more():
            break
