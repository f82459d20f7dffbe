"""N-step transitions by hand and against the definition; rollouts of handmade environments."""

from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.replay.transitions import Episode, NStep, Step, Transition, TransitionBatch, rollout


def episode_of(rewards, end="terminated", first=0):
    """Steps from observation [first] to [first + len(rewards)]; `end` says how the last one ends, if it does."""
    last = len(rewards) - 1
    return [
        Step(
            np.array([first + t], np.float32),
            np.array([-(first + t)], np.float32),
            float(reward),
            np.array([first + t + 1], np.float32),
            end == "terminated" and t == last,
            end == "truncated" and t == last,
        )
        for t, reward in enumerate(rewards)
    ]


def plain(transitions):
    """(obs, action, reward, discount, next_obs) as plain numbers."""
    return [(float(obs[0]), float(act[0]), rew, disc, float(next_obs[0])) for obs, act, rew, disc, next_obs in transitions]


def fold_all(window, steps):
    return [transition for step in steps for transition in window.push(step)]


def test_a_transition_is_complete_after_n_steps():
    window = NStep(3, 0.5)
    first, second, third, fourth = episode_of([1, 2, 4, 8], end="not at all")
    assert window.push(first) == []
    assert window.push(second) == []
    assert plain(window.push(third)) == [(0, 0, 1 + 0.5 * 2 + 0.25 * 4, 0.125, 3)]
    assert plain(window.push(fourth)) == [(1, -1, 2 + 0.5 * 4 + 0.25 * 8, 0.125, 4)]


def test_a_terminated_episode_returns_its_tail_with_discount_zero():
    *_, last = steps = episode_of([1, 2, 4, 8], end="terminated")
    window = NStep(3, 0.5)
    fold_all(window, steps[:-1])
    assert plain(window.push(last)) == [
        (1, -1, 2 + 0.5 * 4 + 0.25 * 8, 0, 4),
        (2, -2, 4 + 0.5 * 8, 0, 4),
        (3, -3, 8, 0, 4),
    ]


def test_a_truncated_episode_bootstraps_from_its_real_last_observation():
    *_, last = steps = episode_of([1, 2, 4, 8], end="truncated")
    window = NStep(3, 0.5)
    fold_all(window, steps[:-1])
    assert plain(window.push(last)) == [
        (1, -1, 2 + 0.5 * 4 + 0.25 * 8, 0.125, 4),
        (2, -2, 4 + 0.5 * 8, 0.25, 4),
        (3, -3, 8, 0.5, 4),
    ]


def test_an_episode_that_is_terminated_and_truncated_at_once_counts_as_terminated():
    step = episode_of([5])[0]._replace(terminated=True, truncated=True)
    assert plain(NStep(3, 0.5).push(step)) == [(0, 0, 5, 0, 1)]


@pytest.mark.parametrize(("end", "discounts"), [("terminated", [0, 0]), ("truncated", [0.25, 0.5])])
def test_an_episode_shorter_than_n_is_all_tail(end, discounts):
    assert plain(fold_all(NStep(5, 0.5), episode_of([1, 2], end))) == [
        (0, 0, 1 + 0.5 * 2, discounts[0], 2),
        (1, -1, 2, discounts[1], 2),
    ]


def test_with_n_one_each_step_is_a_transition():
    assert plain(fold_all(NStep(1, 0.9), episode_of([1, 2]))) == [(0, 0, 1, 0.9, 1), (1, -1, 2, 0, 2)]


@pytest.mark.parametrize(("rate", "reward", "discount"), [(0.0, 1, 0), (1.0, 6, 1)])
def test_the_extreme_discount_rates_are_exact(rate, reward, discount):
    assert plain(fold_all(NStep(3, rate), episode_of([1, 2, 3], end="not at all"))) == [(0, 0, reward, discount, 3)]


