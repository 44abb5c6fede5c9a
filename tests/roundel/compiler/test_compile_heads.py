"""Heads other than the plain one, compiled and run on the golden engine, against `roundel.golden.head` on its own."""

from typing import Any

import numpy as np
import pytest

from roundel.compiler import Head, compile_network
from roundel.golden.engine import HEADS, RECORD, Engine, EngineFault, EngineParams, ErrorCode, Opcode, Program, Region
from roundel.golden.errors import InputError
from roundel.golden.head import decode
from tests.support.drawn_heads import CASES, ENGINE, NMS, drawn_detector


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
