"""Draws the pictures of benchmarks/README.md from the results of the other scripts.

python benchmarks/pictures.py          draws the results in results/shipped into the same folder
"""

import timing  # first: puts the toolkit's folder on the path

# isort: split
import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from time_to_score import entries
from utils.media.figures import COLOURS, FAINT, new_figure, png, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches
TOOLKIT = "toolkit"
DISTURBED = 0.1  # share of its time, from which a measurement counts as disturbed


def main() -> None:
    """Draw each picture with existing results, and name the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=timing.RESULTS / "shipped", help="folder of the results")
    parser.add_argument("--into", type=Path, default=timing.RESULTS / "shipped", help="folder of the pictures")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    for name, (source, read, draw) in PICTURES.items():
        if not (given.results / source).exists():
            print(f"{name}.png is not drawn: there is no {given.results / source}.")
            continue
        (given.into / f"{name}.png").write_bytes(png(draw(read(given.results / source))))
        print(f"Drew {given.into / f'{name}.png'}.")


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a result."""
    found: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return found


def time_to_score(runs: list[dict[str, Any]]) -> "Figure":
    """Scores of the tests over wall-clock time: a panel for each environment, a line for each run, a dot at the goal."""
    envs = distinct(runs, "env")
    contenders = distinct(runs, "contender")
    figure = new_figure(WIDTH, 3.6)
    for axes, env in zip(figure.subplots(1, len(envs), squeeze=False)[0], envs, strict=True):
        tidy(axes)
        of_env = [run for run in runs if run["env"] == env]
        axes.axhline(of_env[0]["goal"], color=FAINT, linestyle="--", linewidth=1)
        for run in of_env:
            colour = COLOURS[contenders.index(run["contender"])]
            minutes = [test["seconds"] / 60 for test in run["tests"]]  # none where it was ended before the first
            scores = [test["score"] for test in run["tests"]]
            axes.plot(minutes, scores, color=colour, linewidth=1.2)
            if run["reached"]:
                axes.plot(minutes[-1], scores[-1], "o", color=colour)
        axes.set_title(env, fontsize=10)
        axes.set_xlim(left=0)
    figure.axes[0].set_ylabel("mean of 20 noise-free episodes")
    figure.supxlabel("minutes since the start of the process", fontsize=10)
    _legend(figure, contenders)
    return figure


def training(contenders: list[dict[str, Any]]) -> "Figure":
    """Updates/s and environment steps/s of each contender, as bars."""
    figure = new_figure(WIDTH, 3.2)
    names = [row["contender"] for row in contenders][::-1]
    colours = [COLOURS[0] if name.startswith(TOOLKIT) else FAINT for name in names]
    for axes, quantity in zip(figure.subplots(1, 2, sharey=True), ("updates/s", "env steps/s"), strict=True):
        tidy(axes)
        bars = axes.barh(names, [row[quantity] for row in contenders][::-1], color=colours)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
        axes.margins(x=0.15)
        axes.set_xlabel(quantity.replace("env", "environment"))
    return figure


def scaling(cells: list[dict[str, Any]]) -> "Figure":
    """Updates/s and environment steps/s by the number of agents, a line for each number of environments.

    A point is hollow where more than a tenth of its time was stolen.
    """
    cases = list(dict.fromkeys((cell["environment"], cell["samples an insert"]) for cell in cells))
    sizes = distinct(cells, "environments each")
    figure = new_figure(WIDTH, 4.8)
    grid = figure.subplots(2, len(cases), squeeze=False, sharex=True)
    for column, (env, ratio) in zip(grid.T, cases, strict=True):
        column[0].set_title(f"{env}\n" + (f"{ratio} samples an insert" if ratio else "no limit of the ratio"), fontsize=9)
        column[1].set_xlabel("agents")
        for axes, quantity in zip(column, ("updates/s", "env steps/s"), strict=True):
            tidy(axes)
            for size, colour in zip(sizes, COLOURS, strict=False):
                line = [
                    (cell["agents"], cell[quantity], "white" if cell["stolen"] > DISTURBED else colour)
                    for cell in cells
                    if (cell["environment"], cell["samples an insert"], cell["environments each"]) == (env, ratio, size)
                ]
                agents, rates, fillings = zip(*line, strict=True)
                axes.plot(agents, rates, color=colour, linewidth=1.2)
                axes.scatter(agents, rates, s=18, color=fillings, edgecolor=colour, zorder=3)
            axes.set_ylim(bottom=0)
            axes.set_xticks(distinct(cells, "agents"))
    grid[0][0].set_ylabel("updates/s")
    grid[1][0].set_ylabel("environment steps/s")
    _legend(figure, [f"{size} environment{'s' if size > 1 else ''} for each agent" for size in sizes])
    return figure


def distinct(of: list[dict[str, Any]], name: str) -> list[Any]:
    """The different values of a column, in their order."""
    return list(dict.fromkeys(row[name] for row in of))


def _legend(figure: "Figure", names: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=name) for name, colour in zip(names, COLOURS, strict=False)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(names), frameon=False, fontsize=9)


# Each picture: its file of results, a function that reads this file, and a function that draws.
PICTURES: dict[str, tuple[str, Callable[[Path], list[dict[str, Any]]], Callable[[list[dict[str, Any]]], "Figure"]]] = {
    "time_to_score": ("time_to_score.jsonl", entries, time_to_score),
    "training": ("training.json", rows, training),
    "scaling": ("scaling.json", rows, scaling),
}


if __name__ == "__main__":
    main()
