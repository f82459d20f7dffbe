"""A curve of one line, with values by hand."""

import pytest

from utils.media.sparkline import ASCII, BinnedMeans, sparkline


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([-1600, -150], 40, "▁█"),
        ([0, 0, 7, 7], 2, "▁█"),  # neighbours are averaged
        ([0, 7, 0, 7], 2, "▅▅"),  # both means are 3.5
        ([5], 40, "▅"),
        ([0, 6, 0], 2, "█▁"),  # means of (0, 6) and (0)
    ],
)
def test_values_become_heights_between_their_minimum_and_maximum(values, width, drawn):
    assert sparkline(values, width) == drawn


def test_ascii_levels():
    assert sparkline(range(8), 8, ASCII) == "_.-=+*#@"


def test_bins_double_in_size_when_their_number_reaches_the_limit():
    means = BinnedMeans(4)
    seen = []
    for value in range(1, 9):
        means.add(value)
        seen.append(means.means)
    assert seen == [
        (1,),
        (1, 2),
        (1, 2, 3),
        (1.5, 3.5),  # 1 and 2, 3 and 4
        (1.5, 3.5),  # half of a bin is not shown
        (1.5, 3.5, 5.5),
        (1.5, 3.5, 5.5),
        (2.5, 6.5),
    ]


def test_a_long_run_needs_few_bins():
    means = BinnedMeans(40)
    for value in range(100_000):
        means.add(value)
    assert 20 <= len(means.means) < 40