def test_no_transition_crosses_an_episode():
    window = NStep(3, 0.5)
    fold_all(window, episode_of([1, 2]))
    assert plain(fold_all(window, episode_of([100, 200], "truncated", first=50))) == [
        (50, -50, 100 + 0.5 * 200, 0.25, 52),
        (51, -51, 200, 0.5, 52),
    ]


def test_truncate_ends_the_episode_as_truncated():
    window, like = NStep(3, 0.5), NStep(3, 0.5)
    fold_all(window, episode_of([1, 2, 4, 8], end="not at all"))
    whole = fold_all(like, episode_of([1, 2, 4, 8], end="truncated"))
    assert plain(window.truncate()) == plain(whole)[2:]
    assert window.truncate() == []
    assert plain(fold_all(window, episode_of([4, 8], first=9))) == [(9, -9, 4 + 0.5 * 8, 0, 11), (10, -10, 8, 0, 11)]


def naive_transitions(steps, n, rate):
    """The definition, one start at a time: k is n, or what is left of the episode."""
    ended = steps[-1].terminated or steps[-1].truncated
    for start in range(len(steps)):
        window = steps[start : start + n]
        if len(window) == n or ended:
            reward = sum(rate**j * step.reward for j, step in enumerate(window))
            discount = 0.0 if window[-1].terminated else rate ** len(window)
            yield window[0].obs[0], window[0].action[0], reward, discount, window[-1].next_obs[0]


rewards = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(rewards, st.sampled_from(["terminated", "truncated", "cut"])), max_size=5),
    st.integers(1, 6),
    st.floats(0.0, 1.0),
)
def test_nstep_agrees_with_the_definition(episodes, n, rate):
    window, found, expected = NStep(n, rate), [], []
    for i, (episode_rewards, end) in enumerate(episodes):
        steps = episode_of(episode_rewards, end, first=100 * i)
        transitions = fold_all(window, steps)
        if end == "cut":
            transitions += window.truncate()
            steps[-1] = steps[-1]._replace(truncated=True)
        assert len(transitions) == len(steps)  # one for each step, none lost
        found += plain(transitions)
        expected += naive_transitions(steps, n, rate)
    assert len(found) == len(expected)
    if found:
        np.testing.assert_allclose(np.array(found), np.array(expected, np.float64), rtol=1e-9, atol=1e-9)


def test_a_batch_is_stacked_float32():
    transition = Transition(np.array([1.0, 2.0]), np.array([3.0]), 4.0, 0.5, np.array([5.0, 6.0]))
    batch = TransitionBatch.stack([transition, transition, transition], [Episode(7.0, 8)], policy_version=9)
    assert len(batch) == 3
    shapes = {name: getattr(batch, name).shape for name in ("obs", "action", "reward", "discount", "next_obs")}
    assert shapes == {"obs": (3, 2), "action": (3, 1), "reward": (3,), "discount": (3,), "next_obs": (3, 2)}
    assert all(getattr(batch, name).dtype == np.float32 for name in shapes)
    assert batch.next_obs[2].tolist() == [5, 6]
    assert batch.episodes == [Episode(7.0, 8)]
    assert batch.policy_version == 9


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="not enough values"):
        TransitionBatch.stack([])


class Counter:
    """Observes (its name, the seed of the episode, the step); episode e ends after lengths[e] steps."""

    def __init__(self, name, lengths, truncates=False):
        self.name, self.lengths, self.truncates = name, iter(lengths), truncates
        self.actions = []

    def reset(self, *, seed=None):
        self.seed, self.t, self.length = seed, 0, next(self.lengths)
        return self.observe(), {}

    def step(self, action):
        self.actions.append(float(action[0]))
        self.t += 1
        ended = self.t == self.length
        return self.observe(), 10.0 * self.t, ended and not self.truncates, ended and self.truncates, {}

    def observe(self):
        return np.array([self.name, self.seed, self.t], np.float32)


