"""The corners of every family of heads against their published formulas in float64, of the same integers.

All bytes and all priors of the named families. `pytest -s` prints the largest errors: the table of docs/heads.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from roundel.golden.formats import Format
from roundel.golden.head import (
    Centre,
    CentreParams,
    CornerParams,
    DistributionParams,
    HeadParams,
    PlaceParams,
    Side,
    SideParams,
    exponents,
)

SIDE = 16  # columns and rows: a location for each byte
BYTES = np.arange(256).reshape(SIDE, SIDE)
IMAGE = 640
FRACTION = 2
PIXELS, SHARE = 0.5, 0.004  # largest errors of a corner: in pixels, or of the side


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family's formulas, and what the golden model is told.

    `centre(t, grid, prior)` and `size(t, prior)` give pixels of real numbers, cell numbers and a prior.
    """

    fraction: int
    stride: float
    offset: float
    priors: tuple[tuple[float, float], ...]
    centre: Callable[[Any, Any, Any], Any]
    size: Callable[[Any, Any], Any]
    told: dict[str, Any]


def sigmoid(t: Any) -> Any:
    return 1 / (1 + np.exp(-t))


def retina_anchors(size: float) -> tuple[tuple[float, float], ...]:
    """Nine anchors of torchvision's RetinaNet: three sizes, three ratios of heights to widths, rounded halves."""
    sizes = [float(int(size * 2 ** (k / 3))) for k in range(3)]
    sides = [(s / np.sqrt(ratio), s * np.sqrt(ratio)) for ratio in (0.5, 1.0, 2.0) for s in sizes]
    return tuple((2 * float(np.round(w / 2)), 2 * float(np.round(h / 2))) for w, h in sides)


def box_coder(weights: tuple[float, float], offset: float, stride: float) -> dict[str, Any]:
    """torchvision's BoxCoder.decode_single, whose deltas are divided by weights.

    The head convolution is folded: it gives offsets in pixels, and the exponents of sizes; deltas are got back here.
    """
    wx, ww = weights

    def centre(t: Any, grid: Any, prior: Any) -> Any:
        dx = t * wx / prior  # the delta that the unfolded head would give
        return dx / wx * prior + (grid + offset) * stride

    def size(t: Any, prior: Any) -> Any:
        dw = t * ww
        return np.exp(dw / ww) * prior

    return {"centre": centre, "size": size, "offset": offset, "stride": stride}


SSD_SIZES = ((30.0, 30.0), (60.0, 30.0), (42.4264, 84.8528), (264.0, 264.0), (152.42, 457.26))
FAMILIES = {
    "YOLOv3, stride 8": Family(
        fraction=4, stride=8, offset=0, priors=((10, 13), (16, 30), (33, 23)),
        centre=lambda t, grid, prior: (sigmoid(t) + grid) * 8,
        size=lambda t, prior: prior * np.exp(t),
        told={"centre": Centre.SIGMOID, "side": Side.EXP, "stride": 8},
    ),
    "YOLOv3, stride 32": Family(
        fraction=5, stride=32, offset=0, priors=((116, 90), (156, 198), (373, 326)),
        centre=lambda t, grid, prior: (sigmoid(t) + grid) * 32,
        size=lambda t, prior: prior * np.exp(t),
        told={"centre": Centre.SIGMOID, "side": Side.EXP, "stride": 32},
    ),
    "YOLOv5 and v7, stride 8": Family(
        fraction=4, stride=8, offset=0, priors=((10, 13), (16, 30), (33, 23)),
        centre=lambda t, grid, prior: (2 * sigmoid(t) - 0.5 + grid) * 8,
        size=lambda t, prior: (2 * sigmoid(t)) ** 2 * prior,
        told={"centre": Centre.SIGMOID, "sigmoid": (2.0, -0.5), "side": Side.SQUARE_SIGMOID, "stride": 8},
    ),
    "YOLOv5 and v7, stride 32": Family(
        fraction=4, stride=32, offset=0, priors=((116, 90), (156, 198), (373, 326)),
        centre=lambda t, grid, prior: (2 * sigmoid(t) - 0.5 + grid) * 32,
        size=lambda t, prior: (2 * sigmoid(t)) ** 2 * prior,
        told={"centre": Centre.SIGMOID, "sigmoid": (2.0, -0.5), "side": Side.SQUARE_SIGMOID, "stride": 32},
    ),
    "YOLOX, stride 32": Family(
        fraction=4, stride=32, offset=0, priors=((32, 32),),
        centre=lambda t, grid, prior: (t + grid) * 32,
        size=lambda t, prior: np.exp(t) * 32,
        told={"side": Side.EXP, "unit": 32},
    ),
    "SSD, stride 300 / 38": Family(
        fraction=5, priors=SSD_SIZES, told={"side": Side.EXP}, **box_coder((10, 5), 0.5, 300 / 38)
    ),
    "RetinaNet, stride 8": Family(
        fraction=5, priors=retina_anchors(32), told={"side": Side.EXP}, **box_coder((1, 1), 0, 8)
    ),
    "RetinaNet, stride 32": Family(
        fraction=5, priors=retina_anchors(128), told={"side": Side.EXP}, **box_coder((1, 1), 0, 32)
    ),
    "CenterNet": Family(
        fraction=3, stride=4, offset=0, priors=((4, 4),),
        centre=lambda t, grid, prior: (grid + t) * 4,
        size=lambda t, prior: t * 4,
        told={"side": Side.LINEAR, "unit": 4},
    ),
    "CenterFace": Family(
        fraction=5, stride=4, offset=0.5, priors=((4, 4),),
        centre=lambda t, grid, prior: (grid + t + 0.5) * 4,
        size=lambda t, prior: np.exp(t) * 4,
        told={"side": Side.EXP, "unit": 4},
    ),
}  # fmt: skip


