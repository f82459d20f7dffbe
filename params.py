"""Every number you might change. Imports nothing of ours; scripts and agent/ may import it.

Change ENV to train something else. Each field below is also a --flag of the script that its class belongs to.
Order of values: flag, then the environment's entry in ENVS, then the default here; None means "not given".
"""

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENV = "Pendulum-v1"

# What fits an environment: any field of TrainParams. Scales are divisors; v_min and v_max bound the discounted return
# in *scaled* rewards. The scales and supports are those of msinto93/D4PG.
ENVS: dict[str, dict[str, Any]] = {
    "Pendulum-v1": dict(
        obs_scale=(1.0, 1.0, 8.0),
        reward_scale=100.0,
        v_min=-20.0,
        v_max=0.0,
        num_steps_train=50_000,
        save_ckpt_step=5_000,
        # The original's are 1e-4, 0.001, less than 1 000 and 0. With them some seeds drive the actor into the flat ends of
        # its tanh before the critic knows anything, and leave it there (README, Results).
        critic_learning_rate=5e-4,
        tau=0.005,
        learning_starts=10_000,
        saturation_penalty=1e-3,
    ),
    "LunarLanderContinuous-v3": dict(
        reward_scale=10.0,
        v_min=-20.0,
        v_max=20.0,
        num_steps_train=320_000,
        # A test of 20 episodes reaches 200 after 5 000 to 20 000 learner steps. With the original's settings (README, Results)
        # a seed still hovered above the ground after 24 000.
        critic_learning_rate=1e-3,
        actor_learning_rate=3e-4,
        tau=0.005,
        learning_starts=10_000,
        saturation_penalty=1e-3,
    ),
    "BipedalWalker-v3": dict(reward_scale=10.0, v_min=-40.0, v_max=40.0, num_steps_train=1_000_000),
    "BipedalWalkerHardcore-v3": dict(reward_scale=10.0, v_min=-40.0, v_max=40.0, num_steps_train=8_000_000),
}

# The ids that the original used, what they are called today, and what changed in between.
RENAMED = {
    "Pendulum-v0": ("Pendulum-v1", "the speed is now clipped before it moves the pendulum"),
    "LunarLanderContinuous-v2": ("LunarLanderContinuous-v3", "wind is drawn anew at each reset; without wind it is as before"),
    "BipedalWalker-v2": ("BipedalWalker-v3", "the lidar now reports the nearest point instead of the furthest"),
    "BipedalWalkerHardcore-v2": ("BipedalWalkerHardcore-v3", "the lidar now reports the nearest point instead of the furthest"),
}

FLOAT32_STEP = 2e-7  # relative distance of numbers that float32, in which all is computed, still tells apart
FORMATS = ("gif", "mp4")
HERE = Path(__file__).resolve().parent
AXES = ("learner_step", "env_step", "minutes")
FOLDERS = ("ckpt_dir", "log_dir", "results_dir", "record_dir", "plot_dir")  # roots; the environment's own folder is appended
_FILES = ("ckpt_file", "starts", "versus")