def recorded_act(seen):
    """PolicyLike with 100 * (the number of the call) + the environment's name, and keeps what it was shown."""

    def act(obs):
        seen.append(obs.copy())
        return np.array([[100 * len(seen) + name] for name in obs[:, 0]], np.float32)

    return act


def test_rollout_steps_all_environments_with_one_act():
    envs, seen, seeds = [Counter(1, [9]), Counter(2, [9])], [], count(70)
    steps = list(islice(rollout(envs, recorded_act(seen), lambda: next(seeds)), 4))
    assert [i for i, _ in steps] == [0, 1, 0, 1]
    assert len(seen) == 2
    assert seen[0].tolist() == [[1, 70, 0], [2, 71, 0]]
    assert seen[1].tolist() == [[1, 70, 1], [2, 71, 1]]
    assert envs[0].actions == [101, 201]
    assert envs[1].actions == [102, 202]
    _, step = steps[3]
    assert step.obs.tolist() == [2, 71, 1]
    assert step.action.tolist() == [202]
    assert step.reward == 20.0
    assert step.next_obs.tolist() == [2, 71, 2]


@pytest.mark.parametrize("truncates", [False, True])
def test_rollout_resets_an_ended_episode_with_a_fresh_seed_and_keeps_its_last_observation(truncates):
    envs, seen, seeds = [Counter(1, [2, 5], truncates), Counter(2, [9])], [], count(70)
    steps = list(islice(rollout(envs, recorded_act(seen), lambda: next(seeds)), 6))
    (_, _), (_, _), (_, ended), (_, other), (_, first_of_next), (_, _) = steps
    assert ended.next_obs.tolist() == [1, 70, 2]  # the real last one, not that of the reset
    assert (ended.terminated, ended.truncated) == (not truncates, truncates)
    assert (other.terminated, other.truncated) == (False, False)
    assert first_of_next.obs.tolist() == [1, 72, 0]
    assert seen[2].tolist() == [[1, 72, 0], [2, 71, 2]]  # the neighbour goes on undisturbed


def test_rollout_survives_episodes_of_one_step():
    seeds = count()
    steps = islice(rollout([Counter(1, [1, 1, 1, 1])], recorded_act([]), lambda: next(seeds)), 3)
    assert [(step.obs.tolist(), step.next_obs.tolist(), step.terminated) for _, step in steps] == [
        ([1, seed, 0], [1, seed, 1], True) for seed in range(3)
    ]


def test_yielded_steps_do_not_change_later():
    # Every field of a step must be its own: the replay gets them some steps later.
    seeds = count()
    running = rollout([Counter(1, [3] * 9), Counter(2, [2] * 9)], recorded_act([]), lambda: next(seeds))
    kept, copies = [], []
    for _, step in islice(running, 24):
        kept.append(step)
        copies.append([np.copy(value) for value in step])
    for step, copy in zip(kept, copies, strict=True):
        for value, then in zip(step, copy, strict=True):
            np.testing.assert_array_equal(value, then)


def test_rollout_is_lazy():
    env, seeds = Counter(1, [9]), count()
    running = rollout([env], recorded_act([]), lambda: next(seeds))
    next(running)
    assert len(env.actions) == 1


def test_interleaved_environments_have_separate_transitions():
    seeds = count()
    windows, found = [NStep(2, 0.5), NStep(2, 0.5)], [[], []]
    running = rollout([Counter(1, [3] * 9), Counter(2, [2] * 9, True)], recorded_act([]), lambda: next(seeds))
    for i, step in islice(running, 12):
        found[i] += windows[i].push(step)
    assert {float(transition.obs[0]) for transition in found[0]} == {1}
    assert {float(transition.obs[0]) for transition in found[1]} == {2}
    for transition in found[0] + found[1]:
        assert transition.obs[1] == transition.next_obs[1]  # begun and ended in one episode
    assert [transition.discount for transition in found[0]] == [0.25, 0, 0, 0.25, 0, 0]
    assert [transition.discount for transition in found[1]] == [0.25, 0.5] * 3
