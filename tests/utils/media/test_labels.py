"""Text on a picture: where it stands, counted in pixels, and that it never overlaps."""

import itertools

import numpy as np
import pytest

from utils.media.labels import Labels

BLACK = (0, 0, 0)


def blank(width=320, height=40):
    return Labels(np.full((height, width, 3), 255, np.uint8))


def ink(labels):
    """The columns that hold dark pixels."""
    return np.flatnonzero((labels.picture() < 128).all(axis=2).any(axis=0))


@pytest.mark.parametrize(
    ("align", "x", "first", "last"), [("left", 100, 100, 140), ("middle", 160, 140, 180), ("right", 200, 160, 200)]
)
def test_text_stands_where_it_is_aligned(align, x, first, last):
    labels = blank()
    assert labels.write("-2000", x, 25, 12, BLACK, align)
    assert first <= ink(labels).min()
    assert ink(labels).max() <= last


def test_a_label_that_would_touch_another_is_left_out():
    labels = blank()
    assert labels.write("-2000", 10, 25, 12, BLACK)
    before = labels.picture()
    assert not labels.write("0", 30, 25, 12, BLACK)
    np.testing.assert_array_equal(labels.picture(), before)
    assert labels.write("0", 60, 25, 12, BLACK)
    assert len(labels.boxes) == 2


def test_a_label_that_would_leave_the_picture_is_left_out():
    assert not blank(width=20).write("-2000", 5, 25, 12, BLACK)


def test_text_wider_than_its_room_is_drawn_smaller():
    labels = blank()
    labels.write("so far -123456", 5, 25, 12, BLACK, room=60)
    assert ink(labels).max() <= 65


@pytest.mark.parametrize("text", ["2000", "0.0", "-1000", "888"])
def test_digits_do_not_touch_each_other(text):
    labels = blank()
    labels.write(text, 10, 25, 12, BLACK)
    assert np.count_nonzero(np.diff(ink(labels), prepend=-9) > 1) == len(text)


def test_labels_do_not_overlap_whatever_is_written():
    labels = blank(120)
    for x in range(0, 120, 7):
        labels.write("123", x, 20 + x % 5, 12, BLACK, "middle")
    for one, other in itertools.combinations(labels.boxes, 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] <= other[1] or other[3] <= one[1]
