"""Every number of plot.py that you might change. Each field is also a --flag; params.py says what the types mean."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, MinLen, Predicate, doc

from params import (
    HERE,
    CheckpointFields,
    EnvId,
    EpisodeFields,
    File,
    Folder,
    PolicyParams,
    RunName,
    Seed,
)
from utils.bounds import Count, Format, Number, Steps

AXES = ("learner_step", "env_step", "minutes")
Axis = Annotated[str, Predicate(AXES.__contains__), doc(f"{', '.join(AXES[:-1])} or {AXES[-1]}")]
Dimension = Annotated[int, Ge(0), Le(10**6)]
Points = Annotated[int, Ge(2), Le(1000)]


@dataclass(frozen=True)
class PlotParams(PolicyParams):
    """The parameters that all drawings share."""

    show: bool = False  # open what was written in the desktop's own viewer
    log_dir: Folder = str(HERE / "logs")  # root of the training's logs
    plot_dir: Folder = str(HERE / "plots")  # root of the drawings


@dataclass(frozen=True)
class CurvesParams(PlotParams):
    """Drawing test scores over the training of one run or of several."""

    runs: Annotated[tuple[RunName, ...], MinLen(1)] | None = None  # names of several runs, or patterns such as "seed*"
    variants: Annotated[tuple[RunName, ...], MinLen(1)] | None = None  # a curve for each pattern: the mean of the runs it names
    envs: Annotated[tuple[EnvId, ...], MinLen(1)] | None = None  # compare --variants over these environments, by one number
    pairs: bool = False  # a panel for each variant after the first: both, and each of their runs
    mean: bool = False  # one curve, the mean of the runs with its 95 % interval, instead of a curve for each
    x: Axis = "learner_step"  # what a score is drawn against: learner_step, env_step or minutes
    last_step: Steps | None = None  # draw nothing of later learner steps
    first_seed: Seed | None = None  # draw the tests from this seed; default: the kind of test with most checkpoints
    episodes: Count | None = None  # draw the tests of this many episodes; default likewise
    starts: File | None = None  # draw the tests from this file of start states; default likewise
    training: bool = True  # draw the returns of the training's episodes too, fainter
    out: File | None = None  # PNG file to write; default: a file in plot_dir whose name tells the runs and options
    original: bool = True  # draw the original's published curve behind it, where there is one
    solved: Number | None = None  # score that counts as solved; the environment's own when not given


@dataclass(frozen=True)
class RunPlotParams(CheckpointFields, EpisodeFields, PlotParams):
    """The parameters that the drawings of one run share."""

    ckpt_file: File | None = None  # a path, a name in the run's folder, or "best"; default: the newest, or all
    random_seed: Seed = 999_999  # episodes that are played for a drawing start with this seed and the next


@dataclass(frozen=True)
class MapsParams(RunPlotParams):
    """Drawing what actor and critic of one checkpoint say over two state dimensions."""

    x_dim: Dimension | None = None  # dimension of the observation along x; default: the one that varies most
    y_dim: Dimension | None = None  # the same along y
    state: Annotated[tuple[Number, ...], MinLen(1)] | None = None  # observation that fixes the others; default: a first one
    action_dim: Dimension = 0  # dimension of the action that is shown
    resolution: Points = 81  # points along each axis


@dataclass(frozen=True)
class AnimationParams(MapsParams):
    """Drawing these maps over a run's checkpoints, with the scores and an episode of each."""

    resolution: Points = 41  # points along each axis
    num_ckpts: Annotated[int, Ge(1), Le(1000)] = 20  # checkpoints that are shown at most, evenly spread over the run
    format: Format = "gif"  # of the file: gif or mp4


@dataclass(frozen=True)
class SupportParams(RunPlotParams):
    """Drawing where the return distributions lie between v_min and v_max, over a run's checkpoints."""

    num_eps_play: Count = 5  # episodes whose states the critic is asked about


@dataclass(frozen=True)
class ReportParams(RunPlotParams):
    """Writing one page about a run."""
