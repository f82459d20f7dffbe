"""Threads start together and end together."""

import threading
import time

import pytest
from trainings import slowed

from utils.threads import ThreadGroup


def waits(stop):
    """A loop that ends soon after `stop`."""

    def loop():
        while not stop.wait(0.01):
            pass

    return loop


def test_the_first_loop_to_return_ends_all():
    stop, seen = threading.Event(), []

    def other():
        stop.wait(60)
        seen.append("other saw it")

    group = ThreadGroup({"short": lambda: None, "other": other})
    group.run(stop)
    assert group.hanging() == []
    assert stop.is_set()
    assert seen == ["other saw it"]


def test_without_loops_run_waits_for_stop():
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    ThreadGroup({}).run(stop)


def test_a_stop_set_before_the_start_ends_every_loop():
    stop, seen = threading.Event(), []
    stop.set()
    ThreadGroup({str(i): lambda: seen.append(stop.is_set()) for i in range(3)}).run(stop)
    assert seen == [True] * 3


def test_the_error_of_a_loop_is_raised_after_the_others_ended():
    stop, ended = threading.Event(), []

    def fails():
        raise KeyError("the cause")

    def other():
        stop.wait(60)
        time.sleep(0.05)
        ended.append("other")

    with pytest.raises(KeyError, match="the cause"):
        ThreadGroup({"fails": fails, "other": other}).run(stop)
    assert ended == ["other"]


def test_the_first_error_is_the_one_that_is_raised():
    stop = threading.Event()

    def first():
        raise ValueError("first")

    def second():
        stop.wait(60)
        raise RuntimeError("second, because of the first")

    for _ in range(5):
        with pytest.raises(ValueError, match="^first$"):
            ThreadGroup({"second": second, "first": first}).run(stop)
        stop.clear()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_any_exception_ends_all_loops_and_is_raised(error):
    stop = threading.Event()

    def fails():
        raise error

    with pytest.raises(type(error)):
        ThreadGroup({"fails": fails, "other": waits(stop)}).run(stop)


def test_the_traceback_contains_the_failed_loop():
    def where_it_happened():
        raise KeyError("here")

    with pytest.raises(KeyError) as error:
        ThreadGroup({"loop": where_it_happened}).run(threading.Event())
    assert error.traceback[-1].name == "where_it_happened"


def test_loops_that_hang_are_named_and_not_waited_for():
    stop, release = threading.Event(), threading.Event()
    hang = release.wait
    begun = time.monotonic()
    group = ThreadGroup({"ends": lambda: None, "hangs": hang, "good": waits(stop), "hangs too": hang})
    group.run(stop, patience=0.2)
    assert time.monotonic() - begun < slowed(5.0)  # 0.2 for all of them together
    assert [thread.name for thread in group.hanging()] == ["hangs", "hangs too"]
    assert [group.is_alive(name) for name in ("ends", "hangs", "good", "hangs too")] == [False, True, False, True]
    release.set()


def test_an_error_is_raised_though_another_loop_hangs():
    release = threading.Event()

    def fails():
        raise KeyError("the cause")

    begun = time.monotonic()
    with pytest.raises(KeyError, match="the cause"):
        ThreadGroup({"hangs": release.wait, "fails": fails}).run(threading.Event(), patience=0.2)
    assert time.monotonic() - begun < slowed(5.0)
    release.set()


def test_a_hanging_loop_does_not_keep_the_process_alive(run_code):
    ended = run_code("""
        import threading, time
        from utils.threads import ThreadGroup
        group = ThreadGroup({"hangs": lambda: time.sleep(600), "ends": lambda: None})
        group.run(threading.Event(), patience=0.1)
        print([thread.name for thread in group.hanging()])
        """)
    assert (ended.returncode, ended.stdout) == (0, "['hangs']\n")


def test_an_abandoned_loop_does_not_delay_the_end_of_a_script(run_code):
    # The interpreter ends by waiting for pools of threads, and for what compiled code has begun.
    ended = run_code("""
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        from utils.script import run_script
        from utils.threads import ThreadGroup
        def hangs():
            with ThreadPoolExecutor(1) as pool:
                pool.submit(time.sleep, 60).result()
        def main():
            group = ThreadGroup({"hangs": hangs, "ends": lambda: None})
            group.run(threading.Event(), patience=0.2)
            print([thread.name for thread in group.hanging()])
            return 130
        threading.Timer(10.0, lambda: print("held")).start()
        run_script(main)
        """)
    assert (ended.returncode, ended.stdout) == (130, "['hangs']\n")


@pytest.mark.parametrize("moment", ["while the threads start", "while they run"])
def test_an_interrupt_of_the_main_thread_stops_the_loops(run_code, moment):
    ended = run_code(
        """
        import os, signal, sys, threading, time
        from utils.threads import ThreadGroup
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop, ended = threading.Event(), []
        def loop():
            time.sleep(float(sys.argv[1]))
            os.kill(os.getpid(), signal.SIGINT)  # without Signals: KeyboardInterrupt in the main thread
            stop.wait(2)
            ended.append("loop")
        others = {str(i): lambda: stop.wait(2) for i in range(200)}  # enough to be still at it
        try:
            ThreadGroup({"loop": loop} | others).run(stop)
        except KeyboardInterrupt:
            print("interrupted", stop.is_set(), ended)
        """,
        0 if "start" in moment else 0.2,
    )
    assert ended.stdout == "interrupted True ['loop']\n"


def test_threads_have_the_names_of_their_loops():
    names = []
    group = ThreadGroup({"agent 3": lambda: names.append(threading.current_thread().name)})
    assert not group.is_alive("agent 3")  # not started yet
    group.run(threading.Event())
    assert names == ["agent 3"]
    assert not group.is_alive("agent 3")
    assert not group.is_alive("no such loop")
