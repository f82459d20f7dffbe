"""The rate limiter: exact bounds, no stall whatever the parameters, and waits that end."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reliability.fuzzed_params import bounds_of

from agent.config import resolve
from agent.training.workers.pool import BATCH_LENGTH
from params import TrainParams
from utils.errors import ParameterError
from utils.replay.rate_limiter import RateLimiter

NEVER = threading.Event()
LONG = 30.0  # seconds; only a failing test waits that long


def insert(limiter, count):
    assert limiter.may_insert(count, NEVER)
    limiter.inserted(count)


def waits(ask, count):
    """Whether `ask` has to wait: it gets a `stop` that is set a moment later."""
    stop = threading.Event()
    timer = threading.Timer(0.02, stop.set)
    timer.start()
    allowed = ask(count, stop)
    timer.cancel()
    return not allowed


# ---- bounds, by hand


def test_agents_wait_at_the_tolerance_ahead_of_the_learner():
    # max(0.1 * 32 * 1000, 2 * 8 * 256, 32 * 4 * 16) = max(3200, 4096, 2048): 4096 / 32 = 128 inserts ahead.
    limiter = RateLimiter.fitting(32.0, 1000, 8 * 256, 4 * 16)
    insert(limiter, 1128)
    assert waits(limiter.may_insert, 1)
    assert limiter.may_sample(2048, NEVER)  # stands for 64 inserts
    insert(limiter, 64)
    assert waits(limiter.may_insert, 1)
    assert (limiter.inserts, limiter.samples) == (1192, 2048)


def test_the_learner_waits_at_the_tolerance_ahead_of_the_agents():
    limiter = RateLimiter.fitting(32.0, 1000, 8 * 256, 4 * 16)
    insert(limiter, 1000)
    assert limiter.may_sample(2048, NEVER)
    assert limiter.may_sample(2048, NEVER)  # at 4096, the tolerance
    assert waits(limiter.may_sample, 1)
    insert(limiter, 64)
    assert limiter.may_sample(2048, NEVER)
    assert waits(limiter.may_sample, 1)
    assert (limiter.inserts, limiter.samples) == (1064, 6144)


@pytest.mark.parametrize(
    ("samples_per_insert", "learning_starts", "samples_per_call", "in_flight", "tolerance"),
    [
        (32.0, 1000, 2048, 64, 4096),  # two calls of the learner
        (32.0, 1000, 256, 64, 3200),  # a tenth of what learning_starts stands for
        (32.0, 1000, 256, 256, 8192),  # what the agents may have in flight
        (0.5, 10, 1, 16, 8),
    ],
)
def test_the_tolerance_is_the_greatest_of_three(samples_per_insert, learning_starts, samples_per_call, in_flight, tolerance):
    limiter = RateLimiter.fitting(samples_per_insert, learning_starts, samples_per_call, in_flight)
    insert(limiter, learning_starts)
    assert limiter.may_sample(tolerance, NEVER)
    assert waits(limiter.may_sample, 1)


def test_learning_starts_counts_inserted_transitions_only():
    limiter = RateLimiter.fitting(32.0, 100, 64, 16)
    insert(limiter, 84)
    assert limiter.may_insert(16, NEVER)
    assert waits(limiter.may_sample, 1)
    limiter.inserted(16)
    assert limiter.may_sample(64, NEVER)


def test_inserts_in_flight_count_against_the_other_agents():
    limiter = RateLimiter(4.0, 0, 64.0)
    assert limiter.may_insert(16, NEVER)  # 4 * 16 = the tolerance, though nothing has arrived
    assert limiter.inserts == 0
    assert waits(limiter.may_insert, 1)


def test_no_agent_waits_before_learning_starts():
    limiter = RateLimiter.fitting(1000.0, 500, 1, 4 * 16)
    for _ in range(32):  # 512, the first whole number of blocks past 500
        insert(limiter, 16)
    assert limiter.may_sample(1, NEVER)


def test_a_ratio_of_zero_never_waits_after_learning_starts():
    limiter = RateLimiter.fitting(0.0, 100, 2048, 64)
    assert waits(limiter.may_sample, 1)
    insert(limiter, 100)
    for _ in range(50):
        assert limiter.may_sample(2048, NEVER)
    insert(limiter, 10**9)
    assert limiter.may_sample(10**9, NEVER)


# ---- no stall

whole = {name: st.integers(*map(int, bounds_of(TrainParams, name)[:2])) for name in ("num_agents", "updates_per_call")}
magnitude = st.floats(0.0, 1.0)


def log_uniform(name, share):
    """Each order of magnitude of a parameter's range as likely as any other, both ends included."""
    least, greatest, _ = bounds_of(TrainParams, name)
    return min(int(greatest), max(int(least), round(greatest**share)))


