"""Boxes as codes against what they mean in pixels, and the overlap compare against fractions."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.errors import InputError
from roundel.golden.nms import BoxFormat, Detections, Form, GreedyParams, rational
from roundel.golden.nms.format import overlap_exceeds
from tests.support.exact import overlap

CORNERS = BoxFormat(width=20, height=10, fraction=1, score_width=2, classes=3)
CENTRE = replace(CORNERS, form=Form.CENTRE)


@st.composite
def boxes(draw):
    """Integer corners on a small grid: touching, nested and equal boxes are common."""
    x, y = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    return x, y, x + draw(st.integers(1, 6)), y + draw(st.integers(1, 6))


@given(boxes(), boxes(), st.fractions(0, 1, max_denominator=256), st.integers(0, 1 << 16))
def test_overlap_exceeds_as_fractions_do(a, b, threshold, unit):
    pair = [np.array(box) * (unit + 1) for box in (a, b)]  # as large as codes get
    assert overlap_exceeds(*pair, float(threshold)) == (overlap(a, b) > threshold)


@given(boxes(), boxes())
def test_an_overlap_equal_to_the_threshold_does_not_exceed_it(a, b):
    exact = overlap(a, b)  # denominators stay below 256
    assert not overlap_exceeds(np.array(a), np.array(b), float(exact))


def test_overlap_broadcasts():
    found = overlap_exceeds(np.array([0, 0, 2, 2]), np.array([[0, 0, 2, 2], [0, 0, 2, 1], [2, 2, 4, 4]]), 0.4)
    assert found.tolist() == [True, True, False]


@pytest.mark.parametrize("text", ["0", "1/3", "0.4", "0.45", "0.5", "0.7", "255/256", "1"])
def test_thresholds_are_what_decimals_mean(text):
    assert Fraction(*rational(float(Fraction(text)))) == Fraction(text)


def test_corners_of_both_forms():
    # (3, 1) to (8, 4.5) in pixels: the centre is (5.5, 2.75), a quarter needs the corners' extra bit
    assert CORNERS.corners(np.array([[6, 2, 16, 9]])).tolist() == [[6, 2, 16, 9]]
    assert (CORNERS.corner_fraction, CENTRE.corner_fraction) == (1, 2)
    assert CENTRE.corners(np.array([[11, 6, 10, 7]])).tolist() == [[12, 5, 32, 19]]
    assert CENTRE.borders == (80, 40)


@pytest.mark.parametrize("form", [CORNERS, CENTRE])
def test_widths_hold_the_border(form):
    assert form.coordinate_width == 6  # 40 half pixels
    assert (1 << form.corner_width) > max(form.borders) >= (1 << form.corner_width) // 2
    assert [replace(form, classes=classes).label_width for classes in (1, 2, 3, 4, 5)] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("box", "label", "bad"),
    [
        ((0, 0, 40, 20), 2, False),
        ((5, 5, 6, 6), 0, False),
        ((5, 5, 5, 6), 0, True),
        ((5, 6, 7, 6), 0, True),
        ((6, 5, 5, 6), 0, True),
        ((0, 0, 41, 20), 0, True),
        ((0, 0, 40, 21), 0, True),
        ((0, 0, 40, 20), 3, True),
    ],
)
def test_malformed_corners(box, label, bad):
    assert CORNERS.malformed(np.array([box]), np.array([label])).tolist() == [bad]


@pytest.mark.parametrize(
    ("box", "bad"),
    [
        ((20, 10, 40, 20), False),
        ((1, 1, 1, 1), False),
        ((0, 10, 1, 1), True),  # half a size beyond the left border
        ((20, 0, 1, 1), True),
        ((40, 10, 1, 1), True),
        ((20, 20, 1, 1), True),
        ((20, 10, 0, 4), True),
        ((20, 10, 4, 0), True),
        ((20, 10, 41, 4), True),
    ],
)
def test_malformed_centres(box, bad):
    assert CENTRE.malformed(np.array([box]), np.zeros(1, int)).tolist() == [bad]


def test_who_takes_part():
    codes = np.tile([0, 0, 4, 4], (6, 1))
    codes[[1, 4], 2] = 0
    present = np.array([True, True, False, True, True, True])
    labels = np.zeros(6, int)
    for capacity, taking, malformed, overflow in (
        (6, [0, 3, 5], [1, 4], False),
        (5, [0, 3], [1, 4], True),
        (4, [0, 3], [1], True),  # a malformed box beyond the capacity is one too many like any other
        (1, [0], [], True),
    ):
        found = CORNERS.sift(codes, labels, present, capacity)
        assert [found[0].tolist(), found[1].tolist(), found[2]] == [taking, malformed, overflow]
    assert not CORNERS.sift(codes, labels, present & (np.arange(6) < 4), 4)[2]
    assert CORNERS.sift(codes, labels, None, 6)[0].tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("form", Form)
def test_codes_round_to_the_nearest_halves_up(form):
    fmt = replace(CORNERS, form=form)
    quarters = np.arange(4, 13) / 4
    for low, high in product(quarters, quarters + 3):
        box = [low, 1, high, 4]
        codes, _ = fmt.encode(Detections(boxes=[box], scores=[1]))
        numbers = (low, high) if form is Form.CORNERS else ((low + high) / 2, high - low)
        expected = [Fraction(number) * 2 + Fraction(1, 2) for number in numbers]
        assert codes[0, [0, 2]].tolist() == [number.numerator // number.denominator for number in expected]
        # what is exact comes back
        exact = all(number * 2 == int(number * 2) for number in numbers)
        assert fmt.exact(Detections(boxes=[box], scores=[1])) == exact
        assert ((fmt.corners(codes) / 2.0**fmt.corner_fraction == box).all()) == exact


def test_scores_become_ranks():
    boxes = np.tile([0, 0, 1, 1], (5, 1))
    _, scores = CORNERS.encode(Detections(boxes=boxes, scores=[0.5, -np.inf, 0.5, 3, 0.1]))
    assert scores.tolist() == [2, 0, 2, 3, 1]
    with pytest.raises(InputError, match=r"^scores have 5 different values, more than 2 bits can tell$"):
        CORNERS.encode(Detections(boxes=boxes, scores=range(5)))


@pytest.mark.parametrize(
    ("box", "label", "message"),
    [
        ((0, 0, 20.5, 10), 0, r"boxes\[1\] is .*expected corners within the image, 20 x 10$"),
        ((1, 1, 1.1, 2), 0, r"boxes\[1\] is .*area above zero within the image, also when rounded to 1/2 pixel$"),
        ((0, 0, 1, 1), 3, r"classes\[1\] is 3: expected below 3$"),
    ],
)
def test_what_has_no_code(box, label, message):
    with pytest.raises(InputError, match=message):
        CORNERS.encode(Detections(boxes=[(0, 0, 1, 1), box], scores=[1, 1], classes=[0, label]))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"width": 0}, ValueError, "width must be 1 to 4096, not 0"),
        ({"height": 4097}, ValueError, "height must be 1 to 4096, not 4097"),
        ({"fraction": 9}, ValueError, "fraction must be 0 to 8, not 9"),
        ({"fraction": True}, TypeError, "fraction must be an integer, not True"),
        ({"form": "polar"}, ValueError, "form must be one of corners, centre, not 'polar'"),
        ({"score_width": 33}, ValueError, "score_width must be 1 to 32, not 33"),
        ({"classes": 0.5}, TypeError, "classes must be an integer, not 0.5"),
    ],
)
def test_bad_parameters(given, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        BoxFormat(**given)
    with pytest.raises(error, match=f"^{message}$"):
        GreedyParams(format=given)
