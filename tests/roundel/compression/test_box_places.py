"""Where boxes are on the calibration images, by loops over locations."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from roundel.compression.head import ENOUGH, box_places
from roundel.detection import Detector, HeadForm, Scale
from roundel.golden.nms import BoxFormat, NmsParams

ROWS, COLUMNS, IMAGES = 5, 7, 6
NMS = NmsParams(format=BoxFormat(width=56, height=40, classes=3), areas=(100.0,), stride=8)


def made(form: HeadForm, threshold: float, priors: int) -> Detector:
    sides = ((8.0, 8.0), (16.0, 8.0))[:priors] if form.has_priors else ()
    scale = Scale(cls="c", box="b", objectness="o" if form.score == "product" else "", stride=8, priors=sides)
    return Detector(classes=("x", "y", "z"), threshold=threshold, scales=(scale,), nms=NMS, form=form)


def graph_of(tensors: dict[str, np.ndarray]) -> Any:
    names = {name: f"{name}_tensor" for name in tensors}
    return SimpleNamespace(names=names, named_outputs=lambda images: tensors)


def passes(form: HeadForm, cls: np.ndarray, objectness: np.ndarray | None, threshold: float) -> bool:
    """Whether a class of a prior of a location does, from one number at a time."""
    for prior, logits in enumerate(cls):
        powers = np.exp(logits)
        for label in range(3):
            chance = 1 / (1 + np.exp(-logits[label]))
            if form.score == "logit":
                chance = logits[label]
            elif form.score == "product":
                assert objectness is not None
                chance = chance / (1 + np.exp(-objectness[prior]))
            else:
                chance = powers[label + 1] / powers.sum()
            if chance >= threshold:
                return True
    return False


@pytest.mark.parametrize(
    ("form", "threshold", "priors"),
    [
        (HeadForm(), 1.0, 1),
        (HeadForm(score="product", box="centre", side="exp"), 0.4, 2),
        (HeadForm(score="softmax", background=0, box="centre", side="exp"), 0.6, 2),
    ],
)
def test_places(form: HeadForm, threshold: float, priors: int, seed: int) -> None:
    rng = np.random.default_rng([seed, 41])
    channels = 4 if form.score == "softmax" else 3
    cls = rng.normal(0, 1.5, (IMAGES, priors * channels, ROWS, COLUMNS))
    tensors = {"c": cls, "b": rng.normal(0, 1, (IMAGES, priors * 4, ROWS, COLUMNS))}
    if form.score == "product":
        tensors["o"] = rng.normal(0, 1.5, (IMAGES, priors, ROWS, COLUMNS))
    detector = made(form, threshold, priors)
    expected = np.zeros((IMAGES, ROWS, COLUMNS), dtype=bool)
    for place in np.ndindex(expected.shape):
        image, row, column = place
        objectness = tensors["o"][image, :, row, column] if "o" in tensors else None
        expected[place] = passes(form, cls[image, :, row, column].reshape(priors, channels), objectness, threshold)
    assert ENOUGH < expected.sum() < expected.size
    images = np.zeros((IMAGES, 1, 40, 56))
    found = box_places(detector, graph_of(tensors), images)
    assert list(found) == ["b_tensor"]
    assert (found["b_tensor"] == expected).all()
    far = replace(detector, threshold=50.0 if form.score == "logit" else 0.999999)
    assert box_places(far, graph_of(tensors), images) == {}  # too few of them: all locations count
    assert box_places(None, graph_of(tensors), images) == {}
    assert box_places(detector, graph_of({"c": cls}), images) == {}  # another part of the network