def most(fits, limit):
    """The greatest count in [0, limit] that fits, where all lesser ones do too."""
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.floats(-6.0, 6.0).map(lambda power: 10.0**power)),
    magnitude,
    magnitude,
    whole["updates_per_call"],
    whole["num_agents"],
)
def test_no_valid_parameters_can_deadlock(samples_per_insert, starts_share, batch_share, updates_per_call, num_agents):
    # The two worst moments: the agents are as far ahead as they may be, and the learner is. The other must be able to go.
    # What fits is asked without waiting, so that thousands of waits take no time.
    learning_starts, batch_size = log_uniform("learning_starts", starts_share), log_uniform("batch_size", batch_share)
    call = updates_per_call * batch_size
    limiter = RateLimiter.fitting(samples_per_insert, learning_starts, call, num_agents * BATCH_LENGTH)
    for _ in range(3):
        enough = 10**18 if samples_per_insert else learning_starts // BATCH_LENGTH + 1
        blocks = most(lambda count: limiter._insert_fits(count * BATCH_LENGTH), enough)
        if blocks:
            insert(limiter, blocks * BATCH_LENGTH)
        assert limiter.inserts >= learning_starts  # no side was held up on the way there
        assert limiter._sample_fits(call)
        calls = most(lambda count: limiter._sample_fits(count * call), 10**18)
        assert limiter.may_sample(calls * call, NEVER)
        assert limiter._insert_fits(num_agents * BATCH_LENGTH)  # all agents at once


@pytest.mark.parametrize("ratio", [1e-300, 1e-18])
def test_validation_refuses_a_ratio_that_would_deadlock(ratio):
    # After two calls it would wait for 1 / ratio inserts for each sample, without end.
    with pytest.raises(ParameterError, match="samples_per_insert"):
        resolve(TrainParams, {"samples_per_insert": ratio})


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([0.0, 0.03, 0.5, 1.0, 3.0, 32.0, 700.0]),
    st.integers(1, 400),
    st.integers(1, 8),
    st.integers(1, 64),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_any_order_of_events_keeps_the_bounds_without_deadlock(ratio, learning_starts, updates, batch_size, num_agents, random):
    # Agents ask, are held up, arrive late and out of order; the learner's last call may be a shorter one.
    call = updates * batch_size
    limiter = RateLimiter.fitting(ratio, learning_starts, call, num_agents * BATCH_LENGTH)
    tolerance = max(0.1 * ratio * learning_starts, 2 * call, ratio * num_agents * BATCH_LENGTH)
    promised = inserts = samples = 0
    on_their_way = [False] * num_agents
    for _ in range(150):
        events = [("arrive", i) for i in range(num_agents) if on_their_way[i]]
        may_insert = not ratio or ratio * (promised + BATCH_LENGTH - learning_starts) - samples <= tolerance
        assert limiter._insert_fits(BATCH_LENGTH) == may_insert
        if may_insert:
            events += [("insert", i) for i in range(num_agents) if not on_their_way[i]]
        started = inserts >= learning_starts
        may_sample = started and (not ratio or samples + call - ratio * (inserts - learning_starts) <= tolerance)
        assert limiter._sample_fits(call) == may_sample
        if may_sample:
            events.append(("sample", None))
        assert events, "everybody waits"
        event, i = random.choice(events)
        if event == "arrive":
            limiter.inserted(BATCH_LENGTH)
            inserts += BATCH_LENGTH
            on_their_way[i] = False
        elif event == "insert":
            assert limiter.may_insert(BATCH_LENGTH, NEVER)
            promised += BATCH_LENGTH
            on_their_way[i] = True
        else:
            count = random.choice([call, random.randint(1, call)])
            assert limiter.may_sample(count, NEVER)
            samples += count
        assert (limiter.inserts, limiter.samples) == (inserts, samples)
        if ratio and inserts >= learning_starts:
            assert abs(samples - ratio * (inserts - learning_starts)) <= tolerance * (1 + 1e-12)