def labelled(**given: Any) -> tuple[HeadParams, np.ndarray]:
    """Parameters of a grid with a location for each byte, and logits that make the location's number its class."""
    params = HeadParams(
        columns=SIDE, rows=SIDE, classes=SIDE * SIDE, threshold=0, width=IMAGE, height=IMAGE, fraction=FRACTION,
        box_signed=True, **given,
    )  # fmt: skip
    logits = np.full((SIDE, SIDE, SIDE * SIDE), -128)
    logits.reshape(-1, SIDE * SIDE)[np.arange(SIDE * SIDE), np.arange(SIDE * SIDE)] = 100
    return params, logits


def signed(raw: Any) -> Any:
    return np.where(raw > 127, raw - 256, raw)


@dataclass
class Errors:
    """The largest errors of corners: in pixels, and those beyond half a pixel as part of the side."""

    pixels: float = 0.0
    share: float = 0.0
    boxes: int = 0

    def compare(self, params: HeadParams, tensors: tuple[np.ndarray, ...], floats: np.ndarray) -> None:
        """Decode integers; `floats` are corners in pixels, (locations, 4), not clamped."""
        found = params.decode(*tensors)
        clamped, corners = np.clip(floats, 0, IMAGE), np.full(floats.shape, np.nan)
        corners[found.labels] = found.boxes / (1 << params.fraction)
        sides = np.tile(floats[:, 2:] - floats[:, :2], 2)
        dropped = np.isnan(corners[:, 0])
        left = (clamped[:, 2:] - clamped[:, :2]).min(axis=1)
        assert (left[dropped] <= 2 * PIXELS).all(), "a box is missing"
        errors = np.abs(corners - clamped)[~dropped]
        beyond = errors > PIXELS
        self.pixels = max(self.pixels, float(errors.max(initial=0)))
        self.share = max(self.share, float((errors / sides[~dropped])[beyond].max(initial=0)))
        self.boxes += len(errors)
        assert (errors <= np.maximum(PIXELS, SHARE * sides[~dropped])).all()


def report(name: str, errors: Errors) -> None:
    beyond = f"{100 * errors.share:.2f} %" if errors.share else "-"
    print(f"\n| {name} | {errors.boxes:,} | {errors.pixels:.2f} | {beyond} |", end="")


@pytest.mark.parametrize("name", FAMILIES)
def test_centres_and_sizes(name: str) -> None:
    """Each byte as centre, at a location of its own, with each byte as size, for each prior."""
    family, errors = FAMILIES[name], Errors()
    form = Format(width=8, signed=True, fraction=family.fraction)
    place = PlaceParams.of(family.stride, family.offset, fraction=FRACTION)
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    t = signed(BYTES.reshape(-1)) * 2.0**-family.fraction
    for prior in family.priors:
        centres = CentreParams.of(form, priors=[prior], fraction=FRACTION, **family.told)
        params, logits = labelled(place=place, centres=centres)
        for size in range(-128, 128):
            box = np.stack([signed(BYTES), signed(BYTES), np.full_like(BYTES, size), np.full_like(BYTES, size)], axis=2)
            cx, cy = family.centre(t, x, prior[0]), family.centre(t, y, prior[1])
            w, h = (family.size(size * 2.0**-family.fraction, side) for side in prior)
            floats = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
            floats[:, 2:] = np.maximum(floats[:, 2:], floats[:, :2])  # a linear size below 0 is none
            errors.compare(params, (logits, box), floats)
    report(name, errors)
    assert errors.boxes > 10_000


@pytest.mark.parametrize(("stride", "fraction"), [(8, 4), (32, 5)])
def test_distances_that_are_exponentials(stride: int, fraction: int) -> None:
    """FCOS as published: distances are strides times the exponential."""
    form, errors = Format(width=8, signed=True, fraction=fraction), Errors()
    params, logits = labelled(
        place=PlaceParams.of(stride, 0.5, fraction=FRACTION),
        sides=SideParams.of(form, side=Side.EXP, unit=stride, fraction=FRACTION),
    )
    y, x = (np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5) * stride
    near = stride * np.exp(signed(BYTES.reshape(-1)) * 2.0**-fraction)
    for other in range(-128, 128):
        box = np.stack([signed(BYTES)] * 2 + [np.full_like(BYTES, other)] * 2, axis=2)
        far = stride * np.exp(other * 2.0**-fraction)
        errors.compare(params, (logits, box), np.stack([x - near, y - near, x + far, y + far], axis=1))
    report(f"FCOS, exponential, stride {stride}", errors)


