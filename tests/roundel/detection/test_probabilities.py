"""Integer scores as probabilities, against those of the same integers in double precision, for the three forms."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from roundel.detection import Detector
from roundel.golden.formats import Format
from tests.roundel.detection.test_forms import FAMILIES
from tests.roundel.detection.test_integer_heads import BYTE, detector, drawn, network


def probabilities(made: Detector, rng: np.random.Generator, **formats: Format) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of all boxes of integers that are drawn: from the integer scores, and in double precision."""
    tensors = drawn(made, rng)
    held: Any = network(dict.fromkeys(made.outputs, BYTE) | formats)
    [found] = made.integer(made.heads(held), {name: values.transpose(0, 2, 3, 1) for name, values in tensors.items()})
    real = {name: values * formats.get(name, BYTE).scale for name, values in tensors.items()}
    [exact] = made.detections(real)
    assert len(found.scores) == len(exact.scores) > 100
    return made.score_code(held).probabilities(found.scores), made.probabilities(exact.scores)


@pytest.mark.parametrize("name", FAMILIES)
def test_round_trip(name: str, seed: int) -> None:
    """Logits are exact; products of 8 fraction bits are off by a 256th of an octave, roots by half of that."""
    _, form, fields = FAMILIES[name]
    made = detector(replace(form, every_class=True), fields)
    got, exact = probabilities(made, np.random.default_rng([seed, 11]))
    if made.form.score == "logit":
        np.testing.assert_allclose(got, exact, rtol=1e-12)
        return
    most = 2**-9 + np.log2(1.003) if made.form.score == "softmax" else 2**-8 / (1 + made.form.root)
    assert 0 < np.abs(np.log2(got / exact)).max() <= most


def test_logits_of_scales_with_other_fraction_bits(seed: int) -> None:
    _, form, fields = FAMILIES["yolov8"]
    made = detector(replace(form, every_class=True), fields)
    [scale] = made.scales
    second = replace(scale, cls="d", box="e")
    both = replace(made, scales=(scale, second))
    rng = np.random.default_rng([seed, 12])
    tensors = drawn(made, rng)
    tensors |= {"d": tensors["c"], "e": tensors["b"]}
    fine = replace(BYTE, fraction=6)
    held: Any = network({"c": BYTE, "b": BYTE, "d": fine, "e": BYTE})
    integers = {name: values.transpose(0, 2, 3, 1) for name, values in tensors.items()}
    [found] = both.integer(both.heads(held), integers)
    [exact] = both.detections({name: values / (64 if name == "d" else 16) for name, values in tensors.items()})
    got = both.score_code(held).probabilities(found.scores)
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-exact.scores)), rtol=1e-12)


def test_costs_of_few_bits(seed: int) -> None:
    """Scores of 8 bits and a threshold of 0.01 leave 5 fraction bits: a 32nd of an octave, 2.2 %."""
    _, form, fields = FAMILIES["yolov5"]
    made = detector(replace(form, every_class=True), fields)
    small = replace(made.nms, format=replace(made.nms.format, score_width=8))
    made = replace(made, threshold=0.01, nms=small)
    rng = np.random.default_rng([seed, 13])
    tensors = drawn(made, rng)
    held: Any = network(dict.fromkeys(made.outputs, BYTE))
    integers = {name: values.transpose(0, 2, 3, 1) for name, values in tensors.items()}
    [found] = made.integer(made.heads(held), integers)
    code = made.score_code(held)
    assert code.fraction == 5
    every = {(p, y, x): 1 / (1 + np.exp(-v / 16)) for (p, y, x), v in np.ndenumerate(tensors["o"][0])}
    products = {}
    for (channel, y, x), value in np.ndenumerate(tensors["c"][0]):
        prior, label = divmod(channel, len(made.classes))
        products[y, x, prior, label] = every[prior, y, x] / (1 + np.exp(-value / 16))
    exact = np.array([products[key] for key in sorted(products)])
    exact = exact[exact >= 0.01 * 2**-0.03]
    got = code.probabilities(found.scores)
    assert abs(len(got) - len(exact)) < 0.05 * len(exact)
    nearest = np.abs(np.log2(got[:, None] / exact)).min(axis=1)
    assert nearest.max() <= 2**-5
