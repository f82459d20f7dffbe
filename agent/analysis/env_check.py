"""Prints measurements of an environment under random actions, and how training treats them."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from gymnasium.spaces import Space

from agent.config import horizon
from agent.evaluation import standard_error
from agent.learning.support import WIDTH, AutomaticSupport, make_support, with_headroom
from agent.random_play import RandomPlay, Rollout, discounted_returns, dtypes, end_of, first_difference, lost_digits, measure
from agent.scaling import WARNED_MASS, Scaling
from params import TrainParams
from utils.console import Console
from utils.envs.environment import Environment
from utils.memory import check_replay
from utils.parameters import Resolved
from utils.replay.returns import Bounds, ReturnRange

SECONDS, PATIENCE = 7.0, 7.0  # of random actions, and more until a call counts as hanging
LARGE_INPUT = 10.0  # of a network
SAMPLE_SECONDS = 0.005 / 256  # of the learner, for each transition in a batch (README, "How long it takes")
CHANGE_REWARDS = ("train_wrapper", "reward_clip", "action_repeat")
LISTED = 8  # dimensions that are named, at most


def print_check(resolved: Resolved, console: Console, seconds: float = SECONDS, patience: float = PATIENCE) -> int:
    """Print the check, in at most `seconds` + `patience`. Nothing is trained and no file written.

    Raises EnvironmentFailure at the end if the environment failed or hangs, and what EnvSpec.make raises.
    """
    params = resolved.values
    found = measure(params, seconds, patience)
    if found.env is not None:
        check_replay(params.replay_mem_size, found.env.obs_size, found.env.action_size)
    rollouts = [rollout for rollout in found.rollouts if rollout.actions]
    lines = [*resolved.notes, *(spaces(found, params) if found.env else ())]
    if rollouts:
        lines += [*episodes(rollouts, found.own_limit, params), *observations(np.concatenate([one.obs for one in rollouts]))]
    if found.failure is None:
        lines += [*repeats(found), *speed(rollouts, params), *inputs(found, resolved), *support(rollouts, resolved)]
        lines += [*advice(rollouts, found.own_limit, params), f"{params.env} can be trained on."]
    else:
        waits = f"is silent for {params.env_timeout:g} seconds (--env-timeout)"
        lines.append(
            f"Training replaces an environment that fails or {waits}, at first {params.env_restarts} times for an agent."
        )
    console.say("\n".join(lines))
    if found.failure is not None:
        raise found.failure
    return 0


def spaces(found: RandomPlay, params: TrainParams) -> Iterator[str]:
    """The spaces and the time limit."""
    env, space, own = cast(Environment, found.env), found.observation_space, found.own_limit
    kinds = " and ".join(sorted(dtypes(space)))
    yield f"Observation space: {_short(space)}."
    yield f"Observations are {kinds}; the networks get them flattened to {_count(env.obs_size, 'float32 number')}."
    yield f"Action space: {_short(env.action_space)}."
    lows, highs = (sorted({f"{bound:g}" for bound in bounds}, key=float) for bounds in (env.action_low, env.action_high))
    bounds = f"from {' or '.join(lows[:LISTED])} to {' or '.join(highs[:LISTED])}"
    yield f"An action is {_count(env.action_size, 'number')} {bounds}, given to the environment as {env.action_space.dtype}."
    limit = "Its registration has no time limit" if own is None else f"Its time limit is {_count(own, 'environment step')}"
    yield f"{limit}; --max-ep-length is {params.max_ep_length:,}."


def episodes(rollouts: Sequence[Rollout], own_limit: int | None, params: TrainParams) -> Iterator[str]:
    """Lengths, ends, returns and rewards."""
    complete, steps = [rollout for rollout in rollouts if rollout.has_ended], sum(rollout.env_steps for rollout in rollouts)
    yield f"Random actions: {_count(steps, 'environment step')}, {_count(len(complete), 'complete episode')}."
    if complete:
        lengths, returns = [rollout.env_steps for rollout in complete], [rollout.episode_return for rollout in complete]
        yield f"Length of an episode: {_mean(lengths)} environment steps (mean +/- standard error), at most {max(lengths):,}."
        yield f"Return of an episode: {_mean(returns)}."
        ends = Counter(end_of(rollout, own_limit, params) for rollout in complete)
        yield f"Ends of episodes: {', '.join(f'{count} {end}' for end, count in ends.items())}."
    else:
        limit = min(params.max_ep_length, own_limit or params.max_ep_length)
        yield f"No episode has ended. It will be truncated after {limit:,} environment steps."
    if complete and "terminated" not in ends:
        yield "No episode terminated. If a goal ends your episodes, random actions have not reached it."
    rewards = [reward for rollout in rollouts for reward in rollout.rewards]
    changed = [name.replace("_", "-") for name in CHANGE_REWARDS if getattr(params, name) != getattr(TrainParams, name)]
    yield f"Rewards: {min(rewards):.4g} to {max(rewards):.4g}{''.join(f', with --{name}' for name in changed)}."


def observations(obs: np.ndarray) -> Iterator[str]:
    """The range of observations [n, S], and dimensions that are constant or lose digits in float32."""
    yield f"Observations: {obs.min():.4g} to {obs.max():.4g}."
    constant, large = lost_digits(obs)
    if constant.any():
        yield f"Constant dimensions of the observation: {_listed(constant)}."
    if large.any():
        greatest = np.abs(obs[:, large]).max()
        yield f"Dimensions that may lose digits in float32: {_listed(large)}. Subtract an offset or scale them in a --wrapper."
        yield f"They reach {greatest:.4g}, where two float32 numbers are {np.spacing(greatest):.2g} apart."


def repeats(found: RandomPlay) -> Iterator[str]:
    """Whether a seed repeats an episode, and whether another seed changes its start."""
    first, again = found.rollouts[0], found.repeated
    if again.actions:
        differs = first_difference(first, again)
        same = f"the same seed and {_count(len(again.actions), 'action')}"
        where = f"differ from {f'action {differs}' if differs else 'the reset'} on, so test scores will differ too"
        yield f"Deterministic: {same} gave the same steps." if differs is None else f"Not deterministic: {same} {where}."
    if len(found.rollouts) > 1:
        differ = any(not np.array_equal(first.obs[0], other.obs[0]) for other in found.rollouts[1:])
        yield f"Different seeds give {'different starts' if differ else 'the same start'}."


def speed(rollouts: Sequence[Rollout], params: TrainParams) -> Iterator[str]:
    """The speed of the environment, compared with the learner's."""
    steps, actions = sum(rollout.env_steps for rollout in rollouts), sum(len(rollout.actions) for rollout in rollouts)
    resets, stepping = (sum(getattr(rollout, name) for rollout in rollouts) for name in ("reset_seconds", "step_seconds"))
    rate, ratio = steps / (resets + stepping), params.samples_per_insert
    step, reset = 1000 * stepping / steps, 1000 * resets / len(rollouts)
    yield f"A step takes {step:.3g} ms, a reset {reset:.3g} ms: {_number(rate)} environment steps a second in one thread."
    if not ratio:  # neither waits for the other
        return
    needed = steps / actions / (SAMPLE_SECONDS * ratio)
    slow = f"the environment is the bottleneck, and --samples-per-insert {ratio * needed / rate:.0f} would balance the two"
    verdict = "the environment is fast enough" if rate >= needed else slow
    yield f"The learner uses about {_number(needed)} a second on two cores (--samples-per-insert {ratio:g}); {verdict}."


