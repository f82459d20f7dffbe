"""Show one checkpoint: in a window where there is a screen, and as a film in video/.

python play.py                                  the newest checkpoint; writes video/<env>.gif
python play.py --format mp4                     the whole first episode, full size
python play.py --render --no-record             only the window
"""

if __name__ == "__main__":
    from utils.errors import quiet_interrupts

    quiet_interrupts()

from collections.abc import Iterator
from functools import partial
from itertools import count

import numpy as np

import params as parameters
from agent.choice import Choice, choose
from agent.policy import Critic, Policy
from params import PlayParams, run_folder
from utils import flags
from utils.console import Console
from utils.envs import Environment, has_screen, make_env
from utils.errors import DependencyError, run_script
from utils.experience import Step, rollout
from utils.overlay import with_panel
from utils.video import Film, Gif, Mp4


def main() -> int:
    """Play as the flags say; returns the exit code."""
    resolved = flags.parse(PlayParams, parameters.resolve)
    params: PlayParams = resolved.values
    console = Console()
    make = partial(make_env, params.env, params.max_ep_length)
    if params.render and not has_screen():
        raise DependencyError("--render needs a screen and there is none here; without it a film is written to video/.")
    choice = choose(params, make())
    for note in resolved.notes + choice.notes:
        console.say(note)
    console.say(f"Playing {choice.path.name}.")
    if params.record:
        film = play_film(params, make, choice)
        console.say(f"Wrote {film.path}.")
    show = has_screen() if params.render is None else params.render
    env = make(render_mode=_window_mode(make()) if show else None)
    for i in range(params.num_eps_play):
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


def play_film(params: PlayParams, make: partial[Environment], choice: Choice) -> Film:
    """Record the first episode to record_dir. Raises DependencyError when the environment draws no pictures."""
    modes = make().env.metadata.get("render_modes", [])
    if "rgb_array" not in modes:
        raise DependencyError(f"{params.env} cannot draw into a picture (it offers {modes}); use --no-record.")
    env = make(render_mode="rgb_array")
    path = run_folder(params.record_dir, params)
    kind = Gif if params.format == "gif" else Mp4
    film = kind(path.with_name(f"{path.name}.{params.format}"), env.env.metadata.get("render_fps") or 30)
    for step, score in play(choice.policy, env, params.random_seed):
        frame = env.render()
        film.add(explained(frame, film.width(frame), choice.critic, step, score) if params.overlay else frame)
        if not film.wants_more():
            break
    film.save()
    env.close()
    return film


def explained(frame: np.ndarray, width: int, critic: Critic, step: Step, score: float) -> np.ndarray:
    """A frame with what the critic expects of the state and the action that led to it."""
    (probs,) = critic.distribution(step.obs[None], step.action[None])
    scaling = critic.scaling
    return with_panel(frame, width, critic.atoms, probs, score, step.action, scaling.action_low, scaling.action_high)


def _window_mode(env: Environment) -> str | None:
    return "human" if "human" in env.env.metadata.get("render_modes", []) else None


if __name__ == "__main__":
    run_script(main)
