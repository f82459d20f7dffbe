"""Prints both networks and every parameter with its source."""

import contextlib

import numpy as np

from agent.environment import env_spec
from agent.scaling import Scaling
from utils.console import Console, quiet_stderr
from utils.envs.environment import select_renderer
from utils.parameters import Resolved


def print_summary(resolved: Resolved, console: Console) -> int:
    """Print the layers and sizes of actor and critic, then the parameters. Nothing is trained and no file written."""
    params = resolved.values
    select_renderer(renders=False)
    with contextlib.closing(env_spec(params).make()) as env:
        scaling = Scaling.from_env(env, params)
    with quiet_stderr():
        from agent.learning import networks
        from agent.learning.update import CompiledUpdate

        update = CompiledUpdate(params, scaling, np.random.default_rng(params.random_seed))
    for model in (update.actor, *update.critics):
        console.say(networks.summary(model))
    console.say(f"Actor and critic have {sum(model.count_params() for model in (update.actor, *update.critics)):,} parameters.")
    width = max(map(len, resolved.sources))
    for name, source in resolved.sources.items():
        console.say(f"{name:{width}}  {getattr(params, name)!s:24}  {source}")
    return 0
