"""The counters of a run, across restarts and threads."""

import threading

from agent.training.counters import RunCounters


def test_counts_continue_from_a_checkpoint():
    counters = RunCounters()
    counters.restore(320, 100.0)
    assert (counters.env_steps, counters.seconds) == (320, 100.0)  # seconds stand still before the start
    counters.add_env_steps(16)
    counters.start()
    assert counters.env_steps == 336
    assert counters.seconds >= 100.0


def test_steps_of_several_threads_are_all_counted():
    counters = RunCounters()

    def count():
        for _ in range(10_000):
            counters.add_env_steps(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.env_steps == 40_000
