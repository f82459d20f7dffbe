"""Show one checkpoint: in a window where there is a screen, and as a film in video/.

python play.py                                  the newest checkpoint; writes video/<env>.gif
python play.py --format mp4                     the whole first episode, full size
python play.py --render --no-record             only the window
"""

from functools import partial
from itertools import count

import params as parameters
from agent.choice import choose
from agent.policy import Policy
from params import PlayParams, run_folder
from utils import flags
from utils.console import Console
from utils.envs import Environment, has_screen, make_env
from utils.errors import DependencyError, run_script
from utils.experience import Episode, rollout
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
        film = play_film(params, make, choice.policy)
        console.say(f"Wrote {film.path}.")
    show = has_screen() if params.render is None else params.render
    env = make(render_mode=_window_mode(make()) if show else None)
    for i in range(params.num_eps_play):
        episode = play(choice.policy, env, params.random_seed + i)
        console.say(f"Episode {i + 1}: return {episode.score:.2f} in {episode.length} steps.")
    env.close()
    return 0


def play(policy: Policy, env: Environment, seed: int, film: Film | None = None) -> Episode:
    """Play one noise-free episode; with a `film`, until the film wants no more."""
    score, length = 0.0, 0
    for _, step in rollout([env], policy.act, partial(next, count(seed))):
        score, length = score + step.reward, length + 1
        if film is not None:
            film.add(env.render())
        if step.terminated or step.truncated or film is not None and not film.wants_more():
            break
    return Episode(score, length)


def play_film(params: PlayParams, make: partial[Environment], policy: Policy) -> Film:
    """Record the first episode to record_dir. Raises DependencyError when the environment draws no pictures."""
    modes = make().env.metadata.get("render_modes", [])
    if "rgb_array" not in modes:
        raise DependencyError(f"{params.env} cannot draw into a picture (it offers {modes}); use --no-record.")
    env = make(render_mode="rgb_array")
    path = run_folder(params.record_dir, params)
    kind = Gif if params.format == "gif" else Mp4
    film = kind(path.with_name(f"{path.name}.{params.format}"), env.env.metadata.get("render_fps") or 30)
    play(policy, env, params.random_seed, film)
    film.save()
    env.close()
    return film


def _window_mode(env: Environment) -> str | None:
    return "human" if "human" in env.env.metadata.get("render_modes", []) else None


if __name__ == "__main__":
    run_script(main)
