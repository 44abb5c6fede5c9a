"""Heads of all families on the engine's RTL, from an image to boxes, bit for bit as the golden engine has them."""

from dataclasses import replace

import pytest

from roundel.golden.engine import HEADS, EngineParams
from roundel.golden.nms import TopKParams
from roundel.runtime.proof import check
from tests.support.drawn_heads import CASES, ENGINE, FORM, drawn_detector

STALLS = {"stalls": 40, "delay": 3}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_boxes_of_all_forms(case: list[str], seed: int) -> None:
    for number in range(2):
        network, image, heads = drawn_detector(1000 * seed + number, case)
        check(ENGINE, network, image, heads, settings=STALLS, seed=seed)


WIDE = replace(ENGINE, lanes=8, columns=8, bus=128, places=True, nms=TopKParams(format=FORM, capacity=32))


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_boxes_with_places_of_a_wide_engine(case: list[str], seed: int) -> None:
    """The 32 best boxes, each with its scale, row, column and prior."""
    network, image, heads = drawn_detector(1000 * seed + 7, case)
    check(WIDE, network, image, heads, settings=STALLS, seed=seed)


@pytest.mark.parametrize("name", HEADS)
def test_a_form_alone(name: str, seed: int) -> None:
    """An engine that knows a single form has the boxes of the heads that ask for no other."""
    params, ran = EngineParams(**ENGINE.as_dict() | {"heads": [name]}), 0
    parts = {"priors": "plain", "product": "plain", "softmax": "plain", "dfl": "distribution", "centre": "centres"}
    score = name if name in ("product", "softmax") else "logit"
    for number in range(2):
        network, image, heads = drawn_detector(1000 * seed + number, [score, parts.get(name, name)])
        check(params, network, image, heads, settings=STALLS, seed=seed)
        ran += len(heads)
    assert ran == 4
