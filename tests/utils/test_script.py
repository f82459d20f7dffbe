"""How a script ends: with one sentence and the right code. Signals stop it, a second one a second later at once."""

import os
import re
import signal
import threading
import time

import pytest

from utils import errors
from utils.script import SIGNALS, Signals

KINDS = {kind.__name__: kind.exit_code for kind in errors.ToolkitError.__subclasses__()}

SCRIPT = """
import sys
from utils.errors import *
from utils.script import run_script

def main():
    {body}

run_script(main)
"""


def script(body):
    return SCRIPT.format(body=body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_toolkit_error_prints_one_sentence_and_exits_with_its_code(run_code, kind):
    ended = run_code(script(f"raise {kind}('the disk [b] at /data is full: free some.')"))
    assert ended.returncode == KINDS[kind]
    assert ended.stderr == "Error: the disk [b] at /data is full: free some.\n"
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("pass", 0),
        ("return None", 0),
        ("return 0", 0),
        ("return 143", 143),
        ("sys.exit(2)", 2),  # as the reader of flags ends
        ("raise KeyboardInterrupt", 130),
    ],
)
def test_an_exit_without_an_error_prints_nothing(run_code, body, code):
    ended = run_code(script(body))
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


def test_with_debug_the_sentence_comes_with_a_traceback(run_code):
    ended = run_code(script("raise StorageError('the disk is full')"), "--debug")
    assert ended.returncode == 6
    assert ended.stderr.startswith("Traceback (most recent call last):")
    assert ended.stderr.endswith("\nError: the disk is full\n")


def test_an_unexpected_error_is_one_line_and_a_file_with_its_traceback(run_code, tmp_path):
    ended = run_code(script("return [][5]"))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: IndexError: list index out of range. This is a bug in the toolkit;")
    assert "--debug" in line
    (file,) = tmp_path.glob("*.traceback.txt")  # TMPDIR is the test's own
    assert str(file) in line
    assert re.match(
        r"Traceback \(most recent call last\):\n.*IndexError: list index out of range\n$", file.read_text(), re.DOTALL
    )


def test_with_debug_such_a_traceback_is_shown_and_no_file_is_left(run_code, tmp_path):
    ended = run_code(script("return [][5]"), "--debug")
    assert ended.returncode == 1
    assert "Traceback (most recent call last):" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("Error: IndexError")
    assert os.listdir(tmp_path) == []


