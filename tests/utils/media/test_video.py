"""Films: GIFs within their limits at true speed, MP4s of the whole episode, and nothing half-written."""

import itertools
import os

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from utils.errors import StorageError
from utils.media.video import HOLD, Gif, Mp4


def numbered(i, height=32, width=320):
    """A picture of the number `i`: sixteen bars, black or white, are its bits."""
    bits = (i >> np.arange(16)) & 1
    return np.broadcast_to(np.repeat(bits * 255, width // 16)[None, :, None], (height, width, 3)).astype(np.uint8)


def number_of(picture):
    """The number that is in a picture, whatever its colours have gone through."""
    bars = np.asarray(picture, float).mean(axis=(0, 2)).reshape(16, -1).mean(axis=1)
    return int(((bars > 127) << np.arange(16)).sum())


def noise(i, height, width):
    return np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)


def shoot(recording, frames):
    """Film an episode as play.py does: until the film wants no more."""
    for frame in frames:
        recording.add(frame)
        if not recording.wants_more():
            break
    recording.save()


def read_gif(path):
    """Its pictures, and for each the seconds that it is shown, without those that the last one is held."""
    with Image.open(path) as image:
        frames = [(np.asarray(frame.convert("RGB")), frame.info["duration"] / 1000) for frame in ImageSequence.Iterator(image)]
    pictures, seconds = [picture for picture, _ in frames], [time for _, time in frames]
    return pictures, [*seconds[:-1], round(seconds[-1] - HOLD, 3)]


def read_mp4(path):
    """Its pictures and its frames per second."""
    video = cv2.VideoCapture(str(path))
    pictures = []
    while True:
        read, picture = video.read()
        if not read:
            break
        pictures.append(picture[:, :, ::-1])
    fps = video.get(cv2.CAP_PROP_FPS)
    video.release()
    return pictures, fps


# ---- GIF


@pytest.mark.parametrize(
    ("fps", "shown"),
    [(30, 15), (50, 25), (60, 20), (100, 25), (12, 12), (20, 20), (24, 24), (25, 25), (26, 13), (62.5, 62.5 / 3)],
)
def test_a_gif_shows_12_to_25_pictures_a_second_at_true_speed(tmp_path, fps, shown):
    shoot(Gif(tmp_path / "film.gif", fps), (numbered(i) for i in range(int(4 * fps))))
    pictures, seconds = read_gif(tmp_path / "film.gif")
    assert 12 <= shown <= 25
    assert len(pictures) / sum(seconds) == pytest.approx(shown, rel=0.02)
    begins = [0, *itertools.accumulate(seconds)]
    for picture, begin in zip(pictures, begins, strict=False):  # each at the time when it was filmed
        assert number_of(picture) / fps == pytest.approx(begin, abs=0.006)  # a GIF counts in hundredths
    assert min(seconds[:-1]) >= 0.02  # below that, browsers show a picture for a tenth of a second


def test_an_environment_slower_than_12_a_second_keeps_every_picture(tmp_path):
    shoot(Gif(tmp_path / "film.gif", 5), (numbered(i) for i in range(10)))
    pictures, seconds = read_gif(tmp_path / "film.gif")
    assert [number_of(picture) for picture in pictures] == list(range(10))
    assert seconds == [0.2] * 10


@pytest.mark.parametrize("fps", [30, 50, 60, 100])
def test_a_gif_ends_after_ten_seconds(tmp_path, fps):
    recording, taken = Gif(tmp_path / "film.gif", fps), 0
    while recording.wants_more():
        recording.add(numbered(taken, 16))
        taken += 1
    assert taken == 10 * fps
    recording.add(numbered(0))  # a frame beyond the last is ignored
    recording.save()
    pictures, seconds = read_gif(tmp_path / "film.gif")
    assert sum(seconds) == pytest.approx(10.0, abs=0.011)
    assert number_of(pictures[-1]) > 9.9 * fps


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 600), (213, 320)), ((500, 500), (320, 320)), ((50, 321), (50, 320)), ((60, 80), (60, 80))]
)
def test_a_gif_is_at_most_320_pixels_wide_and_keeps_its_proportions(tmp_path, size, expected):
    shoot(Gif(tmp_path / "film.gif", 25), (np.full((*size, 3), 40 * i, np.uint8) for i in range(3)))
    pictures, _ = read_gif(tmp_path / "film.gif")
    assert pictures[0].shape == (*expected, 3)