def test_a_tolerance_below_one_call_and_one_batch_deadlocks():
    # Why `fitting` is needed at all.
    limiter = RateLimiter(1.0, 0, 15.0)
    assert waits(limiter.may_sample, 16)
    assert waits(limiter.may_insert, 16)


# ---- threads


@pytest.mark.parametrize("ratio", [0.0, 0.5, 4.0, 32.0])
def test_threads_keep_the_bounds_at_every_moment_and_finish(ratio):
    num_agents, learning_starts, call, calls = 4, 50, 32, 60
    limiter = RateLimiter.fitting(ratio, learning_starts, call, num_agents * BATCH_LENGTH)
    tolerance = max(0.1 * ratio * learning_starts, 2 * call, ratio * num_agents * BATCH_LENGTH)
    stop, outside = threading.Event(), []
    inserted = [0] * num_agents

    def act(i):
        while not stop.is_set():
            if limiter.may_insert(BATCH_LENGTH, stop):
                limiter.inserted(BATCH_LENGTH)
                inserted[i] += BATCH_LENGTH

    def learn():
        for _ in range(calls):
            limiter.may_sample(call, stop)
        stop.set()

    def watch():
        while not stop.is_set():
            # Both counters only grow, so each bound is exact if the one that relaxes it is read last.
            inserts, samples = limiter.inserts, limiter.samples
            behind = ratio * (inserts - learning_starts) - samples
            samples, inserts = limiter.samples, limiter.inserts
            ahead = samples - ratio * (inserts - learning_starts) if inserts >= learning_starts else 0.0
            if ratio and max(behind, ahead) > tolerance:
                outside.append((behind, ahead))

    loops = [threading.Thread(target=act, args=(i,), daemon=True) for i in range(num_agents)]
    loops += [threading.Thread(target=learn, daemon=True), threading.Thread(target=watch, daemon=True)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(LONG)
    assert not any(loop.is_alive() for loop in loops)
    assert limiter.samples == calls * call
    assert limiter.inserts == sum(inserted)
    assert outside == []


@pytest.mark.parametrize("who", ["may_insert", "may_sample"])
def test_stop_ends_every_wait(who):
    limiter, stop, answers = RateLimiter.fitting(32.0, 64, 16, 16), threading.Event(), []
    insert(limiter, 64)
    while limiter._insert_fits(16):
        insert(limiter, 16)
    if who == "may_sample":
        while limiter._sample_fits(16):
            limiter.may_sample(16, NEVER)
    ask = getattr(limiter, who)
    counts = (limiter.inserts, limiter.samples)
    threads = [threading.Thread(target=lambda: answers.append(ask(16, stop)), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.wait(0.05)
    assert answers == []  # they do wait
    stop.set()
    for thread in threads:
        thread.join(LONG)
    assert answers == [False] * 3
    assert (limiter.inserts, limiter.samples) == counts  # who was sent away is not counted


def test_after_stop_every_request_is_refused():
    limiter, stop = RateLimiter.fitting(32.0, 1, 16, 16), threading.Event()
    insert(limiter, 1)
    stop.set()
    assert not limiter.may_insert(16, stop)
    assert not limiter.may_sample(16, stop)
    assert (limiter.inserts, limiter.samples) == (1, 0)


def test_a_wait_ends_as_soon_as_the_other_side_has_moved():
    limiter, let_through = RateLimiter.fitting(1.0, 16, 16, 16), []
    insert(limiter, 16)
    while limiter._sample_fits(16):
        limiter.may_sample(16, NEVER)
    learner = threading.Thread(target=lambda: let_through.append(limiter.may_sample(16, NEVER)), daemon=True)
    learner.start()
    insert(limiter, 16)
    learner.join(LONG)
    assert let_through == [True]


def test_fractional_ratios_keep_their_pace_in_the_long_run():
    limiter = RateLimiter.fitting(0.3, 10, 3, 16)
    for _ in range(20_000):
        if limiter._sample_fits(3):
            assert limiter.may_sample(3, NEVER)
        else:
            insert(limiter, 1)
    assert limiter.samples / (limiter.inserts - 10) == pytest.approx(0.3, rel=0.01)
    assert np.abs(limiter.samples - 0.3 * (limiter.inserts - 10)) <= 6 + 1e-9


# ---- going on, and taking turns


def test_restored_counts_continue():
    limiter = RateLimiter(32.0, 1000, 4096.0)
    limiter.restore(1100, 3000)  # expected are 32 * 100 = 3200 samples
    assert (limiter.inserts, limiter.samples) == (1100, 3000)
    assert limiter.may_sample(4296, NEVER)  # 3200 + 4096 - 3000
    assert waits(limiter.may_sample, 1)


@pytest.mark.parametrize(
    ("inserts", "samples", "kept"),
    [
        (1100, 100_000, 7296),  # 3200 + 4096: it was another ratio then
        (2000, 0, 27_904),  # 32 000 - 4096
        (500, 0, 0),
        (500, 9000, 4096),
        (0, 0, 0),
    ],
)
def test_restored_counts_are_moved_within_the_tolerance(inserts, samples, kept):
    limiter = RateLimiter(32.0, 1000, 4096.0)
    limiter.restore(inserts, samples)
    assert (limiter.inserts, limiter.samples) == (inserts, kept)
    # No side stalls: the one or the other may go on.
    assert not waits(limiter.may_insert, 16) or not waits(limiter.may_sample, 2048)


def test_a_ratio_of_zero_restores_any_counts():
    limiter = RateLimiter(0.0, 10, 1.0)
    limiter.restore(5000, 123)
    assert (limiter.inserts, limiter.samples) == (5000, 123)
    assert limiter.may_sample(10**6, NEVER)


@pytest.mark.parametrize(
    ("inserts", "samples", "count", "due"),
    [
        (0, 0, 256, 1008),  # 1000 to start with, and 256 / 32
        (1008, 0, 256, 0),
        (1008, 256, 256, 8),
        (1008, 256, 257, 9),  # a part of an insert is a whole one
        (5000, 256, 256, 0),
    ],
)
def test_inserts_due_ignores_the_tolerance(inserts, samples, count, due):
    limiter = RateLimiter(32.0, 1000, 1e9)
    limiter.restore(inserts, samples)
    assert limiter.inserts_due(count) == due


@settings(max_examples=100, deadline=None)
@given(st.floats(0.25, 300.0), st.integers(1, 5000), st.integers(1, 16), st.integers(1, 512))
def test_sampling_is_allowed_after_the_due_inserts(ratio, learning_starts, updates, batch_size):
    limiter, count = RateLimiter.fitting(ratio, learning_starts, updates * batch_size, 4 * BATCH_LENGTH), updates * batch_size
    for _ in range(20):
        limiter.inserted(limiter.inserts_due(count))
        assert limiter.may_sample(count, NEVER)
    assert abs(limiter.samples - ratio * (limiter.inserts - learning_starts)) <= ratio + 1e-6
