"""Threads start together and end together; signals end them, a second one a second later at once."""

import signal
import threading
import time

import pytest
from trainings import slowed

from utils.threads import SIGNALS, Signals, is_running, run_together


def waits(stop):
    """A loop that does its duty: it ends soon after `stop`."""

    def loop():
        while not stop.wait(0.01):
            pass

    return loop


def test_the_first_to_finish_ends_all():
    stop, seen = threading.Event(), []

    def other():
        stop.wait(60)
        seen.append("other saw it")

    assert run_together({"short": lambda: None, "other": other}, stop) == []
    assert stop.is_set()
    assert seen == ["other saw it"]


def test_without_loops_stop_alone_ends_it():
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert run_together({}, stop) == []


def test_a_stop_that_is_set_before_lets_every_loop_see_it():
    stop, seen = threading.Event(), []
    stop.set()
    run_together({str(i): lambda: seen.append(stop.is_set()) for i in range(3)}, stop)
    assert seen == [True] * 3


def test_the_error_of_a_loop_is_raised_here_after_the_others_ended():
    stop, ended = threading.Event(), []

    def fails():
        raise KeyError("the cause")

    def other():
        stop.wait(60)
        time.sleep(0.05)
        ended.append("other")

    with pytest.raises(KeyError, match="the cause"):
        run_together({"fails": fails, "other": other}, stop)
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
            run_together({"second": second, "first": first}, stop)
        stop.clear()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_whatever_ends_a_loop_ends_all_and_is_raised(error):
    stop = threading.Event()

    def fails():
        raise error

    with pytest.raises(type(error)):
        run_together({"fails": fails, "other": waits(stop)}, stop)


def test_the_traceback_leads_to_the_loop_that_failed():
    def where_it_happened():
        raise KeyError("here")

    with pytest.raises(KeyError) as error:
        run_together({"loop": where_it_happened}, threading.Event())
    assert error.traceback[-1].name == "where_it_happened"


def test_loops_that_hang_are_named_and_not_waited_for():
    stop, release = threading.Event(), threading.Event()
    hang = release.wait
    begun = time.monotonic()
    left = run_together({"ends": lambda: None, "hangs": hang, "good": waits(stop), "hangs too": hang}, stop, patience=0.2)
    assert time.monotonic() - begun < slowed(5.0)  # 0.2 for all of them together
    assert [thread.name for thread in left] == ["hangs", "hangs too"]
    assert [is_running(name) for name in ("ends", "hangs", "good", "hangs too")] == [False, True, False, True]
    release.set()


def test_an_error_is_raised_though_another_loop_hangs():
    release = threading.Event()

    def fails():
        raise KeyError("the cause")

    begun = time.monotonic()
    with pytest.raises(KeyError, match="the cause"):
        run_together({"hangs": release.wait, "fails": fails}, threading.Event(), patience=0.2)
    assert time.monotonic() - begun < slowed(5.0)
    release.set()


def test_a_loop_that_hangs_does_not_hold_the_process(run_code):
    ended = run_code("""
        import threading, time
        from utils.threads import run_together
        left = run_together({"hangs": lambda: time.sleep(600), "ends": lambda: None}, threading.Event(), patience=0.1)
        print([thread.name for thread in left])
        """)
    assert (ended.returncode, ended.stdout) == (0, "['hangs']\n")


def test_what_a_loop_that_was_left_behind_is_waiting_for_does_not_hold_a_script(run_code):
    # The interpreter ends by waiting for pools of threads, and for what compiled code has begun.
    ended = run_code("""
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        from utils.script import run_script
        from utils.threads import run_together
        def hangs():
            with ThreadPoolExecutor(1) as pool:
                pool.submit(time.sleep, 60).result()
        def main():
            hanging = run_together({"hangs": hangs, "ends": lambda: None}, threading.Event(), patience=0.2)
            print([thread.name for thread in hanging])
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
        from utils.threads import run_together
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop, ended = threading.Event(), []
        def loop():
            time.sleep(float(sys.argv[1]))
            os.kill(os.getpid(), signal.SIGINT)  # without Signals: KeyboardInterrupt in the main thread
            stop.wait(2)
            ended.append("loop")
        others = {str(i): lambda: stop.wait(2) for i in range(200)}  # enough to be still at it
        try:
            run_together({"loop": loop} | others, stop)
        except KeyboardInterrupt:
            print("interrupted", stop.is_set(), ended)
        """,
        0 if "start" in moment else 0.2,
    )
    assert ended.stdout == "interrupted True ['loop']\n"


