"""Small learners for tests: parameters, a replay with given transitions, and a bandit problem. Loads TensorFlow.

Compiling an update takes some five seconds, so learners with the same program share one compiled update, one after the
other: each gets it with the initial values of its own parameters and seed, and the learner before it loses it.
"""

from typing import Any

import numpy as np
from factories import make_replay, make_scaling

from agent.learning.learner import Learner
from agent.learning.update import CompiledUpdate
from agent.scaling import Scaling
from params import TrainParams
from utils.replay.prioritised import PrioritisedReplay
from utils.replay.transitions import TransitionBatch

# Parameters that the program does not depend on: they set initial values or arguments of the compiled call.
NOT_COMPILED = {"actor_learning_rate", "critic_learning_rate", "final_layer_init", "support", "has_automatic_support"}
COMPILED = (
    "actor_hidden",
    "actor_value",
    "critic_hidden",
    "critic_l2_lambda",
    "layer_norm",
    "max_gradient_norm",
    "num_atoms",
    "num_critics",
    "policy_delay",
    "priority",
    "random_seed",
    "saturation_penalty",
    "scalar_loss",
    "target_noise",
    "target_noise_clip",
    "target_update_period",
    "tau",
    "updates_per_call",
    "use_batch_norm",
    "value_head",
)
_updates: dict[tuple[Any, ...], CompiledUpdate] = {}
_learners: dict[tuple[Any, ...], Learner] = {}  # the learner that has the update


def small(**changes: Any) -> TrainParams:
    """Parameters of a learner that compiles and learns within a second or two."""
    defaults = dict(
        v_min=-2.0,
        v_max=2.0,
        dense1_size=32,
        dense2_size=32,
        batch_size=64,
        updates_per_call=4,
        num_steps_train=4000,
        critic_learning_rate=3e-3,
        actor_learning_rate=3e-3,
        tau=0.05,
        normalise_observations=False,
    )
    return TrainParams(**defaults | changes)


def make(
    params: TrainParams,
    batch: TransitionBatch,
    obs_size: int = 1,
    action_size: int = 1,
    seed: int = 0,
    is_eager: bool = False,
) -> tuple[Learner, PrioritisedReplay]:
    """A new learner and its replay, which holds `batch`. An earlier learner with the same program has no `update` any more.

    An eager learner compiles nothing and shares nothing; it is the faster one for a few updates of a program of their own.
    """
    scaling = make_scaling(obs_size, action_size, params.reward_scale)
    replay = make_replay(5000, obs_size, action_size, params.priority_alpha, params.priority_epsilon, seed)
    replay.add(batch)
    learner = Learner(params, scaling, replay, np.random.default_rng(seed))
    if is_eager:
        make_eager(learner.update)
        return learner, replay
    key = _program(params, scaling)
    if earlier := _learners.pop(key, None):
        del earlier.update  # its use raises AttributeError
    _learners[key] = learner
    learner.update = learner.scaling._update = _shared(learner.update, key)
    return learner, replay


def make_eager(update: CompiledUpdate) -> CompiledUpdate:
    """Make an update run its operations one by one, without a compilation; returns it."""
    update._compiled = update._updates
    return update


def make_update(params: TrainParams, scaling: Scaling, seed: int = 0) -> CompiledUpdate:
    """A compiled update with new initial values."""
    return _shared(CompiledUpdate(params, scaling, np.random.default_rng(seed)), _program(params, scaling))


def _program(params: TrainParams, scaling: Scaling) -> tuple[Any, ...]:
    """What the compiled program depends on."""
    sizes = len(scaling.obs_mean), len(scaling.action_low)
    return *sizes, *(getattr(params, name) for name in COMPILED)


def _shared(new: CompiledUpdate, key: tuple[Any, ...]) -> CompiledUpdate:
    """The update that is compiled already, with all the values of the new one; the new one where there is none."""
    shared = _updates.setdefault(key, new)
    if shared is not new:
        shared.restore(new.arrays(), 0)
        shared.atoms, shared._scaling, shared._params = new.atoms, new._scaling, new._params
        shared.set_rate_factor(1.0)
    return shared


def batch_of(obs: Any, action: Any, reward: Any, discount: Any, next_obs: Any) -> TransitionBatch:
    """Transitions of these columns, as float32."""
    columns = (np.asarray(column, np.float32) for column in (obs, action, reward, discount, next_obs))
    return TransitionBatch(*columns)


def bandit(n: int = 1000) -> TransitionBatch:
    """One observation, one step; of all actions 0.3 pays best, namely 1."""
    action = np.random.default_rng(0).uniform(-1, 1, (n, 1))
    return batch_of(np.ones((n, 1)), action, 1.0 - 2.0 * (action[:, 0] - 0.3) ** 2, np.zeros(n), np.ones((n, 1)))
