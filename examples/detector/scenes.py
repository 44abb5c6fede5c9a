"""Scenes for the detector: real handwritten digits, scaled, placed and overlapped on canvases with clutter.

The digits are the 1,797 of scikit-learn's `load_digits`, in three disjoint parts by `SEED`: training, validation (which
judges settings) and held out. A scene is 96 x 96 pixels of 16 grey levels, uint8 0 to 255. Everything follows from a
seed: the same seed gives the same scenes.

`python examples/detector/scenes.py` (needs scikit-learn) writes `heldout.npz` and `calibration.npz` beside itself:

- `images` (count, 1, 96, 96) uint8;
- `boxes` (objects, 4) float32: x1, y1, x2, y2 in pixels, `classes` (objects,) and `image_ids` (objects,), the number of
  the image that an object is in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.data import DETECTOR

Reals = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]

SEED = 20261120
SIZE = 96  # of a canvas, in pixels
LEVELS = 16  # of grey, 0 to 255
SIDES = (12.0, 40.0)  # of a digit's 8 x 8 pixels on the canvas
OBJECTS = (3, 8)  # least and most
COVERED = 0.25  # largest part of a digit's box that another one may share
ATTEMPTS = 30  # at placing a digit
INK = 4  # of 16: a box is around the pixels that have so much
PARTS = {"heldout": 400, "validation": 197, "training": 1200}
COUNTS = {"heldout": 200, "calibration": 32}
FILES = (("heldout", "heldout", 2), ("calibration", "training", 3))  # name, part of the digits, seed of the scenes


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A canvas (96, 96) uint8 and what is on it: boxes (m, 4) in pixels and classes (m,)."""

    image: NDArray[np.uint8]
    boxes: Reals
    classes: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Glyphs:
    """Digits to make scenes of: pixels (count, 8, 8), 0 to 16, and classes (count,)."""

    pixels: Reals
    classes: Ints


def glyphs() -> dict[str, Glyphs]:
    """The three parts of the data set."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.images))
    ends = np.cumsum(list(PARTS.values()))
    parts = zip(PARTS, np.split(order, ends[:-1]), strict=True)
    return {name: Glyphs(pixels=digits.images[index], classes=digits.target[index]) for name, index in parts}


def scenes(source: Glyphs, seed: int) -> Iterator[Scene]:
    """Scenes without end; number n is the same however many are taken."""
    number = 0
    while True:
        yield scene(source, np.random.default_rng((SEED, seed, number)))
        number += 1


def scene(source: Glyphs, rng: np.random.Generator) -> Scene:
    """One scene: clutter first, digits over it, noise over all."""
    canvas = _blobs(rng)
    _lines(canvas, rng)
    _fragments(canvas, source, rng)
    boxes, classes = _digits(canvas, source, rng)
    canvas += rng.normal(0, rng.uniform(0, 0.05), canvas.shape)
    levels = np.rint(np.clip(canvas, 0, 1) * (LEVELS - 1))
    return Scene(image=(levels * (255 // (LEVELS - 1))).astype(np.uint8), boxes=boxes, classes=classes)


def _digits(canvas: Reals, source: Glyphs, rng: np.random.Generator) -> tuple[Reals, Ints]:
    """Draw digits; their boxes and classes. Fewer than wished for if the canvas is full."""
    boxes: list[Reals] = []
    classes: list[int] = []
    for _ in range(rng.integers(*OBJECTS, endpoint=True)):
        which = rng.integers(len(source.pixels))
        pixels = source.pixels[which]
        height = SIDES[0] * (SIDES[1] / SIDES[0]) ** rng.uniform()
        size = np.rint(height * np.array([1, rng.uniform(0.8, 1.1)])).astype(int)
        for _ in range(ATTEMPTS):
            corner = rng.integers(0, SIZE - size, endpoint=True)
            box = _box(pixels, corner, size)
            if all(_shared(box, other) <= COVERED for other in boxes):
                _draw(canvas, pixels / 16 * rng.uniform(0.6, 1), corner, size)
                boxes.append(box)
                classes.append(source.classes[which])
                break
    return np.array(boxes), np.array(classes)


def _box(pixels: Reals, corner: Ints, size: Ints) -> Reals:
    """x1, y1, x2, y2 of the ink of a digit that is drawn at `corner` (y, x), scaled to `size`."""
    ends = []
    for axis in (1, 0):
        inked = np.flatnonzero((pixels >= INK).any(axis=axis))
        ends.append(np.array([inked[0], inked[-1] + 1]))
    (y1, y2), (x1, x2) = (c + end * s / 8 for end, c, s in zip(ends, corner, size, strict=True))
    return np.array([x1, y1, x2, y2])


def _shared(a: Reals, b: Reals) -> float:
    """Area of what two boxes share over that of the smaller one."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    return float(sides.prod() / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))


