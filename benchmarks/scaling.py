"""Updates/s and environment steps/s against the number of agents and of environments that each of them steps.

python benchmarks/scaling.py           25 minutes; --picture FILE.png draws it, --from FILE.json draws what was measured before

train.py as a user starts it, at its default ratio (8 environment steps for each update of 256) and free of it, on a cheap
environment and on a dear one.
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import itertools
import json
from pathlib import Path
from typing import Any

import loop

ENVS = ("Pendulum-v1", "BipedalWalker-v3")
AGENTS, ENVS_PER_AGENT = (1, 2, 4, 8), (1, 4, 16)
RATIOS = (32, 0)  # samples for each insert; 0 is without a limit


def main() -> None:
    """Measure, print, draw, and write JSON when asked to."""
    given = timing.flags(
        __doc__,
        picture=dict(type=Path, help="draw the rates to this file"),
        **{"from": dict(type=Path, metavar="FILE", help="measure nothing: take the rates from a JSON file of this benchmark")},
    )
    earlier = vars(given)["from"]
    if earlier is not None:
        result = timing.Result("scaling", rows=json.loads(earlier.read_text())["rows"])
    else:
        result = timing.Result("scaling", rows=measure(given.quick))
    result.publish(given.json)
    if given.picture:
        draw(result.rows, given.picture)


def measure(quick: bool) -> list[dict[str, Any]]:
    """A row for each environment, ratio, number of agents and of their environments."""
    grid = itertools.product(ENVS, RATIOS, ENVS_PER_AGENT, AGENTS)
    rows = []
    for env, ratio, each, agents in itertools.islice(grid, 1 if quick else None):
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
            }
        )
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw updates/s and environment steps/s by the number of agents, a line for each number of environments."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = list(dict.fromkeys((row["environment"], row["samples an insert"]) for row in rows))
    figure, grid = pyplot.subplots(2, len(cases), figsize=(3.2 * len(cases), 5.6), squeeze=False, sharex=True)
    for column, (env, ratio) in zip(grid.T, cases, strict=True):
        of_case = [row for row in rows if (row["environment"], row["samples an insert"]) == (env, ratio)]
        column[0].set_title(f"{env}\n" + (f"{ratio} samples an insert" if ratio else "no limit of the ratio"), fontsize=9)
        column[1].set_xlabel("agents")
        for axes, quantity in zip(column, ("updates/s", "env steps/s"), strict=True):
            for each in dict.fromkeys(row["environments each"] for row in of_case):
                line = [row for row in of_case if row["environments each"] == each]
                label = f"{each} environment{'s' if each > 1 else ''} each"
                axes.plot([row["agents"] for row in line], [row[quantity] for row in line], marker="o", label=label)
            axes.set_ylim(bottom=0)
            axes.set_xticks(sorted({row["agents"] for row in of_case}))
            axes.grid(alpha=0.3)
    grid[0][0].set_ylabel("updates/s")
    grid[1][0].set_ylabel("environment steps/s")
    grid[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
