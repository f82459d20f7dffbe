"""Sentences and the live table: on a terminal, in a file, and with a stdout that cannot be written."""

import contextlib
import io
import os
import pty
import re
import sys
import termios
import threading

import pytest
import rich.console
from rich.progress_bar import ProgressBar

from utils.console import Console, quiet_stderr, table
from utils.media.sparkline import Sparkline


def test_sentence_without_a_terminal_is_one_line(capsys):
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


def test_say_does_not_replace_emoji_codes(capsys):
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


def test_view_without_a_terminal_is_a_line_every_few_seconds_and_the_last(capsys):
    console = Console()
    with console.live():
        for step in range(5):
            console.show({"learner step": [str(step)]}, f"learner step {step}")
        console.show({}, "learner step 5", is_last=True)
    assert capsys.readouterr().out == "learner step 0\nlearner step 5\n"
    for step in range(3):
        console._next_line = 0.0
        console.show({}, f"learner step {step}")
    assert capsys.readouterr().out == "learner step 0\nlearner step 1\nlearner step 2\n"


def rendered(rows, width, encoding="utf-8"):
    """The lines of a table in a terminal of so many columns, without what fills them up."""
    with io.TextIOWrapper(io.BytesIO(), encoding=encoding) as file:
        rich.console.Console(width=width, file=file, force_terminal=False).print(table(rows))
        file.flush()
        return [line.rstrip() for line in file.buffer.getvalue().decode(encoding).splitlines()]


def test_table_shows_brackets_and_colons_as_they_are():
    assert rendered({"warning": ["[bold] a:car:b"]}, 80) == ["warning  [bold] a:car:b"]


def test_table_wraps_at_words():
    rows = {"progress": ["12,000 environment steps, 60 episodes", "second"], "time": ["0:00:05"]}
    assert rendered(rows, 30) == [
        "progress  12,000 environment",
        "          steps, 60 episodes",
        "          second",
        "time      0:00:05",
    ]


@pytest.mark.parametrize(("encoding", "drawn"), [("utf-8", "▁▂▃▄▅▆▇█"), ("ascii", "_.-=+*#@"), ("latin-1", "_.-=+*#@")])
def test_table_uses_ascii_where_the_encoding_needs_it(encoding, drawn):
    rows = {"bar": [ProgressBar(total=2, completed=1, width=8)], "score": [Sparkline(range(8))]}
    bar, score = rendered(rows, 40, encoding)
    assert score == f"score  {drawn}"
    assert bar.startswith("bar    ━━━" if encoding == "utf-8" else "bar    ---")


def test_bar_and_sparkline_use_the_available_width():
    rows = {"bar": [ProgressBar(total=1, completed=1, width=40)], "score": [Sparkline([0, 0, 1, 1] * 10)]}
    assert [len(line) for line in rendered(rows, 27)] == [27, 27]


def test_neither_carriage_returns_nor_colours_reach_a_file(run_code):
    ended = run_code("""
        from utils.console import Console
        console = Console()
        console.say("begin")
        with console.live():
            console.show({"learner step": ["5"]}, "learner step 5")
            console.say("between")
        console.say("end")
        """)
    assert ended.stdout == "begin\nlearner step 5\nbetween\nend\n"
    assert ended.stderr == ""


def test_lines_of_many_threads_stay_complete(capsys):
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


# ---- a stdout that cannot be written

TALK = """
import sys, threading
from utils.console import Console
console, raised = Console(), []

def talk():
    try:
        with console.live():
            for i in range(300):
                console.say(f"sentence {i} " + "x" * 500)
                console.show({"learner step": [str(i)]}, f"learner step {i}")
            console.say_once("once")
    except BaseException as error:  # SystemExit too: a thread that ends by it ends the training
        raised.append(repr(error))

thread = threading.Thread(target=talk)
thread.start()
thread.join()
talk()
print(raised, file=sys.stderr)
"""


def test_broken_pipe_never_raises(spawn):
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
        console.show({"learner step": ["1"]}, "learner step 1")


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


def on_a_terminal(spawn, code, columns=80):
    """Everything that the code writes to a new terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    process = spawn(code, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # a terminal reports the end of its program as an error
        while piece := os.read(ours, 65536):
            written += piece
    os.close(ours)
    assert process.wait(timeout=280) == 0, written
    return written.decode()


def test_view_on_a_terminal_is_refreshed_in_place_below_the_sentences(spawn):
    written = on_a_terminal(
        spawn,
        """
        from utils.console import Console
        console = Console()
        with console.live():
            for step in (7, 8):
                console.show({"learner step": [str(step)]}, "")
            console.say("a sentence [x]")
        """,
    )
    assert "\x1b[" in written  # the cursor moves
    written = re.sub(r"\x1b\[\d*m", "", written)  # without styles
    assert "learner step  7" in written
    assert "learner step  8" in written
    assert written.index("a sentence [x]") < written.rindex("learner step  8")
    assert "\x1b[?25l" in written  # the cursor was hidden,
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # and is there again at the end


@pytest.mark.parametrize("columns", [40, 80])
def test_sentence_on_a_terminal_wraps_at_words(spawn, columns):
    sentence = "The networks have 400 and 300 units, and a run of v_min -20.0 makes 5,000 learner steps. " * 3
    written = on_a_terminal(spawn, f"from utils.console import Console; Console().say({sentence!r})", columns)
    lines = written.splitlines()
    assert " ".join(lines).split() == sentence.split()
    assert max(map(len, lines)) <= columns


def test_sentence_on_a_terminal_keeps_its_lines_its_columns_and_long_paths(spawn):
    path = "/a" * 60
    text = f"name      value\n\n  indented  x\nSaved {path}."
    written = on_a_terminal(spawn, f"from utils.console import Console; Console().say({text!r})")
    assert written.splitlines() == ["name      value", "", "  indented  x", "Saved", f"{path}."]


def test_view_on_a_terminal_without_cursor_movement_is_plain_lines(spawn):
    code = """
    import os
    os.environ["TERM"] = "dumb"
    from utils.console import Console
    console = Console()
    with console.live():
        for step in range(3):
            console.show({"learner step": [str(step)]}, f"learner step {step}", is_last=step == 2)
    """
    assert on_a_terminal(spawn, code) == "learner step 0\r\nlearner step 2\r\n"


# ---- stderr


def test_native_stderr_is_dropped_and_python_stderr_is_kept(run_code):
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


def test_quiet_stderr_restores_stderr_after_an_exception(run_code):
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


def test_quiet_stderr_works_without_stderr(spawn):
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


def test_a_closed_reader_of_stderr_never_raises(spawn):
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
