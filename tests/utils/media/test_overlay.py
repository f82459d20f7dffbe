"""The panel under a picture: what stands where, counted in pixels."""

import numpy as np
import pytest

from utils.media.overlay import BLUE, GREEN, INK, VERMILION, fit, mass_window, side_by_side, with_panel, with_title

FRAME = np.zeros((100, 320, 3), np.uint8)
ATOMS = np.linspace(-20.0, 0.0, 51)


def panel(probs=None, score=0.0, action=(0.0,), low=(-2.0,), high=(2.0,), frame=FRAME, width=320, window=None):
    probs = np.full(51, 1 / 51) if probs is None else probs
    numbers = (np.array(part, float) for part in (action, low, high))
    picture = with_panel(frame, width, (ATOMS, probs), float(probs @ ATOMS), score, *numbers, window)
    return picture[fit(frame, width).shape[0] :]


def columns(picture, colour):
    """The columns in which a colour stands."""
    return np.flatnonzero((picture == colour).all(axis=2).any(axis=0))


def one_atom(place):
    probs = np.zeros(51)
    probs[place] = 1.0
    return probs


def test_the_picture_stays_above_the_panel():
    picture = with_panel(FRAME + 7, 320, (ATOMS, one_atom(3)), ATOMS[3], 0.0, np.zeros(1), -np.ones(1), np.ones(1))
    assert picture.shape == (100 + 109, 320, 3)
    assert (picture[:100] == 7).all()


def test_each_atom_is_a_bar_in_its_place():
    first, last = (columns(panel(one_atom(place)), BLUE) for place in (0, 50))
    assert len(columns(panel(), BLUE)) > 100  # all of them
    assert first.min() < 15
    assert last.max() > 180
    assert np.ptp(columns(panel(one_atom(25))[:80], BLUE)) < 6


def test_a_bars_height_is_its_share_of_the_greatest():
    probs = one_atom(10) * 0.8 + one_atom(40) * 0.2
    picture = (panel(probs) == BLUE).all(axis=2)
    tall, short = picture[:, :100].sum(axis=0).max(), picture[:, 100:].sum(axis=0).max()
    assert short / tall == pytest.approx(0.25, abs=0.05)


def test_the_mean_is_a_line_between_the_atoms():
    middle = columns(panel(one_atom(0) * 0.5 + one_atom(50) * 0.5)[32:], VERMILION)
    edge = columns(panel(one_atom(50))[32:], VERMILION)
    assert len(middle) <= 2
    assert middle[0] == pytest.approx((8 + 197) / 2, abs=3)
    assert edge[0] > 190


@pytest.mark.parametrize(("action", "low", "high"), [(2.0, -2.0, 2.0), (-2.0, -2.0, 2.0), (3.0, 1.0, 3.0), (-1.0, -3.0, 0.0)])
def test_an_action_is_a_bar_from_zero_or_the_nearer_bound(action, low, high):
    found = columns(panel(action=(action,), low=(low,), high=(high,)), GREEN)
    left, right = 205 + 6, 320 - 8
    ends = [left + (value - low) / (high - low) * (right - left) for value in sorted((np.clip(0.0, low, high), action))]
    assert (found.min(), found.max()) == pytest.approx(ends, abs=3)


@pytest.mark.parametrize(("low", "high", "marks"), [((-2.0,), (2.0,), 1), ((1.0,), (3.0,), 0), ((-1.0,) * 3, (3.0,) * 3, 3)])
def test_each_action_has_a_mark_at_zero_where_its_bounds_hold_it(low, high, marks):
    picture = panel(action=low, low=low, high=high)  # an action at its lower bound hides no mark
    left, right = 205 + 6, 320 - 8
    zero = round(left + (0.0 - low[0]) / (high[0] - low[0]) * (right - left)) if marks else (left + right) // 2
    rows = np.flatnonzero((picture[36:90, zero - 1 : zero + 2] == INK).all(axis=2).any(axis=1))
    assert np.count_nonzero(np.diff(rows, prepend=-9) > 1) == marks
    assert len(rows) >= 3 * marks


def test_a_window_enlarges_the_atoms_that_it_holds():
    narrow, wide = (columns(panel(one_atom(45), window=window)[40:85], BLUE) for window in ((-4.0, 0.0), None))
    assert np.ptp(narrow) > 3 * np.ptp(wide)
    assert len(columns(panel(one_atom(3), window=(-4.0, 0.0))[40:85], BLUE)) == 0  # outside, so not drawn


@pytest.mark.parametrize(
    ("places", "window"),
    [
        ((25,), (22, 29)),  # at least 8 atoms
        ((50,), (43, 50)),  # at an edge they extend inwards
        ((0,), (0, 7)),
        ((10, 30), (9, 31)),  # of all steps, and one atom more on each side
        ((0, 50), (0, 50)),
    ],
)
def test_the_window_of_an_episode_holds_the_mass_of_all_its_steps(places, window):
    found = mass_window(ATOMS, np.array([one_atom(place) for place in places]))
    assert found == pytest.approx(tuple(ATOMS[list(window)]))


def test_the_window_leaves_out_half_a_percent_on_each_side():
    probs = 0.99 * one_atom(20) + 0.005 * one_atom(0) + 0.005 * one_atom(50)
    assert mass_window(ATOMS, probs[None]) == pytest.approx((ATOMS[16], ATOMS[23]), abs=0.41)


def test_many_actions_fit_into_the_panel():
    picture = panel(action=np.ones(17), low=-np.ones(17), high=np.ones(17))
    rows = np.flatnonzero((picture == GREEN).all(axis=2).any(axis=1))
    assert np.count_nonzero(np.diff(rows) > 1) == 16  # 17 bars apart from each other


def test_a_frame_is_scaled_in_its_own_shape():
    assert fit(np.zeros((400, 600, 3), np.uint8), 320).shape == (213, 320, 3)
    assert fit(FRAME, 320) is FRAME


def test_a_title_is_a_line_of_text_above_the_frame():
    picture = with_title(FRAME + 7, "learner step 5,000")
    assert picture.shape == (120, 320, 3)
    assert (picture[20:] == 7).all()
    assert (picture[:20] < 100).any()  # ink


def test_side_by_side_repeats_the_last_frame_of_the_shorter_side():
    left, right = ([np.full((2, 3, 3), i, np.uint8) for i in numbers] for numbers in ((1, 2, 3), (11,)))
    pairs = [(picture[0, 0, 0], picture[0, -1, 0]) for picture in side_by_side(iter(left), iter(right))]
    assert pairs == [(1, 11), (2, 11), (3, 11)]


def test_without_a_distribution_the_value_is_a_line_within_the_window():
    places = []
    for value in (-15.0, -10.0, -5.0):
        drawn = with_panel(FRAME, 320, None, value, 0.0, np.zeros(1), -np.ones(1), np.ones(1), (-20.0, 0.0))[100:]
        assert len(columns(drawn, BLUE)) == 0
        places.append(int(np.median(columns(drawn[32:90, :200], VERMILION))))
    assert places == sorted(places)
    assert abs(places[1] - 102) < 5  # the middle of the axis
    alone = with_panel(FRAME, 320, None, 3.0, 0.0, np.zeros(1), -np.ones(1), np.ones(1), (3.0, 3.0))[100:]
    assert len(columns(alone[32:90, :200], VERMILION))
