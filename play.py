"""Show one checkpoint: in a window where there is a screen, and as a film in video/.

python play.py                                  the newest checkpoint; writes video/<env>.gif
python play.py --format mp4                     the whole first episode, full size
python play.py --render --no-record             only the window
"""

if __name__ == "__main__":
    from utils.errors import quiet_signals

    quiet_signals()

import contextlib
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

import params as parameters
from agent.choice import Choice, choose
from agent.policy import Critic, Policy
from params import PlayParams, run_folder
from utils import flags
from utils.console import Console
from utils.envs import Environment, has_screen, make_env, wrong_with
from utils.errors import DependencyError, run_script
from utils.experience import Step, rollout
from utils.overlay import with_panel
from utils.probe import probe
from utils.video import Gif, Mp4


def main() -> int:
    """Play as the flags say; returns the exit code."""
    resolved = flags.parse(PlayParams, parameters.resolve, wrong_with=wrong_with)
    params: PlayParams = resolved.values
    console = Console()
    make = partial(make_env, params.env, params.max_ep_length)
    if params.render and not has_screen():
        raise DependencyError("--render needs a screen and there is none here; without it a film is written to video/.")
    env = make()
    choice = choose(params, env)
    if params.render and "human" not in env.render_modes:
        raise DependencyError(f"{params.env} cannot open a window (it offers {env.render_modes}); leave --render out.")
    show = "human" in env.render_modes and (has_screen() if params.render is None else params.render)
    if params.record:
        if "rgb_array" not in env.render_modes:
            raise DependencyError(f"{params.env} cannot draw into a picture (it offers {env.render_modes}); use --no-record.")
        probe({"--record-dir": [film_path(params)]})
    for note in resolved.notes + choice.notes:
        console.say(note)
    console.say(f"Playing {choice.path.name}.")
    filmed = play_film(params, make, choice, console) if params.record else None
    env = make(render_mode="human" if show else None)
    for i in range(params.num_eps_play):
        if i == 0 and filmed and not show:
            length, score = filmed
        else:  # a window needs an episode of its own: an environment draws either on the screen or into pictures
            *_, (length, (_, score)) = enumerate(play(choice.policy, env, params.random_seed + i), start=1)
        console.say(f"Episode {i + 1}: return {score:.2f} in {length} steps.")
    env.close()
    return 0


def play(policy: Policy, env: Environment, seed: int) -> Iterator[tuple[Step, float]]:
    """One noise-free episode: each step, and the reward up to it."""
    score = 0.0
    for _, step in rollout([env], policy.act, partial(next, count(seed))):
        score += step.reward
        yield step, score
        if step.terminated or step.truncated:
            return


def play_film(params: PlayParams, make: partial[Environment], choice: Choice, console: Console) -> tuple[int, float]:
    """Play the first episode, record it to record_dir, and return its length and return."""
    env = make(render_mode="rgb_array")
    film = (Gif if params.format == "gif" else Mp4)(film_path(params), env.fps)
    length, score = 0, 0.0
    with contextlib.closing(film), contextlib.closing(env):
        for step, score in play(choice.policy, env, params.random_seed):
            length += 1
            if film.wants_more():
                frame = env.render()
                film.add(explained(frame, film.width(frame), choice.critic, step, score) if params.overlay else frame)
        film.save()
        console.say(f"Wrote {film.path}.")
    return length, score


def film_path(params: PlayParams) -> Path:
    """<record_dir>/<env>[/<run>].<format>."""
    path = run_folder(params.record_dir, params)
    return path.with_name(f"{path.name}.{params.format}")


def explained(frame: np.ndarray, width: int, critic: Critic, step: Step, score: float) -> np.ndarray:
    """A frame with what the critic expects of the state and the action that led to it."""
    (probs,) = critic.distribution(step.obs[None], step.action[None])
    scaling = critic.scaling
    return with_panel(frame, width, critic.atoms, probs, score, step.action, scaling.action_low, scaling.action_high)


if __name__ == "__main__":
    run_script(main)
