"""The background writer: one job after the other, with bounded waits."""

import threading
import time

import pytest
from trainings import slowed

from utils.storage.background_writer import MOST_WAITING, BackgroundWriter


def test_jobs_are_done_in_the_order_they_came_and_in_one_other_thread():
    saver, done = BackgroundWriter("saver"), []
    for i in range(20):
        saver.submit(lambda i=i: done.append((i, threading.current_thread().name)))
    assert saver.wait(10.0)
    assert done == [(i, "saver") for i in range(20)]


def test_submit_blocks_only_when_the_queue_is_full():
    saver, go, handed = BackgroundWriter("saver"), threading.Event(), []
    saver.submit(go.wait)

    def hand_over():
        for i in range(MOST_WAITING + 1):
            saver.submit(lambda: None)
            handed.append(i)

    thread = threading.Thread(target=hand_over, daemon=True)
    thread.start()
    thread.join(0.3)
    waiting = thread.is_alive()
    go.set()
    thread.join(10.0)
    assert waiting
    assert handed == list(range(MOST_WAITING + 1))
    assert saver.wait(10.0)


def test_wait_returns_false_after_its_patience():
    saver, go = BackgroundWriter("saver"), threading.Event()
    saver.submit(go.wait)
    begun = time.monotonic()
    assert not saver.wait(0.3)
    assert 0.3 <= time.monotonic() - begun < slowed(5.0)
    go.set()
    assert saver.wait(10.0)


@pytest.mark.parametrize("ask", [lambda saver: saver.wait(10.0), lambda saver: saver.submit(lambda: None)])
def test_the_error_of_a_job_is_raised_once_by_the_next_call(ask):
    saver, done = BackgroundWriter("saver"), threading.Event()

    def fail():
        done.set()
        raise MemoryError("too much")

    saver.submit(fail)
    assert done.wait(10.0)
    saver._jobs.join()  # the job has ended and its error is kept
    with pytest.raises(MemoryError, match="too much"):
        ask(saver)
    saver.submit(lambda: None)  # the saver goes on
    assert saver.wait(10.0)


def test_a_hanging_job_does_not_keep_the_process_alive(run_code):
    ended = run_code("""
        import threading
        from utils.storage.background_writer import BackgroundWriter
        saver = BackgroundWriter("saver")
        saver.submit(threading.Event().wait)
        print(saver.wait(0.1))
    """)
    assert (ended.returncode, ended.stdout) == (0, "False\n")


def test_close_does_the_waiting_jobs_and_ends_the_thread():
    done, writer = [], BackgroundWriter("closing writer")
    writer.submit(lambda: done.append(1))
    writer.submit(lambda: done.append(2))
    assert writer.close(30.0)
    assert done == [1, 2]
    assert "closing writer" not in [thread.name for thread in threading.enumerate()]
    assert writer.close(30.0)  # a second time changes nothing


def test_close_returns_after_its_patience_despite_a_hanging_job():
    let_go, writer = threading.Event(), BackgroundWriter("hanging writer")
    for _ in range(3):  # the queue is full
        writer.submit(let_go.wait)
    assert not writer.close(0.2)
    let_go.set()
    assert writer.close(30.0)
