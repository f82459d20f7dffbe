"""Logs: what is written, what a resume cuts, and that nothing that goes wrong with them reaches training."""

import csv
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from event_files import scalars_in

from utils.logs import Metrics, read_log
from utils.tensorboard import TensorBoardWriter

ROOT = Path(__file__).resolve().parents[2]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def written(path, steps):
    """A log as an earlier training left it."""
    metrics = Metrics(path, "learner_step")
    for step in steps:
        metrics.write(step, loss=step / 2)
    return path.read_text()


# ---- what is written


def test_the_first_row_decides_the_columns(tmp_path):
    metrics = Metrics(tmp_path / "learner.csv", "learner_step")
    metrics.write(8, loss=0.5, note="words")
    metrics.write(16, note="late", loss=0.25, unknown=3)
    metrics.write(24, loss=0.125)
    assert rows_of(tmp_path / "learner.csv") == [
        ["learner_step", "loss", "note"],
        ["8", "0.5", "words"],
        ["16", "0.25", "late"],
        ["24", "0.125", ""],
    ]
    assert metrics.failure is None


def test_each_row_is_on_the_disk_at_once(tmp_path):
    metrics = Metrics(tmp_path / "learner.csv", "learner_step")
    for rows in range(1, 4):
        metrics.write(rows, loss=0.0)
        assert len(rows_of(tmp_path / "learner.csv")) == rows + 1


def test_the_folder_is_made(tmp_path):
    Metrics(tmp_path / "logs" / "Pendulum-v1" / "learner.csv", "learner_step").write(1, loss=0.5)
    assert len(rows_of(tmp_path / "logs" / "Pendulum-v1" / "learner.csv")) == 2


