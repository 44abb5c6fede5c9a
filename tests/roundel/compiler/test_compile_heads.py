# amaranth: UnusedElaboratable=no
"""Heads other than the plain one, compiled and run on the golden engine, against `roundel.golden.head` on its own."""

from typing import Any

import numpy as np
import pytest

from roundel.compiler import Head, compile_network
from roundel.golden.engine import HEADS, RECORD, Engine, EngineFault, EngineParams, ErrorCode, Opcode, Program, Region
from roundel.golden.errors import InputError
from roundel.golden.head import (
    CentreParams,
    CornerParams,
    DistributionParams,
    HeadParams,
    PlaceParams,
    ProductParams,
    SideParams,
    SoftmaxParams,
    decode,
)
from roundel.golden.network import MaxPool, Window
from roundel.golden.nms import BoxFormat, NmsParams
from roundel.hw.engine.boxes import Boxes
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
        made["softmax"] = SoftmaxParams(background=ground, fraction=int(rng.integers(1, 6)), bits=8, most=1500)
    if "distribution" in case:
        made["distribution"] = DistributionParams(bins=int(rng.integers(2, 18)), fraction=int(rng.integers(0, 6)))
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


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_boxes_are_those_of_the_head(case: list[str], lanes: int, seed: int) -> None:
    params, boxes = EngineParams(**ENGINE.as_dict() | {"lanes": lanes, "columns": lanes}), 0
    for number in range(6):
        network, image, heads = drawn_detector(1000 * seed + number, case)
        compiled = compile_network(network, image.shape, params, heads=heads, trace=True)
        regions = compiled.regions(image)
        engine = Engine(params=params, regions=regions)
        engine.run()
        tensors = [
            tuple(compiled.read(head.maps[name], regions) for name in ("cls", "box", "objectness") if name in head.maps)
            for head in heads
        ]
        found = decode([head.params for head in heads], tensors)
        kept = NMS.compute(*found).kept
        expected = [
            {
                **dict(zip(("x1", "y1", "x2", "y2"), map(int, found.boxes[i]), strict=True)),
                "score": int(found.scores[i]),
            }
            | {"label": int(found.labels[i]), "index": int(i)}
            for i in kept
        ]
        assert list(RECORD.unpack(compiled.records(regions))) == expected
        boxes += len(expected)
    assert boxes > 5


def test_a_plain_head_has_the_program_of_an_engine_without_other_heads(seed: int) -> None:
    """The fields that are new are 0 but for the places of locations, and nothing else differs but the fingerprint."""
    network, image, heads = drawn_detector(seed, ["logit", "plain"])
    assert {head.params.priors for head in heads} == {1}
    programs = []
    for names in (HEADS, ()):
        params = EngineParams(**ENGINE.as_dict() | {"heads": names})
        compiled = compile_network(network, image.shape, params, heads=heads)
        programs.append(Program.unpack(bytes(compiled.regions(image)[Region.PROGRAM]), params))
    for first, second in zip(*(program.descriptors for program in programs), strict=True):
        changed = {name for name in first.values if getattr(first, name) != getattr(second, name)}
        assert changed == ({"step", "origin"} if first.opcode is Opcode.BOXES else set())
    assert programs[0].fingerprint != programs[1].fingerprint


def programs_boxes(compiled: Any, image: Any) -> tuple[dict[Region, Any], int]:
    """The regions of a program, and where its first BOXES is."""
    regions = compiled.regions(image)
    program = Program.unpack(bytes(regions[Region.PROGRAM]), ENGINE)
    index = next(n for n, made in enumerate(program.descriptors) if made.opcode is Opcode.BOXES)
    return regions, index


@pytest.mark.parametrize("change", [-2, 2, -1])
def test_tables_of_another_length_are_a_fault(change: int, seed: int) -> None:
    network, image, heads = drawn_detector(seed, ["product", "centres"], count=1)
    compiled = compile_network(network, image.shape, ENGINE, heads=heads)
    regions, index = programs_boxes(compiled, image)
    at = 64 + 128 * index + 544 // 8
    held = bytearray(bytes(regions[Region.PROGRAM]) + bytes(16))
    size = int.from_bytes(held[at : at + 4], "little")
    held[at : at + 4] = (size + change).to_bytes(4, "little")
    regions[Region.PROGRAM] = np.frombuffer(bytes(held), np.uint8)
    with pytest.raises(EngineFault) as found:
        Engine(params=ENGINE, regions=regions).run()
    assert (found.value.code, found.value.index) == (ErrorCode.PARAMETERS, index)


def test_refuses_a_head_that_the_box_unit_does_not_know(seed: int) -> None:
    network, image, heads = drawn_detector(seed, ["logit", "distribution"])
    params = EngineParams(**ENGINE.as_dict() | {"heads": ("centre",)})
    with pytest.raises(InputError, match=r"the engine's box unit does not know dfl: --set heads=\[centre,dfl\]"):
        compile_network(network, image.shape, params, heads=heads)


def test_refuses_a_head_without_its_objectness(seed: int) -> None:
    network, image, heads = drawn_detector(seed, ["product", "centres"], count=1)
    bare = Head(cls=heads[0].cls, box=heads[0].box, params=heads[0].params)
    with pytest.raises(InputError, match="expected maps cls, box, objectness, not cls, box"):
        compile_network(network, image.shape, ENGINE, heads=[bare])


def test_hardware_refuses_other_heads() -> None:
    with pytest.raises(InputError, match="heads: expected none, as hardware decodes the plain head alone so far, not"):
        Boxes(ENGINE)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"heads": ["centre", "ssd"]}, ValueError, "heads must be of priors, product, .*, not 'ssd'"),
        ({"heads": 3}, TypeError, "heads must be a list of priors, .*, not 3"),
        ({"heads": ["dfl"], "nms": None}, ValueError, "heads must be empty in an engine without nms, not dfl"),
    ],
)
def test_refuses_names_of_heads(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        EngineParams(**ENGINE.as_dict() | change)


def test_the_names_of_heads_have_one_order() -> None:
    assert EngineParams(**ENGINE.as_dict() | {"heads": ["dfl", "product"]}).heads == ("product", "dfl")