def inputs(found: RandomPlay, resolved: Resolved) -> Iterator[str]:
    """How training treats the observations."""
    if resolved.values.has_running_observations:
        yield "Observations will be scaled by their running mean and standard deviation, and clipped."
        return
    scaled = cast(Scaling, found.scaling).normalise(np.concatenate([rollout.obs for rollout in found.rollouts]))
    names = [name for name in ("obs_mean", "obs_scale") if getattr(resolved.values, name) is not None]
    how = f"be scaled by {' and '.join(f'{name} ({resolved.sources[name]})' for name in names)}" if names else "not be scaled"
    yield f"Observations will {how}: the networks get {scaled.min():.4g} to {scaled.max():.4g}."
    if np.abs(scaled).max() > LARGE_INPUT:
        yield f"These inputs are large. Try {'a larger --obs-scale' if names else '--normalise-observations'}."


def support(rollouts: Sequence[Rollout], resolved: Resolved) -> Iterator[str]:
    """How training treats the rewards, and whether a given support fits them."""
    params, chosen = resolved.values, make_support(resolved.values)
    pairs = [(discounted_returns(rollout, params), rollout.rewards) for rollout in rollouts]
    ranges = [ReturnRange(min(returns), max(returns), min(rewards), max(rewards)) for returns, rewards in pairs]
    chosen.observed.add(ranges)
    chosen.begin()
    seen, bounds = Bounds(min(one.low for one in ranges), max(one.high for one in ranges)), chosen.bounds
    yield f"Discounted returns (--discount-rate {params.discount_rate:g}): {seen}."
    if isinstance(chosen, AutomaticSupport):
        yield f"The critic's support will be automatic. From these returns alone it would begin as {bounds}."
        yield f"Rewards would be divided by {bounds.width / WIDTH:.4g}."
        return
    ends = " and ".join(f"{name} {getattr(params, name):g} ({resolved.sources[name]})" for name in ("v_min", "v_max"))
    yield f"The critic's support is given: {ends}, times reward_scale {params.reward_scale:g} is {bounds}."
    outside = np.mean([not bounds.low <= value <= bounds.high for returns, _ in pairs for value in returns])
    yield f"{outside:.1%} of these returns lie outside the support."
    if outside > WARNED_MASS:
        wide = with_headroom(seen, chosen.observed.limits(horizon(params)))
        low, high = (f"{bound / params.reward_scale:.3g}" for bound in (min(wide.low, bounds.low), max(wide.high, bounds.high)))
        yield f"If those of a trained policy do too, try --automatic-support, or --v-min {low} --v-max {high}."
    elif seen.width < bounds.width / (params.num_atoms - 1):
        yield "They span less than the distance of two atoms. Try --automatic-support."


def advice(rollouts: Sequence[Rollout], own_limit: int | None, params: TrainParams) -> Iterator[str]:
    """Advice on rewards that are all 0 and on episodes without an end."""
    if not any(any(rollout.rewards) for rollout in rollouts):
        yield "All rewards were 0. Try more exploration: --noise-scale 1 --noise-decay-per none, or --action-repeat 4."
    ends = {end_of(rollout, own_limit, params) for rollout in rollouts if rollout.has_ended}
    if ends <= {"truncated by --max-ep-length"} and own_limit is None and max(one.env_steps for one in rollouts) > 1000:
        yield "Episodes do not end by themselves. Try --max-ep-length 1000."


def _short(space: Space) -> str:
    return textwrap.shorten(str(space), 160, placeholder=" ...")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(dimensions: np.ndarray) -> str:
    """The indices of the true ones of `dimensions` [S]."""
    (indices,) = np.nonzero(dimensions)
    more = f" and {len(indices) - LISTED} more" if len(indices) > LISTED else ""
    return f"{', '.join(map(str, indices[:LISTED]))}{more} (of 0 to {len(dimensions) - 1})"


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.5g}" + (f" +/- {standard_error(np.array(values)):.3g}" if len(values) > 1 else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
