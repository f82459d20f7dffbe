"""Updates/s and environment steps/s over the number of agents and of environments for each agent.

python benchmarks/scaling.py           25 minutes

train.py runs as a user starts it, on a fast and on a slow environment. The ratio is its default (8 environment steps for
each update of 256), or unlimited.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import itertools
from typing import Any

import loop

ENVS = ("Pendulum-v1", "BipedalWalker-v3")
AGENTS, ENVS_PER_AGENT = (1, 2, 4, 8), (1, 4, 16)
RATIOS = (32, 0)  # samples for each insert; 0 is without a limit


def main() -> None:
    """Measure, print, and write JSON when asked to."""
    given = timing.flags(__doc__)
    timing.Result("scaling", rows=measure(given.quick)).publish(given.json)


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row for each environment, ratio, number of agents and of their environments."""
    grid = itertools.product(ENVS, RATIOS, ENVS_PER_AGENT, AGENTS)
    rows = []
    for env, ratio, each, agents in itertools.islice(grid, 1 if quick else None):
        ticks = timing.cpu_ticks()
        flags = {"--samples-per-insert": ratio, "--num-agents": agents, "--envs-per-agent": each}
        with loop.training(env, *(str(part) for pair in flags.items() for part in pair)) as training:
            rates = training.rates(1 if quick else 3)
        rows.append(
            {
                "environment": env,
                "samples an insert": ratio,
                "agents": agents,
                "environments each": each,
                "updates/s": rates.updates,
                "env steps/s": rates.env_steps,
                "stolen": timing.stolen(ticks),
            }
        )
    return rows


if __name__ == "__main__":
    main()
