"""`roundel.golden.head` against its rule, stated location by location in exact fractions, and hand-made boxes."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from roundel.golden.head import Boxes, HeadParams, decode
from roundel.golden.nms import BoxFormat, NmsParams

PLAIN = HeadParams(columns=3, rows=2, stride=8, classes=4, threshold=-20, shift=0, width=24, height=16)
CASES = {
    "plain": PLAIN,
    "left": replace(PLAIN, shift=2, fraction=0),
    "right": replace(PLAIN, shift=-3, fraction=3),
    "far right": replace(PLAIN, shift=-6),
    "signed distances": replace(PLAIN, box_signed=True, shift=-1),
    "unsigned logits": replace(PLAIN, cls_signed=False, threshold=30),
    "scores apart": replace(PLAIN, score_shift=2, score_width=10),
    "wide scores": replace(PLAIN, score_shift=1, score_width=12),
    "narrow": replace(PLAIN, cls_width=4, box_width=5, threshold=-3, shift=1),
    "stride 1": replace(PLAIN, stride=1, fraction=1, width=3, height=2),
    "beyond the image": replace(PLAIN, width=20, height=11),
    "one class": replace(PLAIN, classes=1, threshold=0),
}


def drawn(params: HeadParams, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random tensors of the shapes and widths of `params`."""

    def integers(width: int, signed: bool, depth: int) -> np.ndarray:
        low = -(1 << (width - 1)) if signed else 0
        return rng.integers(low, low + (1 << width), (params.rows, params.columns, depth))

    cls = integers(params.cls_width, params.cls_signed, params.classes)
    return cls, integers(params.box_width, params.box_signed, 4)


def stated(params: HeadParams, cls: np.ndarray, box: np.ndarray) -> list[tuple[list[int], int, int]]:
    """The rule in the words of its documentation, in fractions of a pixel."""
    found = []
    unit = Fraction(1, 2**params.fraction)
    for y in range(params.rows):
        for x in range(params.columns):
            logits = cls[y, x].tolist()
            best = logits.index(max(logits))
            if logits[best] < params.threshold:
                continue
            moved = [
                floor(Fraction(d) * Fraction(2) ** params.shift + Fraction(1, 2)) * unit for d in box[y, x].tolist()
            ]
            cx, cy = (Fraction(2 * at + 1, 2) * params.stride for at in (x, y))
            corners = [cx - moved[0], cy - moved[1], cx + moved[2], cy + moved[3]]
            borders = [params.width, params.height] * 2
            corners = [min(max(corner, Fraction(0)), border) for corner, border in zip(corners, borders, strict=True)]
            if corners[0] >= corners[2] or corners[1] >= corners[3]:
                continue
            score = logits[best] * 2**params.score_shift + (2 ** (params.score_width - 1) if params.cls_signed else 0)
            found.append(([int(corner / unit) for corner in corners], score, best))
    return found


def as_list(boxes: Boxes) -> list[tuple[list[int], int, int]]:
    return list(zip(boxes.boxes.tolist(), boxes.scores.tolist(), boxes.labels.tolist(), strict=True))


@pytest.mark.parametrize("params", CASES.values(), ids=CASES)
def test_equals_the_rule_in_fractions(params: HeadParams, seed: int) -> None:
    rng, sent = np.random.default_rng(seed), 0
    for _ in range(100):
        cls, box = drawn(params, rng)
        found = params.decode(cls, box)
        assert as_list(found) == stated(params, cls, box)
        sent += len(found.scores)
    assert sent


def test_a_box_worked_out_by_hand() -> None:
    """Centre (12, 4), distances 3, 1.5, 4 and 9 pixels in quarters; the bottom is cut off at 8 pixels."""
    params = replace(PLAIN, height=8, rows=1)
    cls, box = np.full((1, 3, 4), -128), np.zeros((1, 3, 4), np.int64)
    cls[0, 1] = [-20, 7, -5, 7]
    box[0, 1] = [12, 6, 16, 36]
    assert as_list(params.decode(cls, box)) == [([36, 10, 64, 32], 135, 1)]