def distributions(rng: np.random.Generator, count: int, bins: int) -> np.ndarray:
    """Logits of many kinds: even noise, soft peaks, two peaks far apart, all alike, the whole range."""
    k, kinds = np.arange(bins), []
    kinds.append(rng.integers(-128, 128, (count, bins)))
    peak, width = rng.uniform(0, bins - 1, (2, count, 1))
    kinds.append(rng.integers(0, 128, (count, 1)) - (k - peak) ** 2 * 64 / (1 + width) ** 2)
    two = np.full((count, bins), -100)
    np.put_along_axis(two, rng.integers(0, bins, (count, 2)), rng.integers(-20, 60, (count, 2)), axis=1)
    kinds.append(two)
    kinds.append(rng.integers(-128, 128, (count, 1)) + rng.integers(0, 2, (count, bins)))
    kinds.append(rng.choice([-128, 127], (count, bins)))
    return np.clip(np.rint(np.concatenate(kinds)), -128, 127).astype(np.int64)


@pytest.mark.parametrize("fraction", [2, 3, 4, 5])
@pytest.mark.parametrize("bins", [8, 16, 17])
def test_means_of_distributions(bins: int, fraction: int, seed: int) -> None:
    """YOLOv8 (16 bins), GFL (17) and NanoDet (8): within half a pixel at stride 32."""
    logits = distributions(np.random.default_rng(seed), 4000, bins)
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) * 2.0**-fraction)
    exact = (weights * np.arange(bins)).sum(axis=1) / weights.sum(axis=1)
    found = DistributionParams(bins=bins, exponents=exponents(fraction)).means(logits) / 256
    worst = np.abs(found - exact).max()
    print(
        f"\n| DFL, {bins} bins, {fraction} fraction bits | {len(logits):,} | {worst:.4f} bins | {32 * worst:.2f} px |"
    )
    assert 32 * worst <= PIXELS - 2.0**-FRACTION / 2


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_distances_of_distributions(stride: int, seed: int) -> None:
    """YOLOv8: the corners are the location's centre and strides times the means."""
    rng, errors = np.random.default_rng(seed), Errors()
    shift = stride.bit_length() - 1 + FRACTION - 8
    params, logits = labelled(stride=stride, shift=shift, distribution=DistributionParams(exponents=exponents(3)))
    y, x = (np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5) * stride
    box = distributions(rng, 4096, 16)[rng.permutation(5 * 4096)].reshape(-1, SIDE, SIDE, 4 * 16)
    for numbers in box:
        weights = np.exp(numbers.reshape(-1, 4, 16) / 8)
        left, top, right, bottom = stride * ((weights * np.arange(16)).sum(axis=2) / weights.sum(axis=2)).T
        errors.compare(params, (logits, numbers), np.stack([x - left, y - top, x + right, y + bottom], axis=1))
    report(f"YOLOv8, stride {stride}", errors)


def test_corners_beside_those_of_a_cell(seed: int) -> None:
    """P-Net: cell of 12 pixels and stride 2 on an image that was made smaller by 0.6; regression in cells."""
    scale, fraction, unit, errors = 0.6, 5, 8.0, Errors()
    form = Format(width=8, signed=True, fraction=fraction)
    prior = (1 / scale, 1 / scale, 13 / scale, 13 / scale)
    params, logits = labelled(
        place=PlaceParams.of(2 / scale, 0, fraction=FRACTION),
        corners=CornerParams.of(form, unit=unit, priors=[prior], fraction=FRACTION),
    )
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    near = signed(BYTES.reshape(-1)) * 2.0**-fraction * unit
    for other in range(-128, 128):
        box = np.stack([signed(BYTES)] * 2 + [np.full_like(BYTES, other)] * 2, axis=2)
        far, cell = other * 2.0**-fraction * unit, 12 / scale
        regression = near / cell, far / cell  # what the unfolded head gives
        x1, y1 = ((2 * at + 1) / scale + regression[0] * cell for at in (x, y))
        x2, y2 = ((2 * at + 1 + 12) / scale + regression[1] * cell for at in (x, y))
        floats = np.stack([x1, y1, x2, y2], axis=1)
        floats[:, 2:] = np.maximum(floats[:, 2:], floats[:, :2])
        errors.compare(params, (logits, box), floats)
    report("P-Net, scale 0.6", errors)


def test_a_relu_in_front_of_linear_distances() -> None:
    """torchvision's FCOS: relu, then strides; as unsigned bytes they are plain shifts, without any error."""
    params, logits = labelled(stride=16, shift=4 + FRACTION - 4)
    params, errors = replace(params, box_signed=False), Errors()
    y, x = (np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5) * 16
    near = BYTES.reshape(-1) / 16 * 16
    errors.compare(
        params, (logits, np.stack([BYTES] * 4, axis=2)), np.stack([x - near, y - near, x + near, y + near], 1)
    )
    assert errors.pixels == 0