@dataclass(frozen=True)
class TrainParams:
    """Training one policy."""

    env: str = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    render: bool = False  # show each new checkpoint in a window while training (play.py in a process of its own)
    summary: bool = False  # print both networks and every parameter with its source, and stop
    random_seed: int = 99999999  # every random number of the run comes from this one

    # Environments and agents
    num_agents: int = 4  # threads that act at once
    envs_per_agent: int = 1  # environments that one agent steps with one batched policy call
    max_ep_length: int = 10_000  # environment steps after which an episode is truncated
    action_repeat: int = 1  # environment steps that each action is taken for; discount_rate then counts actions
    env_timeout: float = 60.0  # seconds after which an environment that does not answer is replaced
    env_restarts: int = 10  # failures of an agent's environments that are borne; 1 000 sound steps give one back
    noise_scale: float = 0.3  # standard deviation of the exploration noise, where actions are in [-1, 1]
    noise_decay: float = 0.9999  # factor on the noise for each episode an agent has finished

    # Scaling of what the networks see (raw units everywhere else)
    obs_mean: tuple[float, ...] | None = None  # subtracted from observations, one number for each dimension
    obs_scale: tuple[float, ...] | None = None  # divides observations, one number for each dimension
    obs_clip: float | None = None  # scaled observations are clipped to +- this
    reward_scale: float = 1.0  # divides rewards

    # Replay
    replay_mem_size: int = 1_000_000  # transitions kept
    learning_starts: int = 1_000  # transitions collected, by uniformly random actions, before the first update
    priority_alpha: float = 0.6  # 0 samples uniformly, 1 in proportion to the priority
    priority_beta_start: float = 0.4  # importance-sampling exponent at the first learner step
    priority_beta_end: float = 1.0  # the same at the last
    priority_epsilon: float = 1e-5  # added to each loss, so that every transition can be drawn again
    samples_per_insert: float = 32.0  # times each transition is drawn on average; 0 lets agents and learner run free

    # Learning
    num_steps_train: int = 1_000_000  # learner steps (updates) in all
    batch_size: int = 256  # transitions in an update
    updates_per_call: int = 8  # updates in one compiled call
    discount_rate: float = 0.99  # for a single step: a transition over k steps carries discount_rate**k
    n_step_returns: int = 5  # rewards summed before bootstrapping
    critic_learning_rate: float = 1e-4  # Adam's, for the critic
    actor_learning_rate: float = 1e-4  # Adam's, for the actor
    critic_l2_lambda: float = 0.0  # weight of the critic's kernels' squares in its loss
    saturation_penalty: float = 0.0  # weight, in the actor's loss, of the squared inputs of its tanh; 0 as in the paper
    tau: float = 0.001  # share of the networks that the targets take over at each learner step
    target_update_period: int = 0  # learner steps between hard copies to the targets; 0 means soft, by tau

    # Networks
    dense1_size: int = 400  # units of the first hidden layer
    dense2_size: int = 300  # units of the second
    final_layer_init: float = 0.003  # last layers start within +- this
    use_batch_norm: bool = False  # batch normalisation on the input and before each hidden ReLU
    num_atoms: int = 51  # atoms of the return distribution
    v_min: float | None = None  # lowest discounted return the critic can express, in scaled rewards
    v_max: float | None = None  # the highest

    # The run
    run: str = ""  # name of the run, a folder of its own below the environment's
    resume: bool = False  # go on with the run that the folder holds
    fresh: bool = False  # move the run that the folder holds aside and start anew
    ckpt_file: str | None = None  # checkpoint to continue from: a path, or a name in the run's folder
    save_ckpt_step: int = 10_000  # learner steps between checkpoints
    max_ckpts: int = 201  # checkpoints kept; the best by the watcher's score besides, and as many again that are untested
    save_replay: bool = True  # save the replay too, so that a resumed run goes on with it
    save_replay_every: int = 5  # checkpoints between two snapshots of the replay
    synchronous: bool = False  # agents and learner in turn, in one thread: slower, but the same bit for bit from a seed
    max_minutes: float | None = None  # stop after this long
    stop_at_score: float | None = None  # stop when a checkpoint scores this over 20 noise-free episodes
    ckpt_dir: str = str(HERE / "ckpts")  # root of the checkpoints
    log_dir: str = str(HERE / "logs")  # root of the CSV and TensorBoard logs
    results_dir: str = str(HERE / "test_results")  # root of the scores
    debug: bool = False  # show tracebacks

    @property
    def support(self) -> tuple[float, float]:
        """v_min and v_max; resolve() has seen to it that they are given."""
        return typing.cast(tuple[float, float], (self.v_min, self.v_max))

    def problems(self) -> Iterator[tuple[set[str], str]]:
        """Rules across fields that are broken: the fields, and what is wrong in words.

        resolve() raises all problems at once; nothing downstream checks again.
        """
        if self.v_min is None or self.v_max is None:
            near = difflib.get_close_matches(self.env, ENVS, n=1)
            yield (
                {"env", "v_min", "v_max"},
                f"{self.env} has no entry in ENVS of params.py{f' (did you mean {near[0]}?)' if near else ''}, so give --v-min "
                "and --v-max: the least and greatest discounted return, in rewards divided by --reward-scale",
            )
        elif not self.v_min < self.v_max:
            yield {"v_min", "v_max"}, f"v_min must be less than v_max, got {self.v_min} and {self.v_max}"
        elif (self.v_max - self.v_min) / self.num_atoms < max(1e-30, FLOAT32_STEP * max(abs(self.v_min), abs(self.v_max))):
            yield (
                {"v_min", "v_max", "num_atoms"},
                f"v_min and v_max are too close for {self.num_atoms} atoms in float32, got {self.v_min} and {self.v_max}",
            )
        if self.learning_starts > self.replay_mem_size:
            yield (
                {"learning_starts", "replay_mem_size"},
                f"learning_starts must be at most replay_mem_size, got {self.learning_starts} and {self.replay_mem_size}: "
                "the replay would never hold enough to begin",
            )
        if self.synchronous and not self.samples_per_insert:
            yield (
                {"synchronous", "samples_per_insert"},
                "synchronous takes turns by the ratio, so samples_per_insert must not be 0",
            )
        if self.resume and self.fresh:
            yield {"resume", "fresh"}, "resume and fresh exclude each other: go on with the old run, or start anew"


