"""Draw the results of a training without a screen: pictures and pages in plots/.

python plot.py curves                              test score over learner steps, over the original's published curve
python plot.py curves --runs "seed*" --mean        the mean of several runs with its 95 % interval
python plot.py curves --variants "a*" "b*" --envs A B    two variants over two environments, by their interquartile means
python plot.py maps                                outputs of actor and critic over angle and speed, or two other dimensions
python plot.py animation                           these maps over the run's checkpoints, as a GIF (--format mp4)
python plot.py support                             where the return distributions lie between v_min and v_max
python plot.py report                              one page about a run
python plot.py maps --shipped                      the shipped policy instead of a run's (maps, animation, support, report)
"""

import webbrowser
from pathlib import Path
from typing import Any

from agent.analysis import drawings as plots
from agent.analysis.curves.learning_curves import curves_path
from agent.analysis.plot_params import AnimationParams, CurvesParams, MapsParams, ReportParams, SupportParams
from agent.analysis.report import write_report
from agent.config import resolve, run_folder
from agent.names import ALIASES
from utils import flags
from utils.console import Console
from utils.envs.environment import has_screen
from utils.errors import DependencyError
from utils.media.figures import png
from utils.script import run_script
from utils.storage.files import write_file

COMMANDS: dict[str, type] = {
    "curves": CurvesParams,
    "maps": MapsParams,
    "animation": AnimationParams,
    "support": SupportParams,
    "report": ReportParams,
}


def main() -> int:
    """Draw as the first word says; returns the exit code."""
    resolved = flags.parse_command(COMMANDS, resolve, aliases=ALIASES)
    params = resolved.values
    if params.show and not has_screen():
        raise DependencyError("--show needs a screen and there is none here; without it the file is still written.")
    command = next(name for name, cls in COMMANDS.items() if type(params) is cls)
    path, notes = write(command, params)
    console = Console()
    for note in resolved.notes + notes:
        console.say(note)
    console.say(f"Wrote {path}.")
    if params.show:
        webbrowser.open(path.resolve().as_uri())
    return 0


def write(command: str, params: Any) -> tuple[Path, list[str]]:
    """Draw into the run's folder below plot_dir. Returns the file, and sentences to print."""
    folder = run_folder(params.plot_dir, params)
    if command == "report":
        path = folder / "report.html"
        return path, write_report(params, path)
    if command == "animation":
        recording, notes = plots.animation(params, folder / f"animation.{params.format}")
        recording.save()
        return recording.path, notes
    path = curves_path(params) if command == "curves" else folder / f"{command}.png"
    figure, notes, _ = getattr(plots, command)(params)
    return write_file(path, png(figure)), notes


if __name__ == "__main__":
    run_script(main)
