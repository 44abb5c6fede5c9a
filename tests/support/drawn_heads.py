"""Networks with heads of all forms, drawn, for compiler and engine."""

from typing import Any

import numpy as np

from roundel.compiler import Head
from roundel.golden.engine import HEADS, EngineParams
from roundel.golden.head import (
    CentreParams,
    CornerParams,
    DistributionParams,
    HeadParams,
    PlaceParams,
    ProductParams,
    SideParams,
    SoftmaxParams,
    exponents,
)
from roundel.golden.network import MaxPool, Window
from roundel.golden.nms import BoxFormat, NmsParams
from roundel.runtime.random_networks import Drawn

FORM = BoxFormat(width=96, height=64, fraction=2, score_width=12, classes=7)
NMS = NmsParams(format=FORM, method="maxpool", areas=(100.0, 400.0), stride=8, capacity=512)
ENGINE = EngineParams(lanes=4, columns=4, memory=1 << 15, nms=NMS, heads=HEADS)
CASES = (
    ["product", "centres"], ["product", "sides"], ["product", "plain", "place"], ["softmax", "centres", "every_class"],
    ["softmax", "corners", "place"], ["logit", "distribution"], ["logit", "distribution", "priors", "every_class"],
    ["logit", "centres", "peaks", "every_class"], ["logit", "plain", "priors"], ["logit", "plain"],
)  # fmt: skip


def table(rng: np.random.Generator, low: int, high: int, count: int = 256) -> tuple[int, ...]:
    return tuple(rng.integers(low, high + 1, count).tolist())


def parts(case: list[str], rng: np.random.Generator, classes: int, priors: int) -> dict[str, Any]:
    """Keyword arguments of a random head of these forms; tables are any numbers."""
    made: dict[str, Any] = {"priors": priors, "every_class": "every_class" in case, "peaks": "peaks" in case}
    if "product" in case:
        made["products"] = ProductParams(cls=table(rng, 0, 2500), objectness=table(rng, 0, 2500), most=3000)
    if "softmax" in case:
        ground = int(rng.choice([0, classes]))
        made["softmax"] = SoftmaxParams(
            background=ground, exponents=exponents(int(rng.integers(1, 6))), bits=8, most=1500
        )
    if "distribution" in case:
        made["distribution"] = DistributionParams(
            bins=int(rng.integers(2, 18)), exponents=exponents(int(rng.integers(0, 6)))
        )
        made["shift"] = int(rng.integers(-7, -2))
    if "sides" in case:
        made["sides"] = SideParams(sides=table(rng, -2000, 8000))
    if "centres" in case:
        pairs = tuple((int(w), int(h)) for w, h in rng.integers(2000, 7000, (priors, 2)))
        made["centres"] = CentreParams(centres=table(rng, -60, 60), sides=table(rng, -2000, 2000), priors=pairs)
    if "corners" in case:
        cells = tuple((int(x), int(y), int(x + w), int(y + h)) for x, y, w, h in rng.integers(1, 60, (priors, 4)))
        made["corners"] = CornerParams(offsets=table(rng, -30, 30), priors=cells)
    if "place" in case:
        made["place"] = PlaceParams.of(float(rng.uniform(3, 9)), float(rng.uniform(-1, 1)), fraction=2)
    return made


def drawn_head(drawn: Drawn, case: list[str]) -> Head:
    """Maps from any tensor, and a head of these forms on them."""
    source, rng = drawn.any_tensor(), drawn.rng
    rows, columns, _ = drawn.shapes[source]
    classes, single = int(rng.integers(1, 8)), "peaks" in case or case == ["logit", "plain"]
    priors = 1 if single else int(rng.integers(1, 4))
    made = parts(case, rng, classes, priors)
    numbers = 4 * made["distribution"].bins if "distribution" in made else 4
    window = Window(kernel=(1, 1))
    cls = drawn.weighted(source, window, priors * (classes + ("softmax" in made)))
    box = drawn.weighted(source, window, priors * numbers)
    maps = {"cls": cls, "box": box}
    if "products" in made:
        maps["objectness"] = drawn.weighted(source, window, priors)
        made["objectness_signed"] = drawn.formats[maps["objectness"]].signed
    if "peaks" in case:
        around = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
        maps["maxima"] = drawn.add(MaxPool, drawn.shapes[cls], cls, window=around, output=drawn.formats[cls])
    logits, low = drawn.formats[cls], drawn.formats[cls].limits[0]
    params = HeadParams(
        columns=columns, rows=rows, stride=1 << int(rng.integers(1, 4)), classes=classes,
        threshold=-20 if "softmax" in made else low + int(rng.integers(0, 90)) % 20, width=FORM.width,
        height=FORM.height, fraction=FORM.fraction, score_width=FORM.score_width, cls_width=logits.width,
        cls_signed=logits.signed, box_width=drawn.formats[box].width, box_signed=drawn.formats[box].signed, **made,
    )  # fmt: skip
    return Head(params=params, **maps)


def drawn_detector(seed: int, case: list[str], count: int = 2) -> tuple[Any, Any, tuple[Head, ...]]:
    """A network with scales of such heads, and an image."""
    drawn = Drawn(seed, size=6, channels=6)
    drawn.grow(2)
    heads = tuple(drawn_head(drawn, case) for _ in range(count))
    network = drawn.network()
    return network, drawn.rng.integers(*network.input.limits, drawn.shapes["image"], endpoint=True), heads
