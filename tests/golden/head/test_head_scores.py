"""Scores of products and softmaxes against float64, of the same integers: order, thresholds, and what is sent."""

from typing import Any

import numpy as np
import pytest

from roundel.golden.formats import Format
from roundel.golden.head import (
    HeadParams,
    ProductParams,
    SoftmaxParams,
    cost_fraction,
    exponents,
    most_cost,
    neighbourhoods,
)
from roundel.golden.head.powers import length, logarithm, terms

LOGITS = Format(width=8, signed=True, fraction=4)
OBJECTNESS = Format(width=8, signed=True, fraction=3)
PAIRS = 200_000


def sigmoid(t: Any) -> Any:
    return 1 / (1 + np.exp(-t))


def flips(rng: np.random.Generator, scores: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Of pairs whose probabilities differ: the part whose order changes, and the largest difference of those."""
    a, b = rng.integers(0, len(scores), (2, PAIRS))
    wrong = (scores[a] - scores[b]) * (exact[a] - exact[b]) < 0
    return float(wrong.mean()), float(np.abs(exact[a] - exact[b])[wrong].max(initial=0))


def test_lengths_are_powers_of_two() -> None:
    """Every exponent of the unit: within 0.2 % and half a unit, and the longest from 2**17 on."""
    exponents = np.arange(-(1 << 15), 1 << 15)
    found, exact = length(exponents), np.exp2(exponents / 1024)
    inside = exact < (1 << 17) - 1
    assert (np.abs(found - exact)[inside] <= 0.5 + 0.002 * exact[inside]).all()
    assert (found[exact >= 1 << 17] == (1 << 17) - 1).all()


def test_terms_and_logarithms() -> None:
    exponents = np.arange(20 * 1024)
    exact = np.exp2(-exponents / 1024)
    assert (np.abs(terms(-exponents) / 2**14 - exact) <= 0.002 * exact + 2**-14).all()
    totals = np.arange(1 << 12, 1 << 20)
    assert np.abs(logarithm(totals) / 1024 - np.log2(totals / 2**14)).max() <= 0.0042


@pytest.mark.parametrize(
    ("threshold", "score_width", "root", "fraction", "most"),
    [
        (0.25, 8, False, 6, 128),
        (0.25, 12, False, 8, 512),
        (0.001, 12, False, 8, 2551),
        (0.001, 8, False, 4, 159),
        (0.2, 12, True, 8, 1188),
        (0.5, 8, False, 7, 128),
    ],
)
def test_fraction_bits_of_costs(threshold: float, score_width: int, root: bool, fraction: int, most: int) -> None:
    assert cost_fraction(threshold, score_width, root=root) == fraction
    assert most_cost(threshold, score_width, root=root) == most


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, float("nan")])
def test_refuses_a_threshold_that_is_no_probability(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be a probability above 0 and below 1, not"):
        cost_fraction(threshold, 8)


def product_head(threshold: float, score_width: int, **given: Any) -> HeadParams:
    products = ProductParams.of(LOGITS, OBJECTNESS, threshold, score_width=score_width)
    return HeadParams(
        columns=256, rows=256, stride=1, classes=1, threshold=-128, shift=0, width=256, height=256,
        score_width=score_width, products=products, **given,
    )  # fmt: skip


@pytest.mark.parametrize(("score_width", "most_flipped", "gap"), [(8, 0.004, 0.012), (12, 0.0003, 0.003)])
def test_products_of_all_pairs_of_bytes(score_width: int, most_flipped: float, gap: float, seed: int) -> None:
    """Every objectness with every logit, a row and a column each: what is sent, and in which order."""
    params = product_head(0.01, score_width)
    integers = np.arange(-128, 128)
    objectness, logits = np.meshgrid(integers, integers, indexing="ij")
    found = params.decode(logits[..., None], np.full((256, 256, 4), 4), objectness[..., None])
    column, row = (found.boxes[:, :2] + found.boxes[:, 2:]).T // 8
    exact = sigmoid(integers / 8)[row] * sigmoid(integers / 16)[column]
    whole = sigmoid(objectness / 8) * sigmoid(logits / 16)
    missing = np.setdiff1d(whole[whole >= 0.01], exact)
    fraction = cost_fraction(0.01, score_width)
    assert (exact >= 0.01 * 2.0 ** (-1 / (1 << fraction))).all()
    assert (missing <= 0.01 * 2.0 ** (1 / (1 << fraction))).all()
    assert np.abs(((1 << score_width) - 1 - found.scores) / (1 << fraction) + np.log2(exact)).max() <= 1 / (
        1 << fraction
    )
    part, widest = flips(np.random.default_rng(seed), found.scores, exact)
    print(f"\n| product, {fraction} fraction bits | {100 * part:.3f} % | {widest:.4f} |", end="")
    assert part <= most_flipped
    assert widest <= gap


def softmaxes(logits: np.ndarray, fraction: int) -> np.ndarray:
    powers = np.exp(logits * 2.0**-fraction)
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("classes", [1, 20, 90])
@pytest.mark.parametrize("background", ["first", "last"])
def test_softmaxes(classes: int, background: str, seed: int) -> None:
    """P-Net (one class), SSD on VOC and on COCO: thresholds, classes, scores and their order."""
    rng, width, threshold = np.random.default_rng(seed), 12, 0.05
    ground = 0 if background == "first" else classes
    softmax = SoftmaxParams.of(LOGITS, threshold, background=ground, score_width=width)
    params = HeadParams(
        columns=60, rows=50, stride=4, classes=classes, threshold=SoftmaxParams.least(LOGITS, threshold), shift=0,
        width=240, height=200, score_width=width, softmax=softmax, every_class=True,
    )  # fmt: skip
    logits = np.clip(np.rint(rng.normal(0, 24, (50, 60, classes + 1))), -128, 127).astype(np.int64)
    logits[rng.random((50, 60)) < 0.5, ground] += 40
    logits = np.minimum(logits, 127)
    whole = np.delete(softmaxes(logits, LOGITS.fraction), ground, axis=2)
    found = params.decode(logits, np.full((50, 60, 4), 8))
    column, row = (found.boxes[:, :2] + found.boxes[:, 2:]).T // 32
    exact = whole[row, column, found.labels]
    step = 2.0**0.01
    assert (exact >= threshold / step).all()
    sent = np.zeros(whole.shape, bool)
    sent[row, column, found.labels] = True
    assert (whole[~sent] <= threshold * step).all()
    assert sent.any()
    assert not sent.all()
    assert np.abs((4095 - found.scores) / 256 + np.log2(exact)).max() <= 0.01
    part, widest = flips(rng, found.scores, exact)
    print(f"\n| softmax, {classes} classes and background | {100 * part:.3f} % | {widest:.4f} |", end="")
    assert part <= 0.002
    assert widest <= 0.004


def test_the_difference_to_the_background_rules_out_no_box(seed: int) -> None:
    """What the prefilter of a softmax turns down is below the threshold, exactly."""
    rng = np.random.default_rng(seed)
    for threshold in (0.001, 0.3, 0.5, 0.9):
        least = SoftmaxParams.least(LOGITS, threshold)
        logits = rng.integers(-128, 128, (100_000, 3))
        logits[:, 1] = np.minimum(logits[:, 0] + least - rng.integers(1, 4, 100_000), 127)
        turned_down = logits[:, 1] - logits[:, 0] < least
        assert turned_down.any()
        assert (softmaxes(logits, LOGITS.fraction)[turned_down, 1] < threshold).all()


def test_every_class_above_the_threshold_and_the_best_one() -> None:
    params = HeadParams(columns=1, rows=1, stride=8, classes=3, threshold=0, shift=0, width=8, height=8)
    logits, box = np.array([[[5, -1, 7]]]), np.full((1, 1, 4), 8)
    assert params.decode(logits, box).labels.tolist() == [2]
    every = HeadParams(**{**params.as_dict(), "every_class": True}).decode(logits, box)
    assert every.labels.tolist() == [0, 2]
    assert every.scores.tolist() == [133, 135]
    assert every.boxes.tolist() == [[8, 8, 24, 24]] * 2


def test_other_classes_of_a_product_only_where_the_best_one_passes() -> None:
    """With tables that do not fall with the logit: 1 costs more than 0."""
    costs = {"cls": (3, 9, *[0] * 254), "objectness": (0,) * 256, "most": 5}
    size = {"stride": 8, "width": 16, "height": 8}
    params = HeadParams(columns=2, rows=1, classes=2, threshold=-9, products=costs, every_class=True, **size)
    logits, box = np.array([[[0, 0], [0, 1]]]), np.full((1, 2, 4), 4)
    found = params.decode(logits, box, np.zeros((1, 2, 1), np.int64))
    assert found.labels.tolist() == [0, 1]
    assert found.boxes[:, 0].tolist() == [12, 12]


def test_priors_follow_one_another_at_a_location() -> None:
    params = HeadParams(columns=2, rows=1, stride=8, classes=2, threshold=0, shift=0, width=16, height=8, priors=3)
    logits = np.array([[[1, 0, -9, -9, 0, 2], [-9, -9, 3, 4, -9, 0]]])
    found = params.decode(logits, np.arange(1, 25).reshape(1, 2, 12) % 9 + 8)
    assert found.labels.tolist() == [0, 1, 1, 1]
    assert found.scores.tolist() == [129, 130, 132, 128]
    assert found.boxes[0].tolist() == [16 - 9, 16 - 10, 16 + 11, 16 + 12]
    assert found.boxes[2].tolist() == [48 - 16, max(16 - 8, 0), 48 + 9, 16 + 10]


def test_only_peaks_have_boxes(seed: int) -> None:
    """Stated location by location; equal neighbours are both peaks, as with a maximum and an equality."""
    rng = np.random.default_rng(seed)
    params = HeadParams(
        columns=9, rows=7, stride=4, classes=2, threshold=-4, shift=0, width=36, height=28, peaks=True, every_class=True
    )
    logits, box = rng.integers(-6, 7, (7, 9, 2)), np.full((7, 9, 4), 4)
    found = params.decode(logits, box)
    expected = [
        (x, y, c)
        for y in range(7)
        for x in range(9)
        for c in range(2)
        if logits[y, x, c] >= -4 and logits[y, x, c] == logits[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2, c].max()
    ]
    column, row = (found.boxes[:, :2] + found.boxes[:, 2:]).T // 32
    assert list(zip(column.tolist(), row.tolist(), found.labels.tolist(), strict=True)) == expected
    assert 0 < len(expected) < 7 * 9
    given = params.decode(logits, box, maxima=neighbourhoods(logits))
    assert given.scores.tolist() == found.scores.tolist()
    assert not len(params.decode(logits, box, maxima=logits + 1).scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"priors": 10}, "priors must be 1 to 9, not 10"),
        (
            {"softmax": {"background": 0, "exponents": (-1,) * 256, "bits": 8, "most": 9}},
            "exponents must begin with 0, that of the greatest logit, not with -1",
        ),
        (
            {"softmax": {"background": 0, "exponents": exponents(4), "bits": 8, "most": 9}},
            "products and softmax must not both",
        ),
        ({"score_width": 8}, r"most must be below 2\*\*8 for scores of so many bits"),
        (
            {
                "distribution": {"exponents": exponents(3)},
                "corners": {"offsets": (0,) * 256, "priors": ((0, 0, 8, 8),)},
            },
            "distribution and corners must not all be given: a box has one form",
        ),
        (
            {"priors": 2, "corners": {"offsets": (0,) * 256, "priors": ((0, 0, 8, 8),)}},
            "priors must be those of corners, 1, not 2",
        ),
        ({"corners": {"offsets": (0,) * 255, "priors": ((0, 0, 8, 8),)}}, "offsets must have 256 entries, not 255"),
        (
            {"corners": {"offsets": (1 << 15,) * 256, "priors": ((0, 0, 8, 8),)}},
            r"offsets\[0\] must be -32768 to 32767",
        ),
    ],
)
def test_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        product_head(0.01, 12, **change) if "score_width" not in change else product_head_of_narrow_scores()


def product_head_of_narrow_scores() -> HeadParams:
    return HeadParams(**{**product_head(0.01, 12).as_dict(), "score_width": 8})


def test_refuses_objectness_where_there_is_none_and_none_where_it_is_needed() -> None:
    plain = HeadParams(columns=1, rows=1, stride=8, classes=1, threshold=0, shift=0, width=8, height=8)
    cls, box, own = np.zeros((1, 1, 1), int), np.zeros((1, 1, 4), int), np.zeros((1, 1, 1), int)
    with pytest.raises(ValueError, match="objectness must not be given for such scores"):
        plain.decode(cls, box, own)
    with pytest.raises(ValueError, match="objectness must be given for such scores"):
        product_head(0.01, 12).decode(np.zeros((256, 256, 1), int), np.zeros((256, 256, 4), int))
