"""The scaling and the support that a learner uses, which may follow the data."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from agent.learning.averages import Statistics
from agent.learning.support import WIDTH, Move, make_support
from agent.learning.update import CompiledUpdate, UpdateResult
from agent.scaling import Scaling
from params import TrainParams
from utils.replay.moments import RunningMoments
from utils.replay.returns import Bounds
from utils.replay.transitions import TransitionBatch

CLIP = 10.0  # standard deviations to which running observations are clipped, where obs_clip is not given


class RunningScaling:
    """Gives the update its scaling and supports: fixed ones of the parameters, or ones that follow the data.

    The support follows the rewards where it is automatic, and the reward scale with it. Observations are scaled by their
    running mean and standard deviation with normalise_observations.
    """

    def __init__(self, params: TrainParams, scaling: Scaling, update: CompiledUpdate, say: Callable[[str], object]):
        """`say` gets a sentence for each move of the support."""
        self._params, self._update = params, update
        self.current = scaling
        self.support = make_support(params, say)
        self._moments = RunningMoments(len(scaling.obs_mean)) if params.has_running_observations else None
        self._rescale()

    def observe(self, batch: TransitionBatch) -> None:
        """Include a batch that enters the replay in the statistics. Any thread may call this."""
        self.support.observed.add(batch.returns)
        if self._moments is not None:
            self._moments.add(batch.obs)  # each step is the first of exactly one transition

    def prepare(self) -> None:
        """Bring scaling and support up to date for the next call of the update."""
        move = self.support.begin()
        if self._moments is not None:
            clip = CLIP if self._params.obs_clip is None else self._params.obs_clip
            mean, deviation = self._moments.mean, self._moments.deviation
            self.current = dataclasses.replace(self.current, obs_mean=mean, obs_scale=deviation, obs_clip=clip)
        if move is not None:
            self._move(move)
        elif self._moments is not None:
            self._rescale()

    def judge(self, result: UpdateResult) -> None:
        """Move the support, or let the target critics follow a move, where the result of a call asks for it.

        Raises ParameterError when nearly all of the target mass lies outside a given support.
        """
        if not result.finite:
            return
        means = {name: total / result.finite for name, total in result.sums.items()}
        below, above = means.get("target_mass_below", 0.0), means.get("target_mass_above", 0.0)  # a scalar critic has no mass
        statistics = Statistics(below, above, means["td_error"], result.target_mass / result.finite)
        move = self.support.judge(statistics, result.finite)
        if move is not None:
            self._move(move)

    def state(self) -> dict[str, Any]:
        """The state for `restore`, of JSON types."""
        if self._moments is None:
            return {"support": self.support.state()}
        used = {name: np.asarray(getattr(self.current, name)).tolist() for name in ("obs_mean", "obs_scale", "obs_clip")}
        return {"support": self.support.state(), "moments": self._moments.state(), "used": used}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises KeyError, TypeError or ValueError where it is none."""
        self.support.restore(state["support"])
        if self._moments is not None and "moments" in state:
            self._moments.restore(state["moments"])
            self.current = dataclasses.replace(self.current, **state["used"])
        self._rescale()

    def _move(self, move: Move) -> None:
        if move.first_mean is not None:
            self._update.set_first_mean(self._atoms(self.support.bounds), move.first_mean)
        if move.moved_from is not None:
            self._update.fit_critics(self._atoms(move.moved_from), self._atoms(self.support.bounds))
        if move.has_agreed:
            self._update.copy_critics()
        self._rescale()

    def _rescale(self) -> None:
        """Hand scaling and supports to the update. The reward scale follows an automatic support."""
        support, scale = self.support, self.current.reward_scale
        if self._params.has_automatic_support:
            scale = support.bounds.width / WIDTH
            self.current = dataclasses.replace(self.current, reward_scale=scale)
        online, target = self._atoms(support.bounds, scale), self._atoms(support.target_bounds, scale)
        self._update.rescale(self.current, online, None if support.bounds == support.target_bounds else target)

    def _atoms(self, bounds: Bounds, scale: float = 1.0) -> np.ndarray:
        """The atoms [K], divided by a reward scale."""
        return np.linspace(bounds.low / scale, bounds.high / scale, self._params.num_atoms, dtype=np.float32)
