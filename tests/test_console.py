"""What a person sees: plain lines without a terminal, a table on one, and silence when nobody listens."""

import contextlib
import os
import pty
import sys
import threading

import pytest

from utils.console import Console, quiet_stderr


def test_sentences_are_printed_as_they_are_when_there_is_no_terminal(capsys):
    sentences = [
        "Plain.",
        "[bold]no markup[/bold] [/]",
        "long " * 60 + "end",
        "obs [3], 1.5 +- 0.2",
        "é",
    ]
    console = Console()
    for sentence in sentences:
        console.say(sentence)
    assert capsys.readouterr().out.split("\n") == [*sentences, ""]  # one line each, whatever its length


def test_colons_make_no_pictures(capsys):
    Console().say("There is no environment package:car:v0.")
    assert capsys.readouterr().out == "There is no environment package:car:v0.\n"


def test_a_sentence_is_said_once(capsys):
    console = Console()
    for sentence in ("Same.", "Same.", "Other."):
        console.say_once(sentence)
    assert capsys.readouterr().out == "Same.\nOther.\n"


def test_sentences_of_one_key_are_said_once(capsys):
    console = Console()
    console.say_once("The disk is full at learner step 5.", key="disk")
    console.say_once("The disk is full at learner step 6.", key="disk")
    console.say_once("An environment is slow.", key="env")
    console.say_once("disk")  # a sentence of that wording is no key
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["The disk is full at learner step 5.", "An environment is slow."]


def test_without_a_terminal_a_view_is_one_plain_line_every_few_seconds(capsys, monkeypatch):
    console = Console()
    with console.live():
        for step in range(5):
            console.show({"learner step": step, "return": "-140.2", "fraction": 0.5})
        monkeypatch.setattr("utils.console.LINE_EVERY", 0.0)
        assert capsys.readouterr().out == "learner step 0 | return -140.2\n"
    quick = Console()
    for step in range(3):
        quick.show({"learner step": step})
    assert capsys.readouterr().out == "learner step 0\nlearner step 1\nlearner step 2\n"


def test_neither_carriage_returns_nor_colours_reach_a_file(run_code):
    ended = run_code("""
        from utils.console import Console
        console = Console()
        console.say("begin")
        with console.live():
            console.show({"learner step": 5, "fraction": 0.1})
            console.say("between")
        console.say("end")
        """)
    assert ended.stdout == "begin\nlearner step 5\nbetween\nend\n"
    assert ended.stderr == ""


def test_lines_of_many_threads_stay_whole(capsys):
    console = Console()

    def talk(name):
        for i in range(50):
            console.say(f"{name} {i} " + name * 50)

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == sorted(f"{name} {i} " + name * 50 for name in "abcd" for i in range(50))


# ---- nobody listens

TALK = """
import sys, threading
from utils.console import Console
console, raised = Console(), []

def talk():
    try:
        with console.live():
            for i in range(300):
                console.say(f"sentence {i} " + "x" * 500)
                console.show({"learner step": i, "fraction": 0.5})
            console.say_once("once")
    except BaseException as error:  # SystemExit too: a thread that ends by it ends the training
        raised.append(repr(error))

thread = threading.Thread(target=talk)
thread.start()
thread.join()
talk()
print(raised, file=sys.stderr)
"""


def test_a_reader_that_has_gone_silences_the_console_and_nothing_more(spawn):
    read, write = os.pipe()
    os.close(read)
    process = spawn(TALK, stdout=write)
    os.close(write)
    _, said = process.communicate(timeout=280)
    assert said.splitlines()[0] == "[]"


@pytest.mark.parametrize("how", ["closed", "full"])
def test_a_closed_stdout_or_a_full_disk_behind_it_never_raises(spawn, how):
    if how == "closed":
        _, said = spawn(TALK, closed=1).communicate(timeout=280)
    else:
        with open("/dev/full", "w") as full:
            _, said = spawn(TALK, stdout=full).communicate(timeout=280)
    assert said.splitlines()[0] == "[]"


def test_a_stdout_that_is_closed_from_within_never_raises(monkeypatch):
    with open(os.devnull, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
    console = Console()
    with console.live():
        console.say("hello")
        console.show({"learner step": 1})


def test_a_stdout_that_cannot_encode_a_sentence_never_raises(run_code):
    ended = run_code("""
        import sys
        from utils.console import Console
        sys.stdout.reconfigure(encoding="ascii")
        Console().say("é \\u2014 \\ud800")
        Console().say("end")
        """)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("end\n")


# ---- a terminal


def on_a_terminal(spawn, code):
    """Everything that the code writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    process = spawn(code, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # this is how a terminal says that its program has ended
        while piece := os.read(ours, 65536):
            written += piece
    os.close(ours)
    assert process.wait(timeout=280) == 0, written
    return written.decode()


def test_on_a_terminal_a_view_is_refreshed_in_place_with_sentences_above(spawn):
    written = on_a_terminal(
        spawn,
        """
        from utils.console import Console
        console = Console()
        with console.live():
            for step in (7, 8):
                console.show({"learner step": step, "fraction": step / 10})
            console.say("a sentence [x]")
        """,
    )
    assert "\x1b[" in written  # the cursor moves
    assert "learner step  7" in written
    assert "learner step  8" in written
    assert "progress" in written
    assert written.index("a sentence [x]") < written.rindex("learner step  8")
    assert "\x1b[?25l" in written  # the cursor was hidden,
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # and is there again at the end


# ---- stderr


def test_native_noise_is_dropped_and_python_is_heard(run_code):
    ended = run_code("""
        import os, sys
        from utils.console import quiet_stderr
        os.write(2, b"before\\n")
        with quiet_stderr():
            os.write(2, b"native noise\\n")
            os.system("echo noise of a child >&2")
            print("python", file=sys.stderr)
        os.write(2, b"after\\n")
        print("python after", file=sys.stderr)
        """)
    assert ended.stderr == "before\npython\nafter\npython after\n"


def test_an_error_within_goes_through_and_stderr_is_back(run_code):
    ended = run_code("""
        import os
        from utils.console import quiet_stderr
        files = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            try:
                with quiet_stderr():
                    raise KeyError("within")
            except KeyError:
                os.write(2, b"caught\\n")
        print(len(os.listdir("/proc/self/fd")) - files)
        """)
    assert ended.stderr == "caught\n" * 5
    assert ended.stdout == "0\n"  # no file is left open


def test_without_any_stderr_there_is_nothing_to_quieten(spawn):
    code = """
    import sys
    from utils.console import quiet_stderr
    with quiet_stderr():
        print("within")
    try:
        with quiet_stderr():
            raise KeyError
    except KeyError:
        print("through")
    """
    out, _ = spawn(code, closed=2).communicate(timeout=280)
    assert out == "within\nthrough\n"


def test_a_listener_of_stderr_that_has_gone_ends_nothing(spawn):
    read, write = os.pipe()
    os.close(read)
    code = """
    import sys
    from utils.console import quiet_stderr
    with quiet_stderr():
        sys.stderr.write("half a line")
    print("went on", sys.stderr is sys.__stderr__)
    """
    process = spawn(code, stderr=write)
    os.close(write)
    out, _ = process.communicate(timeout=280)
    assert out == "went on True\n"


def test_quiet_stderr_leaves_pythons_own_stderr_in_place():
    before = sys.stderr
    with quiet_stderr():
        assert sys.stderr is not before
    assert sys.stderr is before
