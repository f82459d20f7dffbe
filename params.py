"""Every number you might change. Imports the types of its values alone; scripts and agent/ may import it.

Change ENV to train something else. Each field below is also a --flag of the script that its class belongs to.
Order of values: flag, then on --resume what the run recorded, then the environment's entry in ENVS, then the algorithm's in
ALGORITHMS, then the default here. None means "not given". A field's type carries its bounds and its kinds, the comment
behind it is its help, and a comment line of its own begins a group of the help. utils/parameters.py checks all of that.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from annotated_types import Ge, Gt, Le, MinLen, Predicate, doc

# fmt: off
from utils.bounds import (
    ActorValue, Count, DecayPer, Divisor, EpisodeLength, Format, LARGE, LearnerStep, Noise, Number, Priority, Rate, Repeats,
    Runner, ScalarLoss, ScalePer, Schedule, Share, Steps, ValueHead, Weight,
)

ENV = "Pendulum-v1"

_RATES = dict(critic_learning_rate=1e-4, actor_learning_rate=1e-4, tau=0.001, learning_starts=1_000, saturation_penalty=0.0)
# Noise, ratio and scales of the original and of the first version. A run whose record lacks one of them keeps it too.
FIRST_VERSION = dict(
    noise="gaussian", noise_scale=0.3, noise_scale_per="same", samples_per_insert=32.0, normalise_observations=False,
)

# Sets of parameters by the name that --algorithm gives. samples_per_insert is 32 in the original's; 0 is its free run.
ALGORITHMS: dict[str, dict[str, Any]] = {
    "d4pg": {},
    "original": dict(  # msinto93/D4PG, 2018
        **_RATES, **FIRST_VERSION, noise_decay=0.9999, noise_decay_per="episode", learning_rate_schedule="constant",
        priority="cross_entropy",
    ),
    # Lillicrap et al., 2016, and Fujimoto et al., 2018.
    "ddpg": dict(value_head="scalar", n_step_returns=1, priority_alpha=0.0),
    "td3": dict(value_head="scalar", num_critics=2, policy_delay=2, target_noise=0.2, n_step_returns=1, priority_alpha=0.0),
}

# Values for an environment: any field of TrainParams. Those under the name of an algorithm are used with that one only.
# Scales are divisors; v_min and v_max bound the discounted return in *scaled* rewards. The scales and supports are those of
# msinto93/D4PG.
ENVS: dict[str, dict[str, Any]] = {
    "Pendulum-v1": dict(
        **FIRST_VERSION, obs_scale=(1.0, 1.0, 8.0), reward_scale=100.0, v_min=-20.0, v_max=0.0, num_steps_train=50_000,
        save_ckpt_step=5_000,
        # Five-step returns contain more of the exploration noise, and swing-ups stay slower (docs/results.md).
        d4pg=dict(
            v_min=-10.0, num_atoms=101, n_step_returns=2, noise_decay=0.999, learning_rate_schedule="linear",
            saturation_penalty=1e-4, num_steps_train=100_000,
        ),
    ),
    "LunarLanderContinuous-v3": dict(
        **FIRST_VERSION, reward_scale=10.0, v_min=-20.0, v_max=20.0, num_steps_train=320_000,
        # With noise 0.3 and constant rates scores go up and down below 260 (docs/results.md).
        d4pg=dict(critic_learning_rate=1e-3, learning_rate_schedule="linear", noise_scale=0.1, num_steps_train=120_000),
    ),
    "BipedalWalker-v3": dict(
        **FIRST_VERSION, reward_scale=10.0, v_min=-40.0, v_max=40.0, num_steps_train=1_000_000,
        # A fall costs 100: unclipped, some policies learn to stand still. Without layer normalisation or with noise 0.3 gaits
        # stay slow, and so they do with prioritised replay; single critics lead to falls (docs/results.md).
        d4pg=dict(
            critic_learning_rate=1e-3, learning_rate_schedule="linear", num_critics=2, layer_norm=True,
            reward_clip=(-10.0, 10.0), noise_scale=0.1, priority_alpha=0.0, num_steps_train=100_000,
        ),
    ),
    "HalfCheetah-v5": dict.fromkeys(  # needs MuJoCo; the support follows the rewards
        ("d4pg", "td3"), dict(noise="gaussian", noise_scale=0.1, learning_rate_schedule="linear", num_steps_train=500_000)
    ),
    "BipedalWalkerHardcore-v3": dict(
        **FIRST_VERSION, reward_scale=10.0, v_min=-40.0, v_max=40.0, num_steps_train=8_000_000, d4pg=_RATES,
    ),
}
# fmt: on

# Kinds of fields. What has none is recorded with the run and may change when the run is resumed.
ARCHITECTURE = "architecture"  # gives the saved networks their shapes and units: a checkpoint fits one value only
RUN = "run"  # says what one call does, and is not recorded
FOLDER = "folder"  # a root, to which the environment's own folder is appended; not recorded
FILE = "file"  # not recorded
SEED = "seed"  # an entry in ENVS is for training alone, like one of the kinds RUN and FILE: scores have seeds of their own

HERE = Path(__file__).resolve().parent
SHIPPED = "shipped"  # folder, and name as a run, of the policies that come with the toolkit

EnvId = Annotated[str, Predicate(lambda env: env not in ("", ".", "..")), doc("the id of an environment")]
# Some names have another meaning beside a run's checkpoints and logs.
RUN_NAME = re.compile(r"(?s)(?!\.|before-|(shipped|tensorboard)$)(?!.*\.ckpt-)[^/:\\]*")
RunName = Annotated[str, Predicate(RUN_NAME.fullmatch), doc("a plain folder name"), RUN]
Folder = Annotated[str, MinLen(1), FOLDER]
File = Annotated[str, MinLen(1), FILE]
Algorithm = Annotated[str, Predicate(ALGORITHMS.__contains__), doc("one of " + ", ".join(ALGORITHMS))]
Units = Annotated[int, Ge(1), Le(2**16), ARCHITECTURE]
HiddenSizes = Annotated[tuple[Annotated[int, Ge(1), Le(2**16)], ...], MinLen(1), ARCHITECTURE]
Seed = Annotated[int, Ge(0), Le(2**63 - 1), SEED]


@dataclass(frozen=True)
class TrainParams:
    """Training one policy."""

    # Essentials
    env: Annotated[EnvId, ARCHITECTURE] = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    train_wrapper: str = ""  # the same in training alone: scores and logged returns stay those of the environment
    reward_clip: tuple[Number, Number] | None = None  # in training alone: the lowest and the highest reward of a step
    algorithm: Algorithm = "d4pg"  # set of defaults in ALGORITHMS: d4pg, original (the settings of 2018), ddpg or td3
    num_steps_train: Steps = 100_000  # learner steps (updates) in all
    run: RunName = ""  # name of the run, a folder of its own below the environment's
    resume: Annotated[bool, RUN] = False  # continue the run that the folder holds, with its recorded parameters
    fresh: Annotated[bool, RUN] = False  # move the run that the folder holds aside and start a new one
    random_seed: Seed = 99999999  # every random number of the run comes from this one
    reward_scale: Annotated[Divisor, ARCHITECTURE] = 1.0  # divides rewards
    v_min: Annotated[Number, ARCHITECTURE] | None = None  # lowest discounted return the critic can express, in scaled rewards
    v_max: Annotated[Number, ARCHITECTURE] | None = None  # the highest
    automatic_support: Annotated[bool, ARCHITECTURE] = False  # choose support and reward scale, as without v_min and v_max
    seeds: Annotated[tuple[Seed, ...], MinLen(1), RUN] | None = None  # train once for each seed, each in its own folder
    summary: Annotated[bool, RUN] = False  # print both networks and every parameter with its source, and stop
    check_env: Annotated[bool, RUN] = False  # play random actions, print what training will do about the environment, and stop

    # Learning
    batch_size: Annotated[int, Ge(1), Le(2**20)] = 256  # transitions in an update
    updates_per_call: Annotated[int, Ge(1), Le(1024)] = 8  # updates in one compiled call
    discount_rate: Share = 0.99  # for a single step: a transition over k steps carries discount_rate**k
    n_step_returns: Annotated[int, Ge(1), Le(10**4)] = 5  # rewards summed before bootstrapping
    critic_learning_rate: Rate = 5e-4  # Adam's, for the critic
    actor_learning_rate: Rate = 3e-4  # Adam's, for the actor
    learning_rate_schedule: Schedule = "constant"  # of both rates over num_steps_train: constant, or linear or cosine to 1 %
    max_gradient_norm: Annotated[float, Ge(0), Le(LARGE)] = 0.0  # gradients of a network are scaled down to this norm; 0: never
    critic_l2_lambda: Weight = 0.0  # weight of the critic's kernels' squares in its loss
    saturation_penalty: Weight = 1e-3  # weight, in the actor's loss, of the squared inputs of its tanh; 0 as in the paper
    policy_delay: Annotated[int, Ge(1), Le(10**6)] = 1  # critic updates for each update of actor and targets (TD3)
    target_noise: Weight = 0.0  # deviation of noise on the target actor's actions, which are in [-1, 1] (TD3)
    target_noise_clip: Annotated[float, Gt(0), Le(10)] = 0.5  # that noise is clipped to +- this
    tau: Rate = 0.005  # share of the networks that the targets take over at each learner step
    target_update_period: Annotated[int, Ge(0), Le(10**9)] = 0  # learner steps between hard copies to the targets; 0: by tau

    # Replay
    replay_mem_size: Annotated[int, Ge(1), Le(10**10)] = 1_000_000  # transitions kept
    learning_starts: Annotated[int, Ge(1), Le(10**10)] = 10_000  # transitions collected at random before learning
    samples_per_insert: Annotated[float, Ge(0), Le(10**6)] = 128.0  # times each transition is drawn on average; 0: unlimited
    priority: Priority = "cross_entropy"  # what decides how often one is drawn: the cross_entropy loss, or its kl part alone
    priority_alpha: Share = 0.6  # 0 samples uniformly, 1 in proportion to the priority
    priority_beta_start: Share = 0.4  # importance-sampling exponent at the first learner step
    priority_beta_end: Share = 1.0  # the same at the last
    priority_epsilon: Rate = 1e-5  # added to each loss, so that every transition can be drawn again

    # Networks
    hidden_sizes: HiddenSizes = (400, 300)  # units of each hidden layer
    critic_hidden_sizes: HiddenSizes | None = None  # the same for the critics, where they differ from the actor
    dense1_size: Units | None = None  # older name of the first of hidden_sizes, in whose place it stands
    dense2_size: Units | None = None  # the same for the second
    layer_norm: Annotated[bool, ARCHITECTURE] = False  # layer normalisation before each hidden ReLU
    final_layer_init: Annotated[float, Gt(0), Le(10)] = 0.003  # last layers start within +- this
    use_batch_norm: Annotated[bool, ARCHITECTURE] = False  # batch normalisation on the input and before each hidden ReLU
    value_head: Annotated[ValueHead, ARCHITECTURE] = "categorical"  # what a critic predicts: categorical returns, or a scalar
    scalar_loss: ScalarLoss = "squared"  # loss of a scalar critic: squared or huber, the TD error in scaled rewards
    num_critics: Annotated[int, Ge(1), Le(2), ARCHITECTURE] = 1  # with 2, the target is that of the lower mean (TD3)
    actor_value: ActorValue = "first"  # what the actor maximises: the value of the first critic, the lower, or the mean
    num_atoms: Annotated[int, Ge(2), Le(2**12), ARCHITECTURE] = 51  # atoms of the return distribution
    normalise_observations: Annotated[bool, ARCHITECTURE] = True  # by running mean and deviation, unless the next two are given
    obs_mean: Annotated[tuple[Number, ...], MinLen(1), ARCHITECTURE] | None = None  # subtracted from observations
    obs_scale: Annotated[tuple[Divisor, ...], MinLen(1), ARCHITECTURE] | None = None  # divides observations
    obs_clip: Annotated[float, Gt(0), Le(LARGE)] | None = None  # scaled observations are clipped to +- this

    # Exploration
    noise: Noise = "ou"  # gaussian, or ou: Ornstein-Uhlenbeck, correlated over time, reset at each episode
    noise_scale: Weight = 0.5  # standard deviation of the noise where actions are in [-1, 1]; of ou, of what one action adds
    noise_scale_per: ScalePer = "agent"  # same, or agent: from noise_scale_min up over the agents, or episode: drawn between
    noise_scale_min: Annotated[float, Gt(0), Le(10)] = 0.05  # least scale of agents or episodes; at most noise_scale
    noise_decay: Rate = 0.9999  # factor on the noise for each unit of noise_decay_per
    noise_decay_per: DecayPer = "episode"  # episode or (environment) step of the agent, or none
    ou_theta: Annotated[float, Gt(0), Le(1)] = 0.15  # share of its state that ou loses at each action; it comes to 1.9 * scale

    # Agents
    num_agents: Annotated[int, Ge(1), Le(1024)] = 4  # agents that act at once
    runner: Annotated[Runner, RUN] = "threads"  # where they act: threads, processes, or ray (this machine or a cluster)
    ray_address: Annotated[str, RUN] = ""  # of a Ray cluster, auto or host:port; default: Ray on this machine, for this call
    ray_cpus_per_agent: Annotated[float, Gt(0), Le(1024), RUN] = 1.0  # cores that Ray reserves for an agent; 0.5: two on one
    envs_per_agent: Annotated[int, Ge(1), Le(1024)] = 1  # environments that one agent steps with one batched policy call
    max_ep_length: EpisodeLength = 10_000  # environment steps after which an episode is truncated
    action_bound: Annotated[float, Gt(0), Le(LARGE), ARCHITECTURE] | None = None  # actions without bounds get -this, this
    action_repeat: Annotated[Repeats, ARCHITECTURE] = 1  # environment steps for each action; discount_rate then counts actions
    env_timeout: Annotated[float, Gt(0), Le(10**6)] = 60.0  # seconds until a silent environment is replaced
    env_restarts: Annotated[int, Ge(0), Le(10**6)] = 10  # failures allowed per agent; 1 000 good steps restore one
    synchronous: bool = False  # agents and learner in turn, in one thread: slower, but the same bit for bit from a seed

    # Run
    max_minutes: Annotated[float, Gt(0), Le(5 * 10**6), RUN] | None = None  # stop this call after so long
    eval_every: Annotated[int, Ge(0), Le(10**12), RUN] = 0  # learner steps between tests beside the training; 0: none
    stop_at_score: Annotated[Number, RUN] | None = None  # stop when a checkpoint scores this over 20 noise-free episodes
    render: Annotated[bool, RUN] = False  # show each new checkpoint in a window while training (by play.py)
    debug: Annotated[bool, RUN] = False  # show tracebacks

    # Checkpoints
    ckpt_file: File | None = None  # checkpoint to continue from: a path, or a name in the run's folder
    save_ckpt_step: Steps = 10_000  # learner steps between checkpoints
    max_ckpts: Count = 201  # checkpoints kept; the best by the watcher's score besides, and as many again that are untested
    save_replay: bool = True  # save the replay too, so that a resumed run continues with it
    save_replay_every: Count = 5  # checkpoints between two snapshots of the replay; the first has one
    ckpt_dir: Folder = str(HERE / "ckpts")  # root of the checkpoints
    log_dir: Folder = str(HERE / "logs")  # root of the CSV and TensorBoard logs
    results_dir: Folder = str(HERE / "test_results")  # root of the scores

    @property
    def has_automatic_support(self) -> bool:
        """Whether the support and the reward scale follow the rewards (agent/learning/support.py)."""
        return self.automatic_support or self.v_min is None

    @property
    def actor_hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer of the actor."""
        first, *others = self.hidden_sizes
        return (self.dense1_size or first, *([self.dense2_size] if self.dense2_size else others[:1]), *others[1:])

    @property
    def critic_hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer of a critic."""
        return self.critic_hidden_sizes or self.actor_hidden

    @property
    def has_running_observations(self) -> bool:
        """Whether observations are scaled by their running mean and standard deviation (utils/replay/moments.py)."""
        return self.normalise_observations and self.obs_mean is None and self.obs_scale is None

    @property
    def support(self) -> tuple[float, float]:
        """v_min and v_max, where has_automatic_support is false."""
        return cast(tuple[float, float], (self.v_min, self.v_max))


@dataclass(frozen=True)
class PolicyParams:
    """The parameters that all scripts with a trained policy share."""

    env: EnvId = ENV  # Gymnasium id of the environment
    env_kwargs: str = ""  # JSON object of keyword arguments for its constructor
    wrapper: str = ""  # module:callable around it; several are separated by commas, the innermost first
    run: RunName = ""  # name of the run; default: the run without a name
    ckpt_dir: Folder = str(HERE / "ckpts")  # root of the checkpoints
    results_dir: Folder = str(HERE / "test_results")  # root of the scores
    debug: bool = False  # show tracebacks


@dataclass(frozen=True)
class EpisodeFields:
    """How the scripts that play episodes play them."""

    max_ep_length: EpisodeLength | None = None  # environment steps after which an episode is truncated; default: as trained
    action_repeat: Repeats | None = None  # environment steps that each action is taken for; default: as trained
    random_seed: Seed = 0  # episode i starts with reset(seed=random_seed + i)


@dataclass(frozen=True)
class CheckpointFields:
    """The checkpoint of the scripts that use a single one."""

    ckpt_file: File | None = None  # a path, a name in the run's folder, or "best" (by the watcher's score); default: the newest
    shipped: bool = False  # use the shipped policy instead of a run's; its outputs are those of a run named shipped


@dataclass(frozen=True)
class TestParams(CheckpointFields, EpisodeFields, PolicyParams):
    """Scoring one checkpoint."""

    num_eps_test: Count = 100  # episodes
    starts: File | None = None  # CSV file of Pendulum start states (columns theta0, thetadot0), instead of seeds
    versus: File | None = None  # CSV file of another policy's returns (columns seed, return), to be compared with in pairs


@dataclass(frozen=True)
class WatchParams(EpisodeFields, PolicyParams):
    """Scoring every checkpoint of a run as it appears."""

    num_eps_test: Count = 100  # episodes for each checkpoint
    random_seed: Seed = 1_000_000  # episode i starts with reset(seed=random_seed + i)
    exit_when_done: bool = False  # end when training has ended and its last checkpoint is tested
    report: bool = False  # write the run's report page (plot.py report) again after each test
    test_timeout: Annotated[float, Gt(0), Le(3 * 10**8)] = 3600.0  # seconds after which a test is ended and counted as failed
    log_dir: Folder = str(HERE / "logs")  # root of the training's logs, for the report and for eval/score in TensorBoard
    plot_dir: Folder = str(HERE / "plots")  # root of the report


@dataclass(frozen=True)
class PlayParams(CheckpointFields, EpisodeFields, PolicyParams):
    """Showing one checkpoint."""

    num_eps_play: Count = 5  # episodes; the first is recorded
    random_seed: Seed = 999_999  # episode i starts with reset(seed=random_seed + i); Pendulum: its own
    render: bool | None = None  # show the episodes in a window; when not given, where there is a screen
    record: bool = True  # write a file to record_dir
    overlay: bool = True  # draw below each frame what the critic expects, the reward so far and the action
    compare: tuple[LearnerStep, LearnerStep] | None = None  # learner steps of two checkpoints, filmed side by side
    grow: bool = False  # one film from checkpoints of increasing age instead of one checkpoint
    format: Format = "gif"  # of the file: gif (320 pixels wide, 10 seconds at most) or mp4 (whole episode, full size)
    gif_kilobytes: Annotated[int, Ge(50), Le(10**5)] = 1_000  # size limit of a GIF of one episode: fewer frames, then seconds
    record_dir: Folder = str(HERE / "video")  # root of the recordings
