"""Train one policy.

python train.py                                     Pendulum, in some minutes
python train.py --env LunarLanderContinuous-v3      another environment
python train.py --seeds 1 2 3                       the same run once for each seed
python train.py --summary                           both networks and every parameter with its source
python train.py --env MyEnv-v0 --check-env          whether an environment works, without training
python train.py --help                              every parameter
"""

if __name__ == "__main__":
    from utils.script import quiet_signals

    quiet_signals()

from agent.analysis.env_check import print_check
from agent.analysis.summary import print_summary
from agent.environment import env_problem
from agent.names import ALIASES
from agent.training.callbacks.live_view import LiveView
from agent.training.resume import resolve_training
from agent.training.runs import each_seed, prepare
from params import TrainParams
from utils import flags
from utils.console import Console
from utils.envs.environment import has_screen
from utils.errors import DependencyError
from utils.parameters import Resolved
from utils.script import Signals, run_script


def main() -> int:
    """Train as the flags say. Returns the exit code."""
    resolved = flags.parse(TrainParams, resolve_training, env_problem=env_problem, aliases=ALIASES)
    params: TrainParams = resolved.values
    console = Console()
    if params.render and not has_screen():
        raise DependencyError("--render needs a screen and there is none here; play.py writes a GIF without one.")
    if params.check_env:
        return print_check(resolved, console)
    if params.summary:
        return print_summary(resolved, console)
    if params.seeds is None:
        return train(resolved, console)
    given = {name: getattr(params, name) for name, source in resolved.sources.items() if source == "flag"}
    for parameters in each_seed(params.seeds, given):
        code = train(resolve_training(TrainParams, parameters), console)
        if code:
            return code
    return 0


def train(resolved: Resolved, console: Console) -> int:
    """Train one run until it is done or a signal ends it. Returns the exit code."""
    with prepare(resolved, [LiveView()], console) as trainer, Signals(trainer.stop) as signals:
        trainer.run(is_interrupted=signals.came)
    return signals.exit_code


if __name__ == "__main__":
    run_script(main)
