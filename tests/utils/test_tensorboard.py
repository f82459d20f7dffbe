"""TensorBoard's event file, read without TensorBoard: each record is a length, its checksum, an event, its checksum."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from event_files import events_in, scalars_in
from tensorboardX.proto.event_pb2 import SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from utils.tensorboard import TensorBoardWriter

ROOT = Path(__file__).resolve().parents[2]


def test_numbers_are_events_by_name_and_step(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.scalars({"learner/loss": 0.5, "learner/updates": 3}, 8)
    writer.scalars({"agent 0/return": -1.5}, 10**12)
    writer.close()
    assert scalars_in(tmp_path) == [
        ("learner/loss", 8, 0.5),
        ("learner/updates", 8, 3.0),
        ("agent_0/return", 10**12, -1.5),  # TensorBoard's names have no blanks
    ]


def test_the_file_says_its_version_first(tmp_path):
    TensorBoardWriter(tmp_path).close()
    first, *rest = events_in(tmp_path)
    assert first.file_version == "brain.Event:2"
    assert rest == []


def test_every_event_has_its_time(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.scalars({"loss": 0.5}, 8)
    writer.close()
    assert all(event.wall_time > 1e9 for event in events_in(tmp_path))


def test_a_resume_writes_the_step_after_which_earlier_events_are_dropped(tmp_path):
    TensorBoardWriter(tmp_path, resumed_after=5000).close()
    _, event = events_in(tmp_path)
    assert event.session_log.status == SessionLog.START
    assert event.step == 5001


def test_a_resume_at_step_zero_is_one(tmp_path):
    TensorBoardWriter(tmp_path, resumed_after=0).close()
    assert events_in(tmp_path)[-1].session_log.status == SessionLog.START


def test_files_opened_in_the_same_second_have_different_names(tmp_path):
    writers = [TensorBoardWriter(tmp_path) for _ in range(3)]
    for step, writer in enumerate(writers):
        writer.scalars({"eval/score": -150.0}, step)
        writer.close()
    assert sorted(scalars_in(tmp_path)) == [("eval/score", step, -150.0) for step in range(3)]


def test_another_process_adds_to_the_same_run(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.scalars({"loss/critic_loss": 0.5}, 8)
    code = (
        "import sys; from pathlib import Path; from utils.tensorboard import TensorBoardWriter\n"
        "TensorBoardWriter(Path(sys.argv[1])).scalars({'eval/score': -150.0}, 8)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    writer.scalars({"loss/critic_loss": 0.25}, 16)
    writer.close()
    expected = [("eval/score", 8, -150.0), ("loss/critic_loss", 8, 0.5), ("loss/critic_loss", 16, 0.25)]
    assert sorted(scalars_in(tmp_path)) == expected


def test_flushed_events_can_be_read_during_training(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.scalars({"loss": 0.5}, 8)
    writer.flush()
    writer.scalars({"loss": 0.25}, 16)
    assert ("loss", 8, 0.5) in scalars_in(tmp_path)
    writer.close()


def test_the_folder_is_made(tmp_path):
    TensorBoardWriter(tmp_path / "logs" / "tensorboard").close()
    assert len(events_in(tmp_path / "logs" / "tensorboard")) == 1


def test_a_file_in_place_of_the_folder_raises(tmp_path):
    (tmp_path / "logs").touch()
    with pytest.raises(OSError, match="logs"):
        TensorBoardWriter(tmp_path / "logs" / "tensorboard")


FULL = """
import resource, sys
from pathlib import Path
from utils.tensorboard import TensorBoardWriter
writer = TensorBoardWriter(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    for step in range(1000):
        writer.scalars({"loss": 0.5}, step)
except OSError:
    print("raised")
"""


def test_a_full_disk_raises_in_the_thread_that_writes(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.stdout == "raised\n", done.stderr


def test_writer_starts_no_thread_and_imports_no_pickle(tmp_path):
    code = (
        "import sys, threading; from pathlib import Path; from utils.tensorboard import TensorBoardWriter; seen = []\n"
        "sys.addaudithook(lambda event, _: seen.append(event) if event in ('pickle.find_class', 'socket.bind') else None)\n"
        "writer = TensorBoardWriter(Path(sys.argv[1])); writer.scalars({'loss': 0.5}, 8)\n"
        "print(threading.active_count(), seen)\n"
        "writer.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.stdout == "1 []\n", done.stderr


def test_a_histogram_is_its_edges_and_counts(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.histogram("value/returns", np.array([-1.0, 0.0, 1.0, 3.0]), np.array([0.5, 0.0, 2.0]), 8)
    writer.close()
    (event,) = events_in(tmp_path)[1:]
    (value,) = event.summary.value
    histogram = value.histo
    assert (event.step, value.tag, histogram.min, histogram.max, histogram.num) == (8, "value/returns", -1.0, 3.0, 2.5)
    assert (list(histogram.bucket_limit), list(histogram.bucket)) == ([0.0, 1.0, 3.0], [0.5, 0.0, 2.0])
    assert (histogram.sum, histogram.sum_squares) == (-0.5 * 0.5 + 2.0 * 2.0, 0.25 * 0.5 + 4.0 * 2.0)  # at the middles


def test_a_gif_is_an_image_as_it_is(tmp_path):
    content = b"GIF89a" + struct.pack("<HH", 320, 200) + b"rest"
    writer = TensorBoardWriter(tmp_path)
    writer.gif("film", content, 8)
    writer.close()
    image = events_in(tmp_path)[1].summary.value[0].image
    assert (image.width, image.height, image.encoded_image_string) == (320, 200, content)


def test_hyper_parameters_come_with_the_scores_they_led_to(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.hparams({"tau": 0.5, "env": "Toy-v0", "render": False, "obs_mean": None}, {"score/final": -1.5}, 8)
    writer.close()
    values = {value.tag: value for event in events_in(tmp_path) for value in event.summary.value}
    content = values["_hparams_/session_start_info"].metadata.plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert (settings["tau"].number_value, settings["env"].string_value, set(settings)) == (
        0.5,
        "Toy-v0",
        {"tau", "env", "render"},
    )
    assert values["score/final"].simple_value == -1.5