def test_tensorboard_gets_the_numbers_by_group_and_name(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    metrics = Metrics(tmp_path / "learner.csv", "learner_step", writer)
    metrics.write(8, group="learner/", loss=0.5, updates=3, note="no number")
    metrics.write(16, group="learner/", loss=0.25)
    writer.close()
    assert scalars_in(tmp_path) == [("learner/loss", 8, 0.5), ("learner/updates", 8, 3.0), ("learner/loss", 16, 0.25)]
    assert metrics.failure is None


def test_rows_of_many_threads_stay_complete(tmp_path):
    metrics = Metrics(tmp_path / "agents.csv", "env_step")
    start = threading.Barrier(5)

    def write(agent):
        start.wait(30)
        for i in range(60):
            metrics.write(i, agent=agent, length=1000 * agent + i)

    threads = [threading.Thread(target=write, args=(agent,)) for agent in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    header, *rows = rows_of(tmp_path / "agents.csv")
    assert header == ["env_step", "agent", "length"]
    for agent in range(5):
        mine = [row for row in rows if row[1] == str(agent)]
        assert mine == [[str(i), str(agent), str(1000 * agent + i)] for i in range(60)]
    assert len(rows) == 300


# ---- what a resume cuts


def test_a_new_training_begins_with_an_empty_log(tmp_path):
    path = tmp_path / "learner.csv"
    written(path, [8, 16])
    Metrics(path, "learner_step").write(3, other=1)
    assert rows_of(path) == [["learner_step", "other"], ["3", "1"]]


@pytest.mark.parametrize(
    ("keep_through", "kept"),
    [(100, [0, 8, 16, 24]), (24, [0, 8, 16, 24]), (23, [0, 8, 16]), (16, [0, 8, 16]), (0, [0]), (-1, [])],
)
def test_a_resume_cuts_what_came_after_its_checkpoint(tmp_path, keep_through, kept):
    path = tmp_path / "learner.csv"
    before = written(path, [0, 8, 16, 24])
    metrics = Metrics(path, "learner_step", keep_through=keep_through)
    assert path.read_text() == "".join(before.splitlines(keepends=True)[: len(kept) + 1])  # to the byte
    metrics.write(999, loss=0.5)
    assert [row[0] for row in rows_of(path)] == ["learner_step", *map(str, kept), "999"]  # with no second header


def test_rows_of_a_step_that_came_twice_are_cut_by_their_step_not_by_their_place(tmp_path):
    path = tmp_path / "agents.csv"
    written(path, [5, 30, 10, 31, 12])  # agents finish their episodes out of order
    Metrics(path, "learner_step", keep_through=20)
    assert [row[0] for row in rows_of(path)] == ["learner_step", "5", "10", "12"]


@pytest.mark.parametrize("missing", ["file", "folder", "content"])
def test_a_resume_without_a_log_begins_one(tmp_path, missing):
    path = tmp_path / "logs" / "learner.csv"
    if missing != "folder":
        path.parent.mkdir()
    if missing == "content":
        path.touch()
    metrics = Metrics(path, "learner_step", keep_through=100)
    metrics.write(108, loss=0.5)
    assert rows_of(path) == [["learner_step", "loss"], ["108", "0.5"]]
    assert metrics.failure is None


@pytest.mark.parametrize("rest", ["1", "16,", "16,0.2", "16,0.25,b", "16,0.25,9,9\n", "\n\n"])
def test_a_resume_drops_incomplete_and_malformed_rows(tmp_path, rest):
    path = tmp_path / "learner.csv"
    path.write_text("learner_step,loss,note\n8,0.5,a\n" + rest)
    metrics = Metrics(path, "learner_step", keep_through=16)
    metrics.write(24, loss=0.125, note="c")
    assert rows_of(path) == [["learner_step", "loss", "note"], ["8", "0.5", "a"], ["24", "0.125", "c"]]
    assert metrics.failure is None


@pytest.mark.parametrize("damaged", [b"1x,0.5", b"\xff,0.5", b"\xff", b"-,", b"1e9,0.5"])
def test_a_damaged_row_does_not_keep_the_rows_past_the_checkpoint(tmp_path, damaged):
    path = tmp_path / "learner.csv"
    path.write_bytes(b"learner_step,loss\n8,0.5\n" + damaged + b"\n16,0.5\n24,0.5\n")
    Metrics(path, "learner_step", keep_through=16)
    assert rows_of(path) == [["learner_step", "loss"], ["8", "0.5"], ["16", "0.5"]]


# ---- what goes wrong


def file_in_place_of_the_folder(tmp_path):
    (tmp_path / "logs").touch()
    return tmp_path / "logs" / "learner.csv"


def folder_in_place_of_the_file(tmp_path):
    (tmp_path / "learner.csv").mkdir()
    return tmp_path / "learner.csv"


@pytest.mark.parametrize("keep_through", [None, 10])
@pytest.mark.parametrize("obstacle", [file_in_place_of_the_folder, folder_in_place_of_the_file])
def test_a_write_error_is_reported_once_and_never_raises(tmp_path, obstacle, keep_through):
    path = obstacle(tmp_path)
    metrics = Metrics(path, "learner_step", keep_through=keep_through)
    first = metrics.failure
    assert str(path) in first
    for step in range(3):
        metrics.write(step, loss=0.5)
    assert metrics.failure == first


def test_rows_after_a_failure_have_their_header_once_there_is_room(tmp_path):
    path = folder_in_place_of_the_file(tmp_path)
    metrics = Metrics(path, "learner_step")
    metrics.write(8, loss=0.5)
    path.rmdir()
    metrics.write(16, loss=0.25)
    metrics.write(24, loss=0.125)
    assert rows_of(path) == [["learner_step", "loss"], ["16", "0.25"], ["24", "0.125"]]


DAMAGED = {
    "binary": b"\xff\xfe\x00\x01" * 50,
    "zeros": b"\0" * 100,  # what a power loss may leave
    "another table": b"other,columns\n1,2\n",
    "a flipped byte": b"learner_step,loss\n8,0.5\n\xff\n16,0.25\n",
    "a flipped quote": b'learner_step,loss\n8,"' + b"0.5\n16,0.25\n" * 20_000,  # a field longer than csv allows
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_log_never_raises_and_accepts_new_rows(tmp_path, damage):
    path = tmp_path / "learner.csv"
    path.write_bytes(DAMAGED[damage])
    metrics = Metrics(path, "learner_step", keep_through=16)
    metrics.write(24, loss=0.125)
    metrics.write(32, loss=0.0625)
    assert path.read_bytes().splitlines()[-2:] == [b"24,0.125", b"32,0.0625"]


def on_a_full_disk(script, *arguments):
    # A limit on the size of files is what a full disk is: a write that crosses it is cut short, the next one fails.
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom utils.tensorboard import TensorBoardWriter\n"
        "from utils.logs import Metrics\n" + script
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


def test_a_full_disk_loses_rows_only(tmp_path):
    script = """
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
metrics = Metrics(Path(sys.argv[1]), "learner_step")
for step in range(50):
    metrics.write(step, loss=0.5)
print(metrics.failure)
"""
    done = on_a_full_disk(script, tmp_path / "learner.csv")
    assert done.returncode == 0, done.stderr
    assert "learner.csv could not be written" in done.stdout
    assert rows_of(tmp_path / "learner.csv")[:3] == [["learner_step", "loss"], ["0", "0.5"], ["1", "0.5"]]


@pytest.mark.parametrize("room", [0, 10, 25])  # no header, half of it, half of the first row
def test_once_the_disk_has_room_again_the_log_can_be_read(tmp_path, room):
    script = """
metrics = Metrics(Path(sys.argv[1]), "learner_step")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), most))
metrics.write(8, loss=0.123456)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
metrics.write(16, loss=0.25)
"""
    done = on_a_full_disk(script, tmp_path / "learner.csv", room)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "learner.csv") == [["learner_step", "loss"], ["16", "0.25"]]


def test_a_full_disk_under_tensorboard_never_raises_or_blocks(tmp_path):
    # TensorBoard's own writers feed a thread through a queue: when that thread has died, the queue fills up.
    script = """
import faulthandler
from utils.tensorboard import TensorBoardWriter
faulthandler.dump_traceback_later(15, exit=True)  # only a hang gets there
metrics = Metrics(Path(sys.argv[1]) / "learner.csv", "learner_step", TensorBoardWriter(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
for step in range(300):
    metrics.write(step, loss=0.5, mean_q=0.5)
print(metrics.failure)
"""
    done = on_a_full_disk(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != "None"  # it is said
    assert len(rows_of(tmp_path / "learner.csv")) == 301  # for which there was room


def test_a_full_disk_at_a_resume_keeps_the_log_so_far(tmp_path):
    path = tmp_path / "learner.csv"
    before = written(path, range(100))
    script = """
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
print(Metrics(Path(sys.argv[1]), "learner_step", keep_through=90).failure)
"""
    done = on_a_full_disk(script, path)
    assert done.returncode == 0, done.stderr
    assert "could not be written" in done.stdout
    assert path.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["learner.csv"]


def test_a_log_deleted_during_training_is_created_again(tmp_path):
    path = tmp_path / "learner.csv"
    metrics = Metrics(path, "learner_step")
    metrics.write(8, loss=0.5)
    path.unlink()
    metrics.write(16, loss=0.25)
    assert rows_of(path) == [["learner_step", "loss"], ["16", "0.25"]]


@pytest.mark.parametrize("value", [np.nan, np.inf, True, None, "text", np.float64(1.5), np.float32(1.5)])
def test_any_value_can_be_logged(tmp_path, value):
    writer = TensorBoardWriter(tmp_path)
    metrics = Metrics(tmp_path / "learner.csv", "learner_step", writer)
    metrics.write(8, value=value)
    writer.close()
    assert rows_of(tmp_path / "learner.csv")[1] == ["8", "" if value is None else str(value)]
    assert metrics.failure is None


def test_each_column_can_have_a_group_and_those_without_one_are_not_shown(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    groups = {"loss": "critic/", "beta": "replay/"}
    Metrics(tmp_path / "learner.csv", "learner_step", writer).write(8, groups, loss=0.5, beta=1, agent=3)
    writer.close()
    assert scalars_in(tmp_path) == [("critic/loss", 8, 0.5), ("replay/beta", 8, 1.0)]
    assert rows_of(tmp_path / "learner.csv")[1] == ["8", "0.5", "1", "3"]


def test_two_logs_with_different_steps_share_a_board(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    learner, agents = (Metrics(tmp_path / f"{name}.csv", f"{name}_step", writer) for name in ("learner", "env"))
    learner.write(8, loss=0.5)
    agents.write(640, "rollout/", tensorboard_step=8, length=200)
    writer.close()
    assert scalars_in(tmp_path) == [("loss", 8, 0.5), ("rollout/length", 8, 200.0)]
    assert rows_of(tmp_path / "env.csv")[1] == ["640", "200"]


def test_picture_that_fails_is_reported_and_does_not_raise(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    metrics = Metrics(tmp_path / "learner.csv", "learner_step", writer)
    metrics.write_to_tensorboard(lambda writer: 1 / 0)
    assert "division by zero" in metrics.failure
    metrics.write_to_tensorboard(lambda writer: writer.scalars({"later": 1.0}, 8))  # the file is as good as before
    assert scalars_in(tmp_path) == [("later", 8, 1.0)]
    writer.close()


def test_without_tensorboard_no_picture_is_written(tmp_path):
    metrics = Metrics(tmp_path / "learner.csv", "learner_step")
    metrics.write_to_tensorboard(lambda writer: 1 / 0)
    assert metrics.failure is None


def test_a_log_is_read_back_as_columns_of_numbers(tmp_path):
    metrics = Metrics(tmp_path / "learner.csv", "learner_step")
    metrics.write(8, loss=0.5, note="a word")
    metrics.write(16, loss=0.25, note="")
    with open(tmp_path / "learner.csv", "a") as file:
        file.write("24,0.1")  # cut short
    log = read_log(tmp_path / "learner.csv")
    assert (log["learner_step"].tolist(), log["loss"].tolist()) == ([8, 16], [0.5, 0.25])
    assert np.isnan(log["note"]).all()


@pytest.mark.parametrize("content", [None, "", "learner_step,loss\n"])
def test_a_log_that_is_not_there_or_empty_has_no_columns(tmp_path, content):
    if content is not None:
        (tmp_path / "learner.csv").write_text(content)
    assert read_log(tmp_path / "learner.csv") == {}
