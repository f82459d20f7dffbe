"""Show one checkpoint: in a window where there is a screen, and as a film in video/.

python play.py                                  the newest checkpoint; writes video/<env>.gif
python play.py --format mp4                     the whole first episode, full size
python play.py --compare 5000 50000             the checkpoints of two learner steps side by side, from the same start
python play.py --grow                           checkpoints of increasing age, one after the other
python play.py --render --no-record             only the window
"""

from functools import partial

import params as parameters
from agent.choice import Choice, at_step, choose, choose_series
from agent.evaluation import play
from agent.film import AGES, film_growth, film_one, film_pair
from params import PlayParams, run_folder
from utils import flags
from utils.console import Console
from utils.envs import Environment, has_screen, make_env
from utils.errors import DependencyError, run_script
from utils.video import Film


def main() -> int:
    """Play as the flags say; returns the exit code."""
    resolved = flags.parse(PlayParams, parameters.resolve)
    params: PlayParams = resolved.values
    console = Console()
    make = partial(make_env, params.env, params.max_ep_length)
    if params.render and not has_screen():
        raise DependencyError("--render needs a screen and there is none here; without it a film is written to video/.")
    choices = chosen(params, make())
    for note in resolved.notes + choices[-1].notes:
        console.say(note)
    console.say(f"Playing {', '.join(choice.path.name for choice in choices)}.")
    if params.record:
        film = record(params, make, choices)
        console.say(f"Wrote {film.path}.")
    if len(choices) > 1:
        return 0  # the film was all
    show = has_screen() if params.render is None else params.render
    env = make(render_mode=_window_mode(make()) if show else None)
    for i in range(params.num_eps_play):
        *_, (length, (_, score)) = enumerate(play(choices[0].policy, env, params.random_seed + i), start=1)
        console.say(f"Episode {i + 1}: return {score:.2f} in {length} steps.")
    env.close()
    return 0


def chosen(params: PlayParams, env: Environment) -> list[Choice]:
    """The checkpoint that is played, or those that are compared or shown growing."""
    if params.compare is not None:
        return [at_step(params, env, step) for step in params.compare]
    return choose_series(params, env, AGES) if params.grow else [choose(params, env)]


def record(params: PlayParams, make: partial[Environment], choices: list[Choice]) -> Film:
    """Film what the flags ask for, into record_dir."""
    path = run_folder(params.record_dir, params)
    path = path.with_name(f"{path.name}.{params.format}")
    if params.compare is not None:
        steps = "-".join(map(str, params.compare))
        film = film_pair(make, choices, params.random_seed, path.with_stem(f"{path.stem}.{steps}"), params.overlay)
    elif params.grow:
        film = film_growth(make, choices, params.random_seed, path.with_stem(f"{path.stem}.grow"), params.overlay)
    else:
        film = film_one(make, choices[0], params.random_seed, path, params.overlay)
    film.save()
    return film


def _window_mode(env: Environment) -> str | None:
    return "human" if "human" in env.env.metadata.get("render_modes", []) else None


if __name__ == "__main__":
    run_script(main)
