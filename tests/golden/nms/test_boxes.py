"""Boxes: overlaps against exact fractions, and every bad value refused by its index."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.errors import InputError
from roundel.golden.nms import BoxFormat, Detections, by_score, iou
from roundel.golden.nms.detections import areas

GOOD = ((0, 0, 4, 4), (1, 2, 3, 7.5), (8, 8, 10, 9))


@st.composite
def corners(draw):
    """A box on a small grid of integers."""
    x1, y1 = draw(st.integers(0, 12)), draw(st.integers(0, 12))
    return x1, y1, x1 + draw(st.integers(1, 12)), y1 + draw(st.integers(1, 12))


def pixels(box):
    """The unit squares that a box of integer corners covers."""
    x1, y1, x2, y2 = box
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


@given(corners(), corners())
def test_overlap_is_that_of_the_pixels(a, b):
    mine, theirs = pixels(a), pixels(b)
    assert areas(np.array([a, b], float)).tolist() == [len(mine), len(theirs)]
    expected = Fraction(len(mine & theirs), len(mine | theirs))
    assert iou(np.array(a, float), np.array(b, float)) == float(expected)
    assert iou(np.array(b, float), np.array(a, float)) == float(expected)


def test_overlaps_broadcast():
    boxes = np.array(GOOD, float)
    table = iou(boxes[:, None], boxes)
    assert table.shape == (3, 3)
    assert np.diag(table).tolist() == [1, 1, 1]
    assert table[0, 1] == 4 / 23  # 2 x 2 of 16 + 11 - 4
    assert table[0, 2] == 0


def test_best_score_first_then_the_lower_index():
    assert by_score(np.array([1, 3, -np.inf, 3, 0.0, -0.0, np.inf])).tolist() == [6, 1, 3, 0, 4, 5, 2]


def test_detections_are_copies_that_nobody_changes():
    boxes = np.array(GOOD)
    found = Detections(boxes=boxes, scores=[1, 2, 3])
    boxes[0] = 99
    assert found.boxes[0].tolist() == [0, 0, 4, 4]
    assert found.labels.tolist() == [0, 0, 0]
    assert len(found) == 3
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0] = 5


def test_no_boxes_at_all():
    found = Detections(boxes=np.zeros((0, 4)), scores=[], classes=[])
    found.check_inside(width=1, height=1)
    assert len(found) == 0


@pytest.mark.parametrize(
    ("index", "box", "message"),
    [
        (1, (3, 2, 3, 7), r"boxes\[1\] is \[3.0, 2.0, 3.0, 7.0\]: expected x1 < x2 \(a width above zero\)"),
        (2, (3, 2, 1, 7), r"boxes\[2\] is \[3.0, 2.0, 1.0, 7.0\]: expected x1 < x2 \(a width above zero\)"),
        (0, (1, 7, 3, 7), r"boxes\[0\] is \[1.0, 7.0, 3.0, 7.0\]: expected y1 < y2 \(a height above zero\)"),
        (0, (1, 8, 3, 7), r"boxes\[0\] is \[1.0, 8.0, 3.0, 7.0\]: expected y1 < y2 \(a height above zero\)"),
        (1, (1, np.nan, 3, 7), r"boxes\[1\] is \[1.0, nan, 3.0, 7.0\]: expected numbers within \+-16777216"),
        (1, (1, 0, np.inf, 7), r"boxes\[1\] is \[1.0, 0.0, inf, 7.0\]: expected numbers within \+-16777216"),
        (2, (0, 0, 1e-200, 1e-200), r"boxes\[2\] is .*: expected an area above zero"),
    ],
)
def test_a_malformed_box_is_named(index, box, message):
    boxes = np.array(GOOD, float)
    boxes[index] = box
    with pytest.raises(InputError, match=f"^{message}$"):
        Detections(boxes=boxes, scores=[1, 2, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1, 2, np.nan]}, r"scores\[2\] is nan: expected a number"),
        ({"classes": [0, -1, -2]}, r"classes\[1\] is -1: expected 0 to 2147483647"),
        ({"classes": [0, 1.5, 2]}, r"classes must be integers, not float64"),
        ({"classes": [0, 1]}, r"classes must have the shape \(3,\), one for each box, not \(2,\)"),
        ({"scores": [[1, 2, 3]]}, r"scores must have the shape \(3,\), one for each box, not \(1, 3\)"),
        ({"boxes": [0, 0, 1, 1]}, r"boxes must have the shape \(n, 4\), not \(4,\)"),
        ({"boxes": [["a"] * 4] * 3}, r"boxes must be an array of numbers: could not convert.*"),
    ],
)
def test_what_else_is_refused(change, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        Detections(**({"boxes": GOOD, "scores": [1, 2, 3], "classes": [0, 1, 2]} | change))


@pytest.mark.parametrize("box", [(-0.5, 0, 4, 4), (0, -1, 4, 4), (0, 0, 10.25, 4), (0, 0, 4, 9.5)])
def test_boxes_lie_inside_the_image(box):
    Detections(boxes=GOOD, scores=[1, 2, 3]).check_inside(width=10, height=9)
    found = Detections(boxes=[*GOOD, box], scores=[1, 2, 3, 4])
    with pytest.raises(InputError, match=r"^boxes\[3\] is .*: expected corners within the image, 10 x 9$"):
        found.check_inside(width=10, height=9)


LONG = np.longdouble(1) + np.finfo(np.longdouble).eps  # beside 1 it is a tie in double precision, where it is longer


@pytest.mark.parametrize(
    "scores",
    [
        np.array([2**53, 2**53 + 1]),
        np.array([2**53, 2**53 + 1]).astype(">i8"),
        np.array([-(2**63), -(2**63) + 1]),
        np.array([2**64 - 2, 2**64 - 1], np.uint64),
        np.array([0, 1], np.uint64),  # the negative of an unsigned 1 is large
        np.array([-128, 127], np.int8),
        np.array([65472, 65504], np.float16),
        np.array([np.nextafter(np.float32(1), 0), 1], np.float32),
        np.array([1, LONG]),
        [2**53, 2**53 + 1],
        [-np.inf, 2**60],
    ],
    ids=lambda scores: str(getattr(scores, "dtype", "list")),
)
def test_scores_of_every_type_keep_their_order(scores):
    """The reference is Python, which compares numbers of all types exactly."""
    exact = [Fraction(str(value)) if isinstance(value, np.longdouble) else value for value in np.array(scores).tolist()]
    assert exact[0] < exact[1]
    detections = Detections(boxes=GOOD[:2], scores=scores)
    assert by_score(detections.scores).tolist() == [1, 0]
    _, ranks = BoxFormat(fraction=1).encode(detections)
    assert ranks.tolist() == [0, 1]


@pytest.mark.parametrize(
    "scores",
    [
        np.array([False, True]),
        np.array([1j, 2]),
        np.array([1, 2], object),
        np.array(["1", "2"]),
        np.array([b"1", b"2"]),
        np.array([(1,), (2,)], [("score", int)]),
        np.array([1, 2], "M8[s]"),
        np.array([1, 2], "m8[s]"),
        np.zeros(2, "V2"),
        [Fraction(1, 3), Fraction(1, 2)],
        [2**64, 1],
        [2**53 + 1, 0.5],
        [2**63 + 1, -1],
    ],
    ids=lambda scores: str(getattr(scores, "dtype", scores)),
)
@pytest.mark.parametrize("name", ["boxes", "scores"])
def test_types_that_are_not_exact_are_refused(name, scores):
    given = {"scores": scores} if name == "scores" else {"boxes": np.stack([scores] * 4, axis=1), "scores": [1, 2]}
    with pytest.raises(InputError, match=f"^{name}"):
        Detections(**{"boxes": GOOD[:2], "scores": [1, 2]} | given)


@pytest.mark.parametrize(
    "classes", [[0.0, 1.0], [False, True], [2**70, 0], np.array([0, 2**63], np.uint64), ["0", "1"]]
)
def test_classes_are_integers_below_the_limit(classes):
    with pytest.raises(InputError, match=r"^classes"):
        Detections(boxes=GOOD[:2], scores=[1, 2], classes=classes)


def test_corners_beyond_double_precision_are_refused():
    boxes = np.array(GOOD, np.longdouble)
    assert Detections(boxes=boxes, scores=[1, 2, 3]).boxes.tolist() == [list(box) for box in GOOD]
    boxes[1, 0] = LONG
    if boxes[1, 0] != 1:  # where a long double is one
        with pytest.raises(InputError, match=r"^boxes\[1\] is \[1\..*: expected numbers that double precision holds$"):
            Detections(boxes=boxes, scores=[1, 2, 3])
