"""Detectors of every family on integers, as the box unit decodes them, against themselves in double precision."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from roundel.detection import Detector, HeadForm, Scale
from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.nms import BoxFormat, NmsParams
from tests.roundel.detection.test_forms import CLASSES, COLUMNS, FAMILIES, ROWS, STRIDE

FORM = BoxFormat(width=512, height=512, fraction=3, score_width=12, classes=CLASSES)
AWAY = 8.0  # strides from the border of the image to the first location: no box reaches it
BYTE = Format(width=8, signed=True, fraction=4)
UNITS = {
    "yolov3": ("product", "centre"), "yolov5": ("product", "centre"), "yolox": ("product", "centre"),
    "yolov8": ("dfl",), "fcos": ("product", "centre"), "ssd": ("softmax", "centre"), "centernet": ("centre",),
    "pnet": ("softmax", "corners"),
}  # fmt: skip


def detector(form: HeadForm, fields: dict[str, Any], *, stride: float = STRIDE) -> Detector:
    """A detector of that form whose boxes lie within the image, and which turns none down."""
    given = {"offset": 0.0} | fields
    given["offset"] += AWAY
    if form.box == "corners":
        given["priors"] = tuple(tuple(side + AWAY * STRIDE for side in prior) for prior in given["priors"])
    scale = Scale(
        cls="c", box="b", objectness="o" if form.score == "product" else "", stride=stride, rows=ROWS, columns=COLUMNS,
        **given,
    )  # fmt: skip
    threshold = -100.0 if form.score == "logit" else 1e-2 if form.root else 1e-4
    nms = NmsParams(format=FORM, method="maxpool", areas=(100.0,), stride=8)
    return Detector(classes=tuple("abcd"), threshold=threshold, scales=(scale,), nms=nms, form=form)


def network(formats: dict[str, Format]) -> Any:
    """As much of an integer network as `heads` looks at."""
    layers = [SimpleNamespace(name=name, output=form) for name, form in formats.items()]
    return SimpleNamespace(layers=layers, output_names=tuple(formats))


def drawn(made: Detector, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Integers by name, (1, channels, rows, columns); sizes that are linear are above 0."""
    tensors = {}
    for name, shape in made.shapes(made.scales[0]).items():
        values = np.rint(rng.normal(0, 16, (1, *shape))).astype(np.int64)
        if name == "b" and made.form.side in ("linear", "relu") and made.form.box in ("centre", "distances"):
            values = np.abs(values) + 1
        if name == "b" and made.form.box == "corners":
            values = np.abs(values) % 6 * np.repeat([-1, -1, 1, 1], 1)[:, None, None]
        tensors[name] = np.clip(values, -128, 127)
    return tensors


def compared(made: Detector, rng: np.random.Generator) -> None:
    """Decode integers in both ways: corners within half a pixel or 0.4 % of the side, scores within 0.01 octaves."""
    tensors = drawn(made, rng)
    heads = made.heads(network(dict.fromkeys(made.outputs, BYTE)))
    [found] = made.integer(heads, {name: values.transpose(0, 2, 3, 1) for name, values in tensors.items()})
    [exact] = made.detections({name: values / 16 for name, values in tensors.items()})
    assert len(found.scores) == len(exact.scores) >= ROWS * COLUMNS
    assert found.labels.tolist() == exact.labels.tolist()
    sides = np.tile(exact.boxes[:, 2:] - exact.boxes[:, :2], 2)
    errors = np.abs(found.boxes / 8 - exact.boxes)
    assert (errors <= np.maximum(0.5, 0.004 * sides)).all()
    if made.form.score == "logit":
        assert ((found.scores - 2048) / 16).tolist() == exact.scores.tolist()
    else:
        costs = (4095 - found.scores) / 256 / (2 if made.form.root else 1)
        np.testing.assert_allclose(costs, -np.log2(exact.scores), rtol=0, atol=0.01)


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str, seed: int) -> None:
    _, form, fields = FAMILIES[name]
    made = detector(replace(form, every_class=True), fields)
    assert made.in_box_unit
    assert made.units == UNITS[name]
    compared(made, np.random.default_rng([seed, 1]))


@pytest.mark.parametrize("name", ["yolov3", "ssd", "centernet", "pnet"])
def test_any_stride(name: str, seed: int) -> None:
    """300 / 38 of SSD is no power of two, and not even a binary fraction."""
    _, form, fields = FAMILIES[name]
    compared(detector(replace(form, every_class=True), fields, stride=300 / 38), np.random.default_rng([seed, 2]))


def test_distances_that_are_exponentials(seed: int) -> None:
    form = HeadForm(side="exp", every_class=True)
    made = detector(form, {"unit": 3, "offset": 0.5})
    assert made.units == ("centre",)
    compared(made, np.random.default_rng([seed, 3]))


def test_plain_heads_need_nothing_and_others_what_they_have() -> None:
    plain = Scale(cls="c", box="b", stride=16)
    made = Detector(classes=("a",), threshold=0, scales=(plain,), nms=NmsParams(format=FORM, areas=(100.0,)))
    assert made.units == ()
    assert replace(made, form=HeadForm(every_class=True)).units == ("priors",)
    assert replace(made, scales=(replace(plain, stride=12),)).units == ("priors",)
    assert replace(made, scales=(plain, replace(plain, cls="d", box="e", offset=0))).units == ("priors",)
    assert replace(made, form=HeadForm(box="dfl")).units == ("dfl",)


@pytest.mark.parametrize(
    ("formats", "threshold", "message"),
    [
        ({"c": replace(BYTE, fraction=12)}, 0.3, "outputs c and b: fraction must be 0 to 10, not 12"),
        ({}, 0.0, "outputs c and b: threshold must be a probability above 0 and below 1, not 0"),
    ],
)
def test_refuses_softmaxes(formats: dict[str, Format], threshold: float, message: str) -> None:
    _, form, fields = FAMILIES["ssd"]
    made = replace(detector(form, fields), threshold=threshold)
    with pytest.raises(InputError, match=message):
        made.heads(network({"c": BYTE, "b": BYTE} | formats))
