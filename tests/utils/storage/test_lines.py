"""Lines appended to files: whole, in order, beside other writers, after kills and on a full disk."""

import csv
import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.storage.lines import append_lines, csv_line

ROOT = Path(__file__).resolve().parents[3]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\r")), min_size=1, max_size=6))  # csv leaves \r unquoted in 3.11
def test_a_csv_line_reads_back_as_it_was(values):
    line = csv_line(values)
    assert line.endswith("\n")
    assert list(csv.reader(io.StringIO(line, newline=""))) == [values]


def test_a_csv_line_quotes_what_needs_it():
    assert csv_line([1, 2.5, "a,b", 'say "x"', "", None]) == '1,2.5,"a,b","say ""x""",,\n'


def test_lines_are_appended_in_order(tmp_path):
    path = tmp_path / "log"
    append_lines(path, "one\n")
    append_lines(path, "two\nthree\n")
    append_lines(path, "four\n", durable=True)
    assert path.read_text() == "one\ntwo\nthree\nfour\n"


def test_text_is_written_as_utf_8(tmp_path):
    append_lines(tmp_path / "log", "küche ✓\n")
    assert (tmp_path / "log").read_bytes() == "küche ✓\n".encode()


@pytest.mark.parametrize("rest", [b"hal", b"\xc3"])  # the second half of a letter may be missing too
def test_an_incomplete_line_is_ended_first(tmp_path, rest):
    path = tmp_path / "log"
    path.write_bytes(b"whole\n" + rest)
    append_lines(path, "next\n")
    assert path.read_bytes() == b"whole\n" + rest + b"\nnext\n"


def test_an_empty_file_gets_no_empty_line(tmp_path):
    path = tmp_path / "log"
    path.touch()
    append_lines(path, "first\n")
    assert path.read_text() == "first\n"


def test_a_file_that_cannot_be_opened_raises(tmp_path):
    with pytest.raises(OSError, match="directory"):
        append_lines(tmp_path, "line\n")
    with pytest.raises(FileNotFoundError):
        append_lines(tmp_path / "missing" / "log", "line\n")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        append_lines(tmp_path / "file" / "log", "line\n")


@pytest.mark.parametrize("length", [20, 10_000, 20_000, 30_000, 40_000])  # a long one is seen half written by others
def test_concurrent_writers_neither_lose_nor_mix_lines(tmp_path, length):
    path, writers, lines = tmp_path / "log", 4, 60
    start = threading.Barrier(writers)

    def write(name):
        start.wait(30)
        for i in range(lines):
            append_lines(path, f"{name} {i} {'x' * length}|\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = path.read_text().splitlines()
    for name in range(writers):
        mine = [line for line in found if line.startswith(f"{name} ")]
        assert mine == [f"{name} {i} {'x' * length}|" for i in range(lines)]
    assert len(found) == writers * lines  # no empty one: a line that is being written is not one that was cut short


# A limit on the size of files is what a full disk is: a write that crosses it is cut short, the next one fails.
ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from utils.storage.lines import append_lines
path = Path(sys.argv[1])
append_lines(path, "0123456789\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
try:
    append_lines(path, "a line that does not fit\\n")
except OSError as error:
    print("raised")
"""


def on_a_full_disk(path):
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


def test_a_line_that_does_not_fit_on_the_disk_raises(tmp_path):
    done = on_a_full_disk(tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "raised\n"


def test_a_line_that_does_not_fit_leaves_nothing_behind(tmp_path):
    # A part of it could be read as a line: half a header, a number without its end.
    path = tmp_path / "log"
    on_a_full_disk(path)
    assert path.read_text() == "0123456789\n"
    append_lines(path, "next\n")
    assert path.read_text() == "0123456789\nnext\n"


UNTIL_KILLED = """
import sys
from itertools import count
from pathlib import Path
from utils.storage.lines import append_lines
for i in count():
    append_lines(Path(sys.argv[1]), f"{sys.argv[2]} {i} {'x' * 500}|\\n")
"""


def test_a_kill_leaves_at_most_one_incomplete_line(tmp_path):
    path = tmp_path / "log"
    path.touch()
    for name in "abcd":
        size = path.stat().st_size
        writer = subprocess.Popen([sys.executable, "-c", UNTIL_KILLED, str(path), name], cwd=ROOT)
        deadline = time.monotonic() + 60
        while path.stat().st_size < size + 10_000 and time.monotonic() < deadline:
            time.sleep(0.001)
        writer.kill()
        writer.wait()
    append_lines(path, "end\n")
    lines = path.read_text().splitlines()
    assert lines.pop() == "end"
    for name in "abcd":
        mine = [line for line in lines if line.startswith(name)]
        whole = [f"{name} {i} {'x' * 500}|" for i in range(len(mine))]
        assert len(mine) > 5
        assert mine[:-1] == whole[:-1]
        assert whole[-1].startswith(mine[-1])
        lines = lines[len(mine) :]
    assert lines == []