def test_a_large_gif_first_drops_frames_then_its_end(tmp_path):
    # Beside the numbers there is too much noise for this size at 25 pictures a second; 12.5 are still enough.
    frames = (np.concatenate([numbered(i, 4), noise(i, 11, 320)]) for i in range(140))
    shoot(Gif(tmp_path / "film.gif", 50, most_bytes=250_000), frames)
    pictures, seconds = read_gif(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").stat().st_size <= 250_000
    assert (len(pictures) - 1) / sum(seconds) == pytest.approx(12.5)  # and the last frame
    assert sum(seconds) == pytest.approx(2.8)
    begins = [0, *itertools.accumulate(seconds)]
    for picture, begin in zip(pictures, begins, strict=False):
        assert number_of(picture[:4]) / 50 == pytest.approx(begin, abs=0.006)


def test_a_noisy_gif_that_cannot_lose_pictures_loses_its_end(tmp_path):
    shoot(Gif(tmp_path / "film.gif", 15, most_bytes=250_000), (noise(i, 20, 320) for i in range(32)))
    pictures, seconds = read_gif(tmp_path / "film.gif")
    assert (tmp_path / "film.gif").stat().st_size <= 250_000
    assert 16 <= len(pictures) < 32
    assert len(pictures) / sum(seconds) == pytest.approx(15, rel=0.02)


def test_a_gif_has_at_most_a_megabyte_unless_told_otherwise(tmp_path):
    assert Gif(tmp_path / "film.gif", 25)._most_bytes == 1_000_000


def test_gif_keeps_colours(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40]], np.uint8)
    frame = np.repeat(np.repeat(colours[None], 20, axis=0), 20, axis=1)
    shoot(Gif(tmp_path / "film.gif", 25), [frame, np.roll(frame, 20, axis=1)])
    pictures, _ = read_gif(tmp_path / "film.gif")
    assert np.abs(pictures[0][10, 10::20].astype(int) - colours).max() <= 16


def test_repeated_frames_keep_their_duration(tmp_path):
    shoot(Gif(tmp_path / "film.gif", 50), (numbered(0 if i < 50 else 1) for i in range(100)))
    pictures, seconds = read_gif(tmp_path / "film.gif")
    still = [time for picture, time in zip(pictures, seconds, strict=True) if number_of(picture) == 0]
    assert sum(still) == pytest.approx(1.0)
    assert sum(seconds) == pytest.approx(2.0)


def test_the_last_frame_of_a_short_episode_is_held(tmp_path):
    shoot(Gif(tmp_path / "film.gif", 50), (numbered(i) for i in (1, 2, 3)))
    with Image.open(tmp_path / "film.gif") as image:
        durations = [frame.info["duration"] / 1000 for frame in ImageSequence.Iterator(image)]
    assert durations == [0.04, 1.52]  # of 50 frames a second every other is shown


@pytest.mark.parametrize("fps", [30, 50, 60, 100])
@pytest.mark.parametrize("count", [4, 5, 6, 7])
def test_the_last_frame_is_shown_where_the_frame_rate_drops_others(tmp_path, fps, count):
    shoot(Gif(tmp_path / "film.gif", fps), (numbered(i) for i in range(count)))
    pictures, seconds = read_gif(tmp_path / "film.gif")
    assert number_of(pictures[0]) == 0
    assert number_of(pictures[-1]) == count - 1
    assert sum(seconds) == pytest.approx(count / fps, abs=0.006)


def test_an_episode_of_one_frame_is_a_repeating_gif(tmp_path):
    shoot(Gif(tmp_path / "film.gif", 30), [numbered(7)])
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 1
        assert number_of(image.convert("RGB")) == 7
    shoot(Gif(tmp_path / "film.gif", 30), [numbered(1), numbered(1), numbered(2)])
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["loop"] == 0  # without end