@dataclass(frozen=True)
class TestParams:
    """Scoring one checkpoint."""

    env: str = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    num_eps_test: int = 100  # episodes
    max_ep_length: int | None = None  # environment steps after which an episode is truncated; as trained when not given
    action_repeat: int | None = None  # environment steps that each action is taken for; as trained when not given
    random_seed: int = 0  # episode i starts with reset(seed=random_seed + i)
    starts: str | None = None  # CSV file of Pendulum start states (columns theta0, thetadot0), instead of seeds
    versus: str | None = None  # CSV file of another policy's returns (columns seed, return), to be compared with in pairs
    run: str = ""  # name of the run
    ckpt_file: str | None = None  # a path, or a name in the run's folder; the newest when not given
    ckpt_dir: str = str(HERE / "ckpts")  # root of the checkpoints
    results_dir: str = str(HERE / "test_results")  # root of the scores
    debug: bool = False  # show tracebacks


@dataclass(frozen=True)
class WatchParams:
    """Scoring every checkpoint of a run as it appears."""

    env: str = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    num_eps_test: int = 100  # episodes for each checkpoint
    max_ep_length: int | None = None  # environment steps after which an episode is truncated; as trained when not given
    action_repeat: int | None = None  # environment steps that each action is taken for; as trained when not given
    random_seed: int = 1_000_000  # episode i starts with reset(seed=random_seed + i)
    run: str = ""  # name of the run
    exit_when_done: bool = False  # end when training has ended and its last checkpoint is tested
    report: bool = False  # write the run's report page (plot.py report) anew after each test
    test_timeout: float = 3600.0  # seconds after which a test is ended and counted as failed
    ckpt_dir: str = str(HERE / "ckpts")  # root of the checkpoints
    log_dir: str = str(HERE / "logs")  # root of the training's logs, for the report
    results_dir: str = str(HERE / "test_results")  # root of the scores
    plot_dir: str = str(HERE / "plots")  # root of the report
    debug: bool = False  # show tracebacks


@dataclass(frozen=True)
class PlayParams:
    """Showing one checkpoint."""

    env: str = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    num_eps_play: int = 5  # episodes; the first is recorded
    max_ep_length: int | None = None  # environment steps after which an episode is truncated; as trained when not given
    action_repeat: int | None = None  # environment steps that each action is taken for; as trained when not given
    random_seed: int = 999_999  # episode i starts with reset(seed=random_seed + i)
    run: str = ""  # name of the run
    ckpt_file: str | None = None  # a path, or a name in the run's folder; the newest when not given
    render: bool | None = None  # show the episodes in a window; when not given, where there is a screen
    record: bool = True  # write a file to record_dir
    overlay: bool = True  # draw below each frame what the critic expects, the reward so far and the action
    compare: tuple[int, int] | None = None  # learner steps of two checkpoints, filmed side by side from the same start
    grow: bool = False  # one film from checkpoints of increasing age instead of one checkpoint
    format: str = "gif"  # of the file: gif (320 pixels wide, 10 seconds, 1 MB at most) or mp4 (whole episode, full size)
    ckpt_dir: str = str(HERE / "ckpts")  # root of the checkpoints
    record_dir: str = str(HERE / "video")  # root of the recordings
    debug: bool = False  # show tracebacks

    def problems(self) -> Iterator[tuple[set[str], str]]:
        """Rules across fields that are broken, as TrainParams has them."""
        if self.compare is not None and self.grow:
            yield {"compare", "grow"}, "compare and grow exclude each other: side by side, or one after the other"
        if (self.compare is not None or self.grow) and (self.render or not self.record):
            fields = {"compare", "grow", "record", "render"}
            yield fields, "compare and grow make a film: they go with neither --no-record nor --render"