def test_a_bug_is_reported_even_if_its_traceback_cannot_be_written(run_code):
    # No file may have a single byte here, as on a full disk.
    ended = run_code(script("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); return [][5]"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: IndexError: list index out of range. This is a bug in the toolkit; run again with")
    assert len(ended.stderr.splitlines()) == 1


def test_the_codes_hold_under_optimisation(run_code):
    ended = run_code(
        """
        import os, subprocess, sys
        code = "from utils.errors import StorageError\\nfrom utils.script import run_script\\n"
        code += "def main():\\n    raise StorageError('full')\\nrun_script(main)"
        print(subprocess.run([sys.executable, "-O", "-c", code], stderr=subprocess.DEVNULL).returncode)
        """
    )
    assert ended.stdout == "6\n"


# ---- closed and full streams

TALKATIVE = """
    for _ in range(20_000):
        try:
            print("x" * 50)
        except OSError:
            pass
    {end}"""


@pytest.mark.parametrize(("end", "code"), [("return 0", 0), ("raise StorageError('full')", 6), ("return 130", 130)])
@pytest.mark.parametrize("listener", ["gone", "closed", "full"])
def test_the_code_is_the_same_with_no_reader_of_stdout(spawn, listener, end, code):
    body = script(TALKATIVE.format(end=end).strip())
    if listener == "closed":
        process = spawn(body, closed=1)
    elif listener == "full":
        with open("/dev/full", "w") as full:
            process = spawn(body, stdout=full)
    else:
        read, write = os.pipe()
        os.close(read)
        process = spawn(body, stdout=write)
        os.close(write)
    _, said = process.communicate(timeout=280)
    assert process.returncode == code
    assert said == ("Error: full\n" if code == 6 else "")


def test_a_buffered_last_line_does_not_change_the_exit_code(spawn):
    read, write = os.pipe()
    os.close(read)
    process = spawn(script("print('done')"), stdout=write)
    os.close(write)
    _, said = process.communicate(timeout=280)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("body", ["raise StorageError('full')", "return [][5]"])
def test_the_code_is_the_same_with_no_reader_of_stderr(spawn, body):
    code = 6 if "Storage" in body else 1
    closed = spawn(script(body), closed=2)
    assert closed.wait(timeout=280) == code
    read, write = os.pipe()
    os.close(read)
    gone = spawn(script(body), stderr=write)
    os.close(write)
    assert gone.wait(timeout=280) == code


def test_a_file_opened_later_never_gets_the_number_of_a_closed_stream(spawn, tmp_path):
    # Or a native library's words for stdout would end up in a checkpoint.
    process = spawn(script("open('later', 'w').fileno() < 3 and sys.exit(9); print('heard?')"), closed=1)
    assert process.wait(timeout=280) == 0


def test_a_letter_outside_the_encoding_is_escaped(run_code):
    done = run_code(
        """
        import io, sys
        from utils.console import Console
        from utils.errors import *
        from utils.script import run_script
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="ascii")  # as under some shells and schedulers
        def main():
            Console().say("wrote é.gif")
            raise StorageError("ü is full")
        run_script(main)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (6, "wrote \\xe9.gif\n", "Error: ü is full\n")


# ---- signals


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_signal_is_quiet_while_a_script_imports_runs_and_ends(spawn, when, number):
    process = spawn(
        """
        import atexit, sys, time
        from utils.script import quiet_signals, run_script
        quiet_signals()
        def wait():
            print("waiting", flush=True)
            time.sleep(60)
        if sys.argv[1] == "before":
            wait()
        if sys.argv[1] == "after":
            atexit.register(wait)
        run_script(wait if sys.argv[1] == "within" else lambda: 0)
        """,
        when,
    )
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=280)
    assert (process.returncode, out, err) == (128 + number, "", "")


CLEARS_UP = """
import sys, time
from utils.script import run_script
def main():
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("clearing up", flush=True)
        time.sleep(float(sys.argv[1]))
        print("clean", flush=True)
run_script(main)
"""


def test_second_sigint_ends_a_script_that_clears_up_after_a_second(spawn):
    process = spawn(CLEARS_UP, 60)
    assert process.stdout.readline() == "working\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "clearing up\n"
    while process.poll() is None and time.monotonic() - begun < 250:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert process.returncode == 130
    assert time.monotonic() - begun >= 1.0
    assert process.communicate()[1] == ""


@pytest.mark.parametrize("second", [signal.SIGHUP, signal.SIGTERM])
def test_signals_of_a_terminal_that_closes_let_a_script_clear_up(spawn, second):
    process = spawn(CLEARS_UP, 0.3)
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.005)
    process.send_signal(second)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (129, "clearing up\nclean\n", "")


def test_a_background_job_ignores_ctrl_c(run_code):
    done = run_code(
        """
        import signal
        from utils.script import quiet_signals, run_script
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does
        quiet_signals()
        signal.raise_signal(signal.SIGINT)
        run_script(lambda: signal.raise_signal(signal.SIGINT))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- the signals of a training

# Tests that run in the background or under nohup hand down ignored signals.
AS_IN_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""

OBEDIENT = """
import sys, threading
from utils.script import Signals, run_script
from utils.threads import ThreadGroup

stop = threading.Event()

def main():
    with Signals(stop) as signals:
        print("ready", flush=True)
        ThreadGroup({"loop": stop.wait}).run(stop)
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
def test_the_first_signal_sets_stop_and_the_script_finishes(spawn, number, code):
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
        from utils.script import Signals, run_script
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
