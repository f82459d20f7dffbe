"""Where a thread hangs, in a file."""

import threading

from utils.threads import write_thread_dumps


def waiting_for_godot(event):
    event.wait(30)


def test_dump_shows_name_and_current_line_of_a_hanging_thread(tmp_path):
    event = threading.Event()
    thread = threading.Thread(target=waiting_for_godot, args=(event,), name="agent 7", daemon=True)
    thread.start()
    path = tmp_path / "logs" / "stacks.txt"
    assert write_thread_dumps(path, [thread]) == f"its stack is in {path}"
    event.set()
    thread.join()
    first = path.read_text()
    assert " agent 7\n" in first
    assert "event.wait(30)" in first
    write_thread_dumps(path, [threading.current_thread()])
    assert path.read_text().startswith(first)  # appended
    assert "test_dump_shows_name_and_current_line" in path.read_text()[len(first) :]


def test_a_thread_that_has_ended_has_no_stack(tmp_path):
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    write_thread_dumps(tmp_path / "stacks.txt", [thread, threading.Thread()])
    assert (tmp_path / "stacks.txt").read_text() == ""


def test_write_thread_dumps_reports_a_write_error_without_raising(tmp_path):
    (tmp_path / "file").write_text("")
    said = write_thread_dumps(tmp_path / "file" / "stacks.txt", [threading.current_thread()])
    assert said.startswith("its stack could not be written: ")


def test_no_garbage_collection_runs_while_frames_are_read(run_code, tmp_path):
    # The look makes a frame object for each thread that it has not seen, and one of these makes a collection due. What there
    # is to collect, the storage of a thread, takes the lock that the look holds: in Python 3.11 nothing would ever run again.
    code = """
    import faulthandler, gc, sys, threading
    from pathlib import Path
    from utils.threads import write_thread_dumps

    faulthandler.dump_traceback_later(20, exit=True)
    over = threading.Event()
    for due in range(2, 30):
        for _ in range(10):
            threading.Thread(target=over.wait).start()
        gc.collect()
        gc.set_threshold(due)
        knot = [threading.local()]
        knot.append(knot)
        del knot
        write_thread_dumps(Path(sys.argv[1]), [])
    over.set()
    assert gc.isenabled()
    gc.disable()
    write_thread_dumps(Path(sys.argv[1]), [])
    assert not gc.isenabled()
    """
    done = run_code(code, tmp_path / "stacks.txt")
    assert done.returncode == 0, done.stderr