def test_threads_carry_the_names_of_their_loops():
    names = []
    run_together({"agent 3": lambda: names.append(threading.current_thread().name)}, threading.Event())
    assert names == ["agent 3"]
    assert not is_running("agent 3")
    assert is_running(threading.main_thread().name)


# ---- signals

# Tests that run in the background or under nohup hand down ignored signals.
AS_IN_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""

OBEDIENT = """
import sys, threading
from utils.script import run_script
from utils.threads import Signals, run_together

stop = threading.Event()

def main():
    with Signals(stop) as signals:
        print("ready", flush=True)
        run_together({"loop": stop.wait}, stop)
        print("saved", flush=True)
    return signals.exit_code

run_script(main)
"""

STUBBORN = """
import sys, threading, time
from utils.script import Signals

stop = threading.Event()
with Signals(stop) as signals:
    print("ready", flush=True)
    stop.wait()
    print("stop is set", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_stops_and_the_last_work_is_done(spawn, number, code):
    process = spawn(AS_IN_A_TERMINAL + OBEDIENT)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=280)
    assert (out, err, process.returncode) == ("saved\n", "", code)


def ended_by(process, number, seconds=30):
    """Send a signal again and again until the process has ended; its exit code."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(number)
        time.sleep(0.05)
    return process.poll()


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_second_sigint_or_sigterm_ends_at_once_after_a_second(spawn, first, second):
    process = spawn(AS_IN_A_TERMINAL + STUBBORN)
    assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    process.send_signal(first)
    assert process.stdout.readline() == "stop is set\n"
    assert ended_by(process, second) == 128 + second
    assert time.monotonic() - begun >= 1.0


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT])
def test_sighup_never_ends_at_once(spawn, first):
    process = spawn(AS_IN_A_TERMINAL + STUBBORN)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(first)
    assert process.stdout.readline() == "stop is set\n"
    assert ended_by(process, signal.SIGHUP, seconds=1.5) is None


@pytest.mark.parametrize("second", SIGNALS)
def test_signals_of_a_terminal_that_closes_are_one_request(spawn, second):
    process = spawn(AS_IN_A_TERMINAL + OBEDIENT.replace('print("saved"', 'import time; time.sleep(0.3); print("saved"'))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.005)
    process.send_signal(second)
    out, err = process.communicate(timeout=280)
    assert (out, err, process.returncode) == ("saved\n", "", 129)


def test_signal_after_the_block_does_not_interrupt_the_end(run_code):
    ended = run_code(
        """
        import signal, threading
        from utils.script import run_script
        from utils.script import Signals
        def main():
            with Signals(threading.Event()) as signals:
                signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            print("saved")
            return signals.exit_code
        run_script(main)
        """
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (129, "saved\n", "")


def test_a_signal_may_come_at_any_instant_of_a_wait(spawn):
    # The handler interrupts the main thread anywhere, also where that holds the lock within `stop`.
    process = spawn("""
        import os, random, signal, threading
        from utils.script import Signals
        for _ in range(50):
            stop = threading.Event()
            with Signals(stop) as signals:
                threading.Timer(random.uniform(0, 0.01), os.kill, (os.getpid(), signal.SIGTERM)).start()
                while not stop.wait(0):
                    pass
                print(signals.exit_code, flush=True)
        """)
    codes = []
    reader = threading.Thread(target=lambda: codes.extend(process.stdout), daemon=True)
    reader.start()
    reader.join(20)
    assert codes == ["143\n"] * 50


def test_signals_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Signals(threading.Event()) as signals:
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signals.exit_code == 0


def test_a_signal_is_remembered_after_the_block(run_code):
    ended = run_code("""
        import os, signal, threading
        from utils.script import Signals
        stop = threading.Event()
        with Signals(stop) as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            stop.wait(10)
        print(signals.exit_code, signals.came())
        """)
    assert ended.stdout == "143 True\n"


def test_a_training_under_nohup_outlives_its_terminal(run_code):
    # nohup works by having SIGHUP ignored from the start.
    ended = run_code("""
        import os, signal, threading
        from utils.script import Signals
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop = threading.Event()
        with Signals(stop) as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            print(stop.wait(0.1), signals.exit_code)
        print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
        """)
    assert ended.stdout == "False 0\nTrue\n"