def test_halves_go_up_and_negative_distances_too() -> None:
    params = replace(PLAIN, columns=1, rows=1, classes=1, box_signed=True, shift=-1)
    found = params.decode(np.zeros((1, 1, 1), int), np.array([[[-3, 3, 5, -1]]]))
    assert found.boxes.tolist() == [[16 + 1, 16 - 2, 16 + 3, 16 + 0]]


def test_threshold_is_the_least_logit_that_counts() -> None:
    params = replace(PLAIN, columns=2, rows=1, classes=2)
    found = params.decode(np.array([[[-20, -30], [-21, -128]]]), np.full((1, 2, 4), 8))
    assert as_list(found) == [([8, 8, 24, 24], 108, 0)]


def test_scales_follow_each_other_and_their_logits_compare() -> None:
    """3.0 with 4 and with 5 fractional bits are one score; 3.03125 with 5 is one more."""
    fine = replace(PLAIN, columns=1, rows=1, classes=2, threshold=-128, score_width=9)
    coarse = replace(fine, score_shift=1, stride=16)
    box = np.full((1, 1, 4), 8)
    tensors = [(np.array([[[96, 0]]]), box), (np.array([[[0, 48]]]), box), (np.array([[[97, 0]]]), box)]
    found = decode([fine, coarse, fine], tensors)
    assert found.scores.tolist() == [256 + 96, 256 + 96, 256 + 97]
    assert found.labels.tolist() == [0, 1, 0]
    assert found.boxes[0].tolist() == found.boxes[2].tolist() == [8, 8, 24, 24]
    assert found.boxes[1].tolist() == [24, 24, 40, 40]


def test_the_nms_finds_nothing_malformed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    form = BoxFormat(width=24, height=16, fraction=2, score_width=8, classes=4)
    nms = NmsParams(format=form, areas=(64, 256), ratios=(1,), stride=4)
    for params in (PLAIN, CASES["signed distances"], CASES["unsigned logits"]):
        for _ in range(50):
            found = params.decode(*drawn(params, rng))
            assert found.scores.max(initial=0) < 1 << form.score_width
            assert nms.compute(*found).malformed.size == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"stride": 12}, ValueError, "stride must be a power of two, not 12; 8 is one"),
        ({"stride": True}, TypeError, "stride must be an integer, not True"),
        ({"classes": 0}, ValueError, "classes must be 1 to 256, not 0"),
        ({"threshold": 128}, ValueError, "threshold must be -128 to 127, not 128"),
        ({"threshold": -1, "cls_signed": False}, ValueError, "threshold must be 0 to 255, not -1"),
        ({"shift": 13}, ValueError, "shift must be -15 to 12, not 13"),
        ({"score_shift": 1}, ValueError, "score_width must be at least 9"),
        ({"stride": 1, "fraction": 0}, ValueError, "fraction must be at least 1 where stride is 1"),
        ({"box_signed": 1}, TypeError, "box_signed must be a bool, not 1"),
    ],
)
def test_refuses(change: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replace(PLAIN, **change)


def test_refuses_tensors_that_do_not_fit() -> None:
    cls, box = np.zeros((2, 3, 4), int), np.zeros((2, 3, 4), int)
    with pytest.raises(ValueError, match=r"cls must have the shape \(2, 3, 4\), not \(3, 2, 4\)"):
        PLAIN.decode(cls.transpose(1, 0, 2), box)
    with pytest.raises(ValueError, match="box must be 0 to 255, not -1 to 0"):
        PLAIN.decode(cls, box - (np.arange(4) == 0))
    with pytest.raises(ValueError, match="scales must agree"):
        decode([PLAIN, replace(PLAIN, fraction=3)], [(cls, box)] * 2)
