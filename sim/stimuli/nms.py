"""Images of boxes that a suppression unit is put through: random, adversarial, corrupt; and their beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms import BoxFormat, Form
from roundel.golden.rounding import Ints
from roundel.sim.stimuli.payload import Member


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxImage:
    """The boxes of one image as they are sent: codes (n, 4), scores, labels and which places hold a box, (n,)."""

    boxes: Ints
    scores: Ints
    labels: Ints
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.boxes)


def members(form: BoxFormat, lanes: int, index_width: int = 0) -> list[Member]:
    """Return the members of a box stream's packed payload.

    Parameters
    ----------
    form
        Widths of a box's fields.
    lanes
        Boxes of a beat.
    index_width
        Bits of a kept box's index, or of the tag that a box is sent with; 0 for a stream that carries none.
    """
    place = [Member("index", index_width)] if index_width else []
    place += [Member(name, form.coordinate_width) for name in form.fields]
    place += [Member("score", form.score_width), Member("label", form.label_width), Member("empty", 1)]
    beat = [Member(f"{member.name}_{lane}", member.width) for lane in range(lanes) for member in place]
    return [*beat, Member("last", 1)]


def tags(count: int, width: int) -> Ints:
    """Return the tags that an image's places are sent with, all different as far as the width allows."""
    return np.asarray(np.arange(count) * 2654435761 % (1 << width))