@dataclass(frozen=True)
class PlotParams:
    """What all drawings share."""

    env: str = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    show: bool = False  # open what was written in the desktop's own viewer
    ckpt_dir: str = str(HERE / "ckpts")  # root of the checkpoints
    log_dir: str = str(HERE / "logs")  # root of the training's logs
    results_dir: str = str(HERE / "test_results")  # root of the scores
    plot_dir: str = str(HERE / "plots")  # root of the drawings
    debug: bool = False  # show tracebacks


@dataclass(frozen=True)
class CurvesParams(PlotParams):
    """Drawing test scores over the training of one run or of several."""

    runs: tuple[str, ...] = ("",)  # names of the runs; the one without a name when not given
    mean: bool = False  # one curve, the mean of the runs with its 95 % interval, instead of a curve for each
    x: str = "learner_step"  # what a score is drawn against: learner_step, env_step or minutes
    starts: str | None = None  # name of the file of start states that the scores came from; seeds when not given
    original: bool = True  # draw the original's published curve behind it, where there is one
    solved: float | None = None  # score that counts as solved; the environment's own when not given


@dataclass(frozen=True)
class RunPlotParams(PlotParams):
    """What the drawings of one run share."""

    run: str = ""  # name of the run
    ckpt_file: str | None = None  # a path, or a name in the run's folder; the newest, or all, when not given
    max_ep_length: int | None = None  # environment steps after which an episode is truncated; as trained when not given
    action_repeat: int | None = None  # environment steps that each action is taken for; as trained when not given
    random_seed: int = 999_999  # episodes that are played for a drawing start with this seed and the next


@dataclass(frozen=True)
class MapsParams(RunPlotParams):
    """Drawing what actor and critic of one checkpoint say over two state dimensions."""

    x_dim: int | None = None  # dimension of the observation along x; Pendulum's angle and speed, else 0 and 1, when not given
    y_dim: int | None = None  # the same along y
    state: tuple[float, ...] | None = None  # observation that holds the others; the first of an episode when not given
    action_dim: int = 0  # dimension of the action that is shown
    resolution: int = 81  # points along each axis


@dataclass(frozen=True)
class AnimationParams(MapsParams):
    """Drawing these maps over a run's checkpoints, with the scores and an episode of each."""

    resolution: int = 41  # points along each axis
    num_ckpts: int = 20  # checkpoints that are shown at most, evenly spread over the run
    format: str = "gif"  # of the file: gif or mp4


@dataclass(frozen=True)
class SupportParams(RunPlotParams):
    """Drawing where the return distributions lie between v_min and v_max, over a run's checkpoints."""

    num_eps_play: int = 5  # episodes whose states the critic is asked about


@dataclass(frozen=True)
class ReportParams(RunPlotParams):
    """Writing one page about a run."""


AnyParams = (
    TrainParams
    | TestParams
    | WatchParams
    | PlayParams
    | CurvesParams
    | MapsParams
    | AnimationParams
    | SupportParams
    | ReportParams
)

LARGE = 1e30  # float32 holds it and its inverse

# name: (least, greatest, whether the least itself is allowed)
LIMITS: dict[str, tuple[float, float, bool]] = {
    "random_seed": (0, 2**63 - 1, True),
    "num_agents": (1, 1024, True),
    "envs_per_agent": (1, 1024, True),
    "max_ep_length": (1, 10**9, True),
    "action_repeat": (1, 1000, True),
    "noise_scale": (0, 10, True),
    "noise_decay": (0, 1, False),
    "obs_clip": (0, math.inf, False),
    "reward_scale": (1 / LARGE, math.inf, True),
    "replay_mem_size": (1, 10**10, True),
    "learning_starts": (1, 10**10, True),
    "priority_alpha": (0, 1, True),
    "priority_beta_start": (0, 1, True),
    "priority_beta_end": (0, 1, True),
    "priority_epsilon": (0, 1, False),
    "samples_per_insert": (0, 10**6, True),
    "num_steps_train": (1, 10**12, True),
    "batch_size": (1, 2**20, True),
    "updates_per_call": (1, 1024, True),
    "discount_rate": (0, 1, True),
    "n_step_returns": (1, 10**4, True),
    "critic_learning_rate": (0, 1, False),
    "actor_learning_rate": (0, 1, False),
    "critic_l2_lambda": (0, 10, True),
    "saturation_penalty": (0, 10, True),
    "tau": (0, 1, False),
    "target_update_period": (0, 10**9, True),
    "dense1_size": (1, 2**16, True),
    "dense2_size": (1, 2**16, True),
    "final_layer_init": (0, 10, False),
    "num_atoms": (2, 2**12, True),
    "v_min": (-math.inf, math.inf, False),
    "v_max": (-math.inf, math.inf, False),
    "save_ckpt_step": (1, 10**12, True),
    "max_ckpts": (1, 10**6, True),
    "save_replay_every": (1, 10**6, True),
    "env_timeout": (0, 10**6, False),
    "env_restarts": (0, 10**6, True),
    "max_minutes": (0, 5 * 10**6, False),  # ten years; no clock that waits can count much further
    "num_eps_test": (1, 10**6, True),
    "num_eps_play": (1, 10**6, True),
    "x_dim": (0, 10**6, True),
    "y_dim": (0, 10**6, True),
    "action_dim": (0, 10**6, True),
    "resolution": (2, 1000, True),
    "num_ckpts": (1, 1000, True),
    "test_timeout": (0, 3 * 10**8, False),
}


