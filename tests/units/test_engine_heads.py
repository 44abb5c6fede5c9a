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


FEW = {
    ("priors",): ["logit", "plain", "priors"],
    ("dfl",): ["logit", "distribution"],
    ("product", "centre"): ["product", "centres"],
    ("softmax", "corners"): ["softmax", "corners"],
}
"""Engines that know a few forms, each form in one of them, and the heads that ask for these."""


@pytest.mark.parametrize("forms", FEW)
def test_engines_that_leave_forms_out(forms: tuple[str, ...], seed: int) -> None:
    params, ran = EngineParams(**ENGINE.as_dict() | {"heads": forms}), 0
    for number in range(2):
        network, image, heads = drawn_detector(1000 * seed + number, FEW[forms])
        check(params, network, image, heads, settings=STALLS, seed=seed)
        ran += len(heads)
    assert ran == 4


def test_every_form_is_in_an_engine_with_few() -> None:
    assert sorted(form for forms in FEW for form in forms) == sorted(HEADS)