def test_a_gif_makes_its_folder_and_leaves_nothing_else_in_it(tmp_path):
    shoot(Gif(tmp_path / "video" / "deep" / "film.gif", 25), [numbered(1), numbered(2)])
    assert os.listdir(tmp_path / "video" / "deep") == ["film.gif"]


@pytest.mark.parametrize("kind", [Gif, Mp4])
def test_a_file_in_place_of_the_folder_raises_storage_error(tmp_path, kind):
    (tmp_path / "video").write_text("")
    path = tmp_path / "video" / ("film.gif" if kind is Gif else "film.mp4")
    with pytest.raises(StorageError) as error:
        shoot(kind(path, 25), [numbered(1), numbered(2)])
    assert str(path) in str(error.value)


# ---- MP4


@pytest.mark.parametrize("kind", [Gif, Mp4])
def test_close_without_save_leaves_no_file_and_keeps_the_previous_one(tmp_path, kind):
    path = tmp_path / "film"
    path.write_text("the one before")
    recording = kind(path.with_suffix(".mp4") if kind is Mp4 else path, 30)
    recording.add(np.zeros((64, 64, 3), np.uint8))
    recording.close()
    assert [file.name for file in tmp_path.iterdir()] == ["film"]
    assert path.read_text() == "the one before"


@pytest.mark.parametrize(("height", "width"), [(64, 320), (61, 321)])
def test_an_mp4_has_every_picture_in_full_size_at_the_true_rate(tmp_path, height, width):
    shoot(
        Mp4(tmp_path / "film.mp4", 30), (np.pad(numbered(i), ((0, height - 32), (0, width - 320), (0, 0))) for i in range(40))
    )
    pictures, fps = read_mp4(tmp_path / "film.mp4")
    assert fps == 30
    assert pictures[0].shape == (height // 2 * 2, width // 2 * 2, 3)  # the format wants even numbers
    assert [number_of(picture[:32, :320]) for picture in pictures] == list(range(40))
    assert os.listdir(tmp_path) == ["film.mp4"]


def test_an_mp4_has_no_length_limit(tmp_path):
    recording = Mp4(tmp_path / "film.mp4", 10)
    for i in range(150):  # 15 seconds
        assert recording.wants_more()
        recording.add(numbered(i, 16))
    recording.save()
    pictures, _ = read_mp4(tmp_path / "film.mp4")
    assert len(pictures) == 150


# ---- a full disk

FULL = """
import os, resource, sys
from pathlib import Path
import numpy as np
from utils.errors import StorageError
from utils.media.video import Gif, Mp4

kind, path, frames, limit = {"Gif": Gif, "Mp4": Mp4}[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), 20_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    film = kind(path, 25)
    for i in range(frames):
        film.add(np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8))
    film.save()
    print("saved")
except StorageError as error:
    print(error)
"""


# Few pictures wait in the encoder until the end; many overtax the disk while they are added.
@pytest.mark.parametrize(("kind", "frames"), [("Gif", 20), ("Mp4", 10), ("Mp4", 2000)])
def test_a_full_disk_raises_storage_error_and_keeps_the_previous_recording(tmp_path, run_code, kind, frames):
    path = tmp_path / "video" / f"film.{kind.lower()}"
    path.parent.mkdir()
    path.write_text("the film of yesterday")
    ended = run_code(FULL, kind, path, frames)
    assert ended.stdout.startswith(f"{path} could not be written"), ended.stdout + ended.stderr
    assert path.read_text() == "the film of yesterday"
    assert os.listdir(path.parent) == [path.name]
    assert len(ended.stdout.splitlines()) == 1  # one sentence


def test_with_one_palette_a_colour_stays_the_same_in_every_picture(tmp_path):
    scale = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(20, axis=0)  # of grey, in all of them
    pictures = [np.vstack([scale, noise(i, 20, 256)]) for i in range(6)]
    for one_palette, different in ((True, False), (False, True)):
        shoot(Gif(tmp_path / "film.gif", 12, one_palette=one_palette), pictures)
        shown, _ = read_gif(tmp_path / "film.gif")
        assert any((picture[:20] != shown[0][:20]).any() for picture in shown) is different