@dataclass(frozen=True)
class Resolved:
    """Parameters, where each came from ("flag", "ENVS" or "default"), and sentences a person should see."""

    values: Any
    sources: dict[str, str]
    notes: list[str]

    def differing(self) -> dict[str, str]:
        """Each parameter that is not the class default, as "value (source)"."""
        defaults = type(self.values)()
        return {
            field.name: f"{getattr(self.values, field.name)} ({self.sources[field.name]})"
            for field in dataclasses.fields(self.values)
            if getattr(self.values, field.name) != getattr(defaults, field.name)
        }


def resolve(cls: type[AnyParams], wrong_with: Callable[[str], str | None] = lambda env: None, /, **given: Any) -> Resolved:
    """The parameters that hold when `given` was given: flag, then ENVS, then default. Raises ValueError with *all* problems.

    `wrong_with(env)` is asked, once there is a problem, for one that the environment itself has: who has misspelt an id
    shall not be told what to give for it.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    notes, problems = [], [_unknown(name, fields) for name in given if name not in fields]
    env = fields["env"].default if given.get("env") is None else given["env"]
    if isinstance(env, str) and env in RENAMED:
        env, change = RENAMED[old := env]
        notes.append(f"{old} is {env} today: {change}.")
        given = given | {"env": env}
    entry = ENVS.get(env, {}) if isinstance(env, str) else {}
    if cls is not TrainParams:
        entry = {name: value for name, value in entry.items() if name not in _OF_TRAINING_ALONE}
    train_fields = {field.name: field for field in dataclasses.fields(TrainParams)}
    problems += [f"ENVS[{env!r}]: {_unknown(name, train_fields)}" for name in entry if name not in train_fields]

    values, sources = {}, {}
    for name, field in fields.items():
        if given.get(name) is not None:
            values[name], sources[name] = given[name], "flag"
        elif entry.get(name) is not None:
            values[name], sources[name] = entry[name], "ENVS"
        else:
            values[name], sources[name] = field.default, "default"
    hints = typing.get_type_hints(cls)
    bad = {name: found for name, value in values.items() if (found := list(_value_problems(name, value, hints[name])))}
    resolved = cls(**values)
    rules = _rules(resolved, set(bad)) if isinstance(resolved, TrainParams | PlayParams) else []
    if (problems or bad or rules) and "env" not in bad and (trouble := wrong_with(resolved.env)):
        bad["env"] = [trouble]
        rules = _rules(resolved, set(bad)) if isinstance(resolved, TrainParams | PlayParams) else []
    problems += [problem for name in values for problem in bad.get(name, [])] + rules
    if problems:
        raise ValueError("; ".join(problems))
    return Resolved(resolved, sources, notes)


class HasEnv(typing.Protocol):
    """Parameters of any script: each has an environment."""

    @property
    def env(self) -> str: ...  # noqa: D102


def folder_name(env: str) -> str:
    """The environment's id as the name of a folder."""
    return env.replace("/", "_").replace(":", "_")


def run_folder(root: str, params: HasEnv) -> Path:
    """Where this environment's run lives below `root`: <root>/<env>[/<run>]."""
    return Path(root) / folder_name(params.env) / getattr(params, "run", "")


