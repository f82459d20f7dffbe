"""Figures: the counts along an axis."""

import pytest

from utils.media.figures import thousands


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (950, "950"), (20_000, "20k"), (1_500_000, "1.5M")])
def test_axis_counts_are_abbreviated(value, shown):
    assert thousands(value) == shown