def _draw(canvas: Reals, pixels: Reals, corner: Ints, size: Ints) -> None:
    """The lighter of the canvas and the pixels, scaled linearly to `size` (rows, columns)."""
    rows, columns = (_linear(n, int(s)) for n, s in zip(pixels.shape, size, strict=True))
    part = canvas[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
    np.maximum(part, rows @ pixels @ columns.T, out=part)


def _linear(old: int, new: int) -> Reals:
    """The matrix (new, old) that interpolates between the centres of pixels; beyond the last centre they go on."""
    where = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - np.abs(where[:, None] - np.arange(old)), 0)


def _blobs(rng: np.random.Generator) -> Reals:
    """A dark canvas with up to four soft spots."""
    canvas = np.full((SIZE, SIZE), rng.uniform(0, 0.12))
    grid = np.arange(SIZE)
    for _ in range(rng.integers(5)):
        (x, y), (wide, high) = rng.uniform(0, SIZE, 2), rng.uniform(5, 25, 2)
        row, column = np.exp(-(((grid - y) / high) ** 2)), np.exp(-(((grid - x) / wide) ** 2))
        canvas += rng.uniform(0.05, 0.3) * np.outer(row, column)
    return canvas


def _lines(canvas: Reals, rng: np.random.Generator) -> None:
    """Up to three lines across the whole canvas, one to two pixels wide."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for _ in range(rng.integers(4)):
        angle, (x, y) = rng.uniform(0, np.pi), rng.uniform(0, SIZE, 2)
        distance = np.abs((columns - x) * np.sin(angle) - (rows - y) * np.cos(angle))
        line = np.clip(rng.uniform(0.7, 1.2) + 0.5 - distance, 0, 1) * rng.uniform(0.2, 0.7)
        np.maximum(canvas, line, out=canvas)


def _fragments(canvas: Reals, source: Glyphs, rng: np.random.Generator) -> None:
    """Up to four pieces of digits, 3 to 4 of their pixels a side: strokes that are no digit."""
    for _ in range(rng.integers(5)):
        piece = rng.integers(3, 4, 2, endpoint=True)
        row, column = rng.integers(0, 8 - piece, endpoint=True)
        pixels = source.pixels[rng.integers(len(source.pixels)), row : row + piece[0], column : column + piece[1]]
        size = np.rint(piece * rng.uniform(1.5, 4)).astype(int)
        _draw(canvas, pixels / 16 * rng.uniform(0.3, 0.9), rng.integers(0, SIZE - size, endpoint=True), size)


def as_arrays(found: list[Scene]) -> dict[str, NDArray[Any]]:
    """The arrays of a file of scenes."""
    counts = [len(one.boxes) for one in found]
    return {
        "images": np.stack([one.image for one in found])[:, None],
        "boxes": np.concatenate([one.boxes for one in found]).astype(np.float32),
        "classes": np.concatenate([one.classes for one in found]).astype(np.uint8),
        "image_ids": np.repeat(np.arange(len(found)), counts).astype(np.uint16),
    }


def take(source: Glyphs, seed: int, count: int) -> list[Scene]:
    """The first `count` scenes of a seed."""
    return [one for one, _ in zip(scenes(source, seed), range(count), strict=False)]


def main() -> None:
    parts = glyphs()
    for name, part, seed in FILES:
        np.savez_compressed(DETECTOR / f"{name}.npz", **as_arrays(take(parts[part], seed, COUNTS[name])))


if __name__ == "__main__":
    main()