def _unknown(name: str, fields: dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    return f"there is no parameter {name}" + (f", did you mean {near[0]}?" if near else "")


def _rules(params: TrainParams | PlayParams, bad: set[str]) -> list[str]:
    # A rule compares values, so it speaks only where each of them is sound by itself: the others' defaults stand in.
    defaults: dict[str, Any] = {name: type(params).__dataclass_fields__[name].default for name in bad}
    sound = dataclasses.replace(params, **defaults)
    return [sentence for names, sentence in sound.problems() if not names & bad]


def _value_problems(name: str, value: Any, hint: Any) -> Iterator[str]:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None:
        if type(None) not in kinds:
            yield f"{name} must be given"
        return
    kind = next(kind for kind in kinds if kind is not type(None))
    if typing.get_origin(kind) is tuple:
        yield from _items_problems(name, value, typing.get_args(kind))
    elif kind is float and not _is_number(value) or kind is not float and type(value) is not kind:
        yield f"{name} must be {_WORDS[kind]}, got {value!r}"
    elif kind is float and not _is_finite(value):
        yield f"{name} must be a finite number, got {value}"
    elif kind in (int, float):
        yield from _outside(name, value)
    elif kind is str:
        yield from _text_problems(name, value)


def _items_problems(name: str, values: Any, kinds: tuple[Any, ...]) -> Iterator[str]:
    if kinds[0] is str:
        if not isinstance(values, tuple | list) or not values or not all(type(item) is str for item in values):
            yield f"{name} must be names, got {values!r}"
        else:
            yield from (problem.replace("run", name, 1) for item in values for problem in _text_problems("run", item))
    elif kinds[0] is int:
        if not isinstance(values, tuple | list) or len(values) != len(kinds) or not all(type(item) is int for item in values):
            yield f"{name} must be {len(kinds)} whole numbers, got {values!r}"
        elif min(values) < 0:
            yield f"{name} must be at least 0, got {values}"
    elif not isinstance(values, tuple | list) or not all(_is_finite(item) for item in values):
        yield f"{name} must be finite numbers, got {values!r}"
    elif not values:
        yield f"{name} needs a number for each dimension of the observation, got none"
    else:
        if name == "obs_scale" and not min(values) >= 1 / LARGE:
            yield f"obs_scale must be positive, got {values}"
        if not max(map(abs, values)) <= LARGE:
            yield f"{name} must be at most {LARGE}, got {values}"


def _outside(name: str, value: float) -> Iterator[str]:
    least, greatest, inclusive = LIMITS.get(name, (-math.inf, math.inf, False))
    if not (least <= value if inclusive else least < value):
        yield f"{name} must be {'at least' if inclusive else 'greater than'} {least}, got {value}"
    elif not value <= min(greatest, LARGE):
        yield f"{name} must be at most {min(greatest, LARGE)}, got {value}"
    elif name == "samples_per_insert" and 0 < value < 1e-3:
        yield f"samples_per_insert must be 0 or at least 0.001, got {value}: the learner would wait for ever"
    elif not value >= -LARGE:
        yield f"{name} must be at least {-LARGE}, got {value}"


def _text_problems(name: str, value: str) -> Iterator[str]:
    if "\0" in value:
        yield f"{name} must not contain a null character"
    elif not value and name in (*FOLDERS, *_FILES):
        yield f"{name} must name a {'folder' if name in FOLDERS else 'file'}, got nothing"
    elif name == "env" and value in ("", ".", ".."):
        yield "env must name an environment"
    elif name == "format" and value not in FORMATS:
        yield f"format must be {' or '.join(FORMATS)}, got {value!r}"
    elif name == "x" and value not in AXES:
        yield f"x must be {', '.join(AXES[:-1])} or {AXES[-1]}, got {value!r}"
    elif name == "run" and (value != folder_name(value) or _is_taken(value)):
        yield f"run must be a plain folder name, got {value!r}"


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


# What an entry of ENVS says of these is about training; the scores have seeds and checkpoints of their own.
_OF_TRAINING_ALONE = ("random_seed", "ckpt_file", "run", "render", "action_repeat", "max_ep_length")


def _is_taken(run: str) -> bool:
    # Folders that mean something else beside a run's checkpoints and logs.
    return run.startswith((".", "before-")) or "\\" in run or ".ckpt-" in run or run in ("shipped", "tensorboard")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and abs(value) <= sys.float_info.max  # of a whole number beyond that there is no float
