"""Films of checkpoints: one, two side by side, or a run's growth, with what the critic expects below each frame."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from agent.choice import Choice
from agent.evaluation import play
from agent.policy import Critic
from utils.envs import Environment
from utils.errors import DependencyError
from utils.experience import Episode, Step
from utils.overlay import GAP, fit, side_by_side, with_panel, with_title
from utils.video import GIF_BYTES, GIF_SECONDS, GIF_WIDTH, Film, Gif, Mp4

Make = Callable[..., Environment]  # makes an environment; takes render_mode

AGES = 6  # checkpoints in a film of growth
SECONDS_EACH = 4.0  # of each of them in a GIF; the format counts in seconds, an MP4 shows whole episodes


def film_one(make: Make, choice: Choice, seed: int, path: Path, overlay: bool = True) -> Episode:
    """Film an episode and play it to its end, which may be later; the film's kind is the path's ending.

    Raises DependencyError when the environment draws no pictures or a writer is missing, and StorageError.
    """
    env = drawing(make)
    film = _film(path, env)
    length, score = 0, 0.0
    with contextlib.closing(film), contextlib.closing(env):
        for step, score in play(choice.policy, env, seed):
            length += step.env_steps
            if film.wants_more():
                film.add(picture(choice.critic, env.render(), film.width, step, score, overlay))
        film.save()
    return Episode(score, length)


def gif_of(make: Make, choice: Choice, seed: int) -> bytes:
    """The content of a GIF of one episode, with the overlay. Raises DependencyError as `film_one` does."""
    env = drawing(make)
    film = Gif(Path(), env.fps)
    with contextlib.closing(env):
        _take(film, frames(choice, env, seed, film.width))
    return film.content()


def film_pair(make: Make, pair: Sequence[Choice], seed: int, path: Path, overlay: bool = True) -> None:
    """Film two checkpoints side by side from the same start; the one whose episode is shorter waits in its last frame."""
    envs = [drawing(make) for _ in pair]
    film = _film(path, envs[0], widest=2 * GIF_WIDTH + GAP, most_bytes=2 * GIF_BYTES)
    half = _film(path, envs[0]).width if isinstance(film, Gif) else film.width
    halves = [
        frames(choice, env, seed, half, overlay, f"learner step {choice.learner_step:,}")
        for choice, env in zip(pair, envs, strict=True)
    ]
    _shoot(film, side_by_side(*halves))


def film_growth(make: Make, choices: Sequence[Choice], seed: int, path: Path, overlay: bool = True) -> None:
    """Film `choices` one after the other, each from the same start, with its learner step in the frame."""
    env = drawing(make)
    seconds = SECONDS_EACH * len(choices)
    film = _film(path, env, seconds=seconds, most_bytes=round(GIF_BYTES * max(1.0, seconds / GIF_SECONDS)))
    limit = round(SECONDS_EACH * env.fps) if isinstance(film, Gif) else None
    _shoot(
        film,
        itertools.chain.from_iterable(
            itertools.islice(frames(choice, env, seed, film.width, overlay, f"learner step {choice.learner_step:,}"), limit)
            for choice in choices
        ),
    )


def frames(
    choice: Choice,
    env: Environment,
    seed: int,
    width: Callable[[np.ndarray], int],
    overlay: bool = True,
    title: str = "",
) -> Iterator[np.ndarray]:
    """The frames of an episode, uint8 [H, W, 3], each scaled to the width that `width(frame)` says.

    Below it, with `overlay`, what the critic expects of the state and the action that led to it; above it a title.
    """
    for step, score in play(choice.policy, env, seed):
        frame = picture(choice.critic, env.render(), width, step, score, overlay)
        yield with_title(frame, title) if title else frame


def picture(
    critic: Critic, frame: np.ndarray, width: Callable[[np.ndarray], int], step: Step, score: float, overlay: bool
) -> np.ndarray:
    """A frame in its film's width, with what the critic expects of the state and the action that led to it below."""
    wide = width(frame)
    if not overlay:
        return fit(frame, wide)
    (probs,) = critic.distribution(step.obs[None], step.action[None])
    low, high = critic.scaling.action_low, critic.scaling.action_high
    return with_panel(frame, wide, critic.atoms, probs, score, step.action, low, high)


def drawing(make: Make) -> Environment:
    """An environment that draws into memory. Raises DependencyError when it cannot."""
    env = make()
    env.close()
    if "rgb_array" not in env.render_modes:
        raise DependencyError(f"{env.id} cannot draw into a picture (it offers {env.render_modes}).")
    return make(render_mode="rgb_array")


def _film(path: Path, env: Environment, **limits: float) -> Film:
    return Mp4(path, env.fps) if path.suffix == ".mp4" else Gif(path, env.fps, **limits)  # type: ignore[arg-type]


def _shoot(film: Film, pictures: Iterator[np.ndarray]) -> None:
    with contextlib.closing(film):
        _take(film, pictures)
        film.save()


def _take(film: Film, pictures: Iterator[np.ndarray]) -> None:
    for shot in pictures:
        film.add(shot)
        if not film.wants_more():
            break