def beats(images: Sequence[BoxImage], form: BoxFormat, lanes: int, tag_width: int = 0) -> dict[str, Any]:
    """Columns of all beats of `images`, one after the other: (beats,) each. An image without boxes is one beat."""
    parts: dict[str, list[Any]] = {member.name: [] for member in members(form, lanes, tag_width)}
    for image in images:
        count = max(1, -(-len(image) // lanes))
        columns = dict(zip(form.fields, image.boxes.T, strict=True))
        columns |= {"score": image.scores, "label": image.labels, "empty": ~image.present}
        columns |= {"index": tags(len(image), tag_width)} if tag_width else {}
        for name, values in columns.items():
            padded = np.full(count * lanes, int(name == "empty"))
            padded[: len(image)] = values
            for lane in range(lanes):
                parts[f"{name}_{lane}"].append(padded[lane::lanes])
        parts["last"].append(np.arange(count) == count - 1)
    return {name: np.concatenate(values) for name, values in parts.items()}


def image_of(
    corners: Ints, scores: Ints, labels: Ints, form: BoxFormat, present: NDArray[np.bool_] | None = None
) -> BoxImage:
    """Make an image from corners.

    Parameters
    ----------
    corners
        x1, y1, x2, y2 in whole codes, shape (n, 4). Where `form` has centres, odd sums lose their half.
    scores, labels
        Shape (n,).
    present
        Which places hold a box, shape (n,); all by default.
    """
    boxes = corners
    if form.form is Form.CENTRE:
        boxes = np.hstack([(corners[:, :2] + corners[:, 2:]) // 2, corners[:, 2:] - corners[:, :2]])
        boxes[:, 2:] &= ~1  # so that a box at the border does not reach beyond it
        boxes[:, 2:] += 2 * (boxes[:, 2:] == 0)
        boxes[:, :2] = np.clip(boxes[:, :2], boxes[:, 2:] // 2, np.array(_borders(form)) - boxes[:, 2:] // 2)
    held = np.ones(len(boxes), bool) if present is None else present
    return BoxImage(boxes=boxes, scores=scores, labels=labels, present=held)


def clusters(
    rng: np.random.Generator, form: BoxFormat, count: int, *, spread: float = 0.1, boxes_each: int = 15
) -> BoxImage:
    """Boxes around a few objects of any size, with scores that are often equal."""
    borders = np.array(_borders(form))
    objects = max(1, count // boxes_each)
    side = np.exp(rng.uniform(np.log(4), np.log(max(6, borders.min())), (objects, 2)))
    centre = rng.uniform(0, 1, (objects, 2)) * borders
    of = rng.integers(objects, size=count)
    near = centre[of] + rng.normal(0, spread, (count, 2)) * side[of]
    half = side[of] * np.exp(rng.normal(0, spread, (count, 2))) / 2
    corners = _inside(np.hstack([near - half, near + half]), form)
    top = (1 << form.score_width) - 1
    scores = np.minimum(rng.integers(0, min(top, 3 * count) + 1, count) * max(1, top // (3 * count + 1)), top)
    return image_of(corners, scores, (of * 7) % form.classes, form)


def one_place(rng: np.random.Generator, form: BoxFormat, count: int, scores: Ints) -> BoxImage:
    """Make an image of `count` nearly equal boxes, a code apart at most: all in one window of each pass, or in two."""
    middle, size = np.array(_borders(form)) // 2, np.maximum(np.array(_borders(form)) // 8, 2)
    corners = np.tile(np.hstack([middle - size // 2, middle + size // 2 + 1]), (count, 1))
    corners[:, 2:] += rng.integers(0, 2, (count, 2))
    return image_of(_inside(corners, form), scores, np.zeros(count, np.int64), form)


def apart(rng: np.random.Generator, form: BoxFormat, count: int) -> BoxImage:
    """Boxes of which no two overlap, as many as fit into the image and at most `count`, in random order."""
    width, height = _borders(form)
    columns = max(1, min(width, int(np.ceil(np.sqrt(count)))))
    rows = max(1, min(height, count // columns))
    sides = np.array([width // columns, height // rows])
    cells = rng.permutation(columns * rows)
    low = np.stack([cells % columns, cells // columns], axis=1) * sides
    scores = rng.integers(0, 1 << form.score_width, len(cells))
    return image_of(np.hstack([low, low + sides]), scores, rng.integers(0, form.classes, len(cells)), form)


def on_edges(rng: np.random.Generator, form: BoxFormat, count: int) -> BoxImage:
    """Boxes of few sizes whose centres lie on multiples of 8 pixels or one code beside them."""
    step = 8 << form.fraction
    centre = rng.integers(0, np.array(_borders(form)) // step + 1, (count, 2)) * step - rng.integers(0, 2, (count, 2))
    half = rng.choice([step, 2 * step, 4 * step, 8 * step], (count, 2)) // 2
    corners = _inside(np.hstack([centre - half, centre + half]), form)
    scores = rng.integers(0, min(8, 1 << form.score_width), count)
    return image_of(corners, scores, rng.integers(0, min(2, form.classes), count), form)


def corrupt(rng: np.random.Generator, form: BoxFormat, count: int) -> BoxImage:
    """Codes of any value: most boxes have no area or reach beyond the image, some labels are unknown."""
    boxes = rng.integers(0, 1 << form.coordinate_width, (count, 4))
    labels = rng.integers(0, 1 << form.label_width, count)
    scores = rng.integers(0, 1 << form.score_width, count)
    return BoxImage(boxes=boxes, scores=scores, labels=labels, present=rng.random(count) < 0.9)


def with_holes(rng: np.random.Generator, image: BoxImage) -> BoxImage:
    """Empty random places of an image."""
    present = rng.random(len(image)) < 0.7
    return BoxImage(boxes=image.boxes, scores=image.scores, labels=image.labels, present=present)


def scenarios(rng: np.random.Generator, form: BoxFormat, capacity: int) -> dict[str, list[BoxImage]]:
    """Everything that a unit for `capacity` boxes is put through, images back to back, by name."""
    n = min(capacity, 96)
    top = (1 << form.score_width) - 1
    rising = np.minimum(np.arange(n), top)
    sizes = (int(size) for size in rng.integers(0, n + 1, 8))
    good = [clusters(rng, form, min(capacity, 24)) for _ in range(3)]
    return {
        "clusters": [clusters(rng, form, size) for size in (n, n, *sizes)],
        "wide clusters": [clusters(rng, form, n, spread=0.5, boxes_each=40)],
        "one window": [
            one_place(rng, form, n, scores) for scores in (rising, top - rising, np.full(n, top), 0 * rising)
        ],
        "window edges": [on_edges(rng, form, n) for _ in range(3)],
        "no, one and capacity boxes": [clusters(rng, form, size) for size in (0, 1, 0, 0, capacity, 1, capacity, 0)],
        "single boxes": [clusters(rng, form, 1) for _ in range(24)],
        "two boxes, image after image": [one_place(rng, form, 2, scores) for scores in falling(top, 2)],
        "three boxes, image after image": [one_place(rng, form, 3, scores) for scores in falling(top, 3)],
        "too many boxes": [clusters(rng, form, capacity + extra) for extra in (1, 9, 0, 2)],
        "corrupt boxes": [good[0], corrupt(rng, form, n), good[1], corrupt(rng, form, capacity + 5), good[2]],
        "empty places": [with_holes(rng, clusters(rng, form, size)) for size in (n, 1, 2, n // 2)],
    }


def floods(rng: np.random.Generator, form: BoxFormat, capacity: int) -> dict[str, list[BoxImage]]:
    """Images of up to 20 times as many boxes as a unit keeps, by name: in any order, in the worst ones, all equal."""
    top, n, long = (1 << form.score_width) - 1, capacity, 20 * capacity
    rising = np.arange(long) * max(1, top // long) % (top + 1)
    place = [one_place(rng, form, long, scores) for scores in (np.sort(rising), -np.sort(-rising), np.full(long, top))]
    sizes = rng.integers(0, 3 * n + 2, 6).tolist()
    return {
        "20 times as many boxes": [clusters(rng, form, size) for size in (long, n, long)],
        "rising, falling and equal scores": place,
        "about as many boxes": [clusters(rng, form, n + extra) for extra in (0, 1, n // 2, n - 1, n, n + 1, 2 * n)],
        "any number of boxes": [clusters(rng, form, size) for size in (0, *sizes, 3, 5 * n)],
        "mostly corrupt boxes": [corrupt(rng, form, 8 * n), clusters(rng, form, 4 * n), corrupt(rng, form, 2 * n)],
        "empty places in a flood": [with_holes(rng, clusters(rng, form, size)) for size in (4 * n, 1, 3 * n)],
    }


def falling(top: int, boxes: int) -> list[Ints]:
    """Scores of few boxes, lower with every image, the best elsewhere: what is left of images before would win."""
    images = []
    for image in range(16):
        scores = np.full(boxes, max(0, top - 1 - 2 * image))
        scores[image // 2 % boxes] += 1
        images.append(scores)
    return images


def equal_sizes(rng: np.random.Generator, form: BoxFormat, count: int, images: int) -> list[BoxImage]:
    """Images of `count` boxes each, which a pipelined unit takes without a pause."""
    return [clusters(rng, form, count) for _ in range(images)]


def _borders(form: BoxFormat) -> tuple[int, int]:
    return form.width << form.fraction, form.height << form.fraction


def _inside(corners: NDArray[Any], form: BoxFormat) -> Ints:
    """Whole corners within the image, at least one code apart."""
    borders = np.array(_borders(form))
    low = np.clip(np.floor(corners[:, :2]), 0, borders - 1).astype(np.int64)
    high = np.clip(np.ceil(corners[:, 2:]), low + 1, borders).astype(np.int64)
    return np.hstack([low, high])
