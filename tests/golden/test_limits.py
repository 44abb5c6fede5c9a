"""Every limit of every parameter object: the last good value on both sides, and the first bad one; every default."""

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from roundel.golden.codec import CodecParams, DecoderParams
from roundel.golden.engine import EngineParams
from roundel.golden.formats import Format
from roundel.golden.head import HeadParams
from roundel.golden.mac import MacParams, SparseMacParams
from roundel.golden.nms import BoxFormat, ExactParams, GreedyParams, NmsParams, PsrrParams, TopKParams, preset
from roundel.golden.opq import OpqParams
from roundel.golden.requant import RequantParams

HEAD = {"columns": 3, "rows": 4, "stride": 8, "classes": 2, "threshold": 0, "shift": 0, "width": 96, "height": 96}
LARGE = HEAD | {"stride": 1, "width": 4096, "height": 4096}
PASSES = {"passes": preset("guarded").passes}
WIDE = {"fifo": 4096}
RICE = {"packing": "rice", "lanes": 32}


@dataclass(frozen=True)
class Range:
    """An integer and what it may be; `beside` are other parameters, `low` and `high` more of them for the ends."""

    kind: Any
    name: str
    least: int
    most: int
    beside: dict[str, Any] = field(default_factory=dict)
    low: dict[str, Any] = field(default_factory=dict)
    high: dict[str, Any] = field(default_factory=dict)


RANGES = [
    Range(CodecParams, "width", 2, 8),
    Range(CodecParams, "width", 2, 5, {"levels": (0, 1)}),
    Range(CodecParams, "lanes", 4, 32),
    Range(CodecParams, "segment", 64, 1 << 16),
    Range(CodecParams, "slices", 1, 8),
    Range(CodecParams, "slices", 1, 1, {"packing": "mask"}),
    Range(CodecParams, "slices", 1, 1, {"packing": "relative"}),
    Range(CodecParams, "run_bits", 0, 9),
    Range(CodecParams, "run_bits", 0, 8, {"packing": "relative"}),
    Range(CodecParams, "run_bits", 0, 0, {"packing": "mask"}),
    Range(CodecParams, "base", 1, 128, {"width": 8}),
    Range(CodecParams, "base", 1, 2, {"width": 2}),
    Range(CodecParams, "base", 1, 1, {"levels": (0, 1)}),
    Range(CodecParams, "base", 1, 1, {"packing": "relative"}),
    Range(CodecParams, "level_bits", 0, 8),
    Range(CodecParams, "level_limit", 0, 7),
    Range(CodecParams, "level_extra", 0, 8),
    *(Range(CodecParams, f"level_{name}", 0, 0, {"packing": "mask"}) for name in ("bits", "limit", "extra")),
    Range(DecoderParams, "bus", 32, 128),
    Range(DecoderParams, "lanes", 4, 32),
    Range(DecoderParams, "width", 2, 8),
    Range(DecoderParams, "width", 2, 5, {"table": True}),
    Range(DecoderParams, "slices", 1, 8, RICE),
    Range(DecoderParams, "slices", 1, 1),
    Range(RequantParams, "acc_width", 16, 48),
    Range(RequantParams, "out_width", 2, 16),
    Range(RequantParams, "out_width", 2, 8, {"scheme": "threshold"}),
    Range(RequantParams, "shift", 0, 63, {"scheme": "shift_const"}),
    Range(RequantParams, "index_width", 1, 5, {"scheme": "codebook"}),
    Range(MacParams, "lanes", 1, 64),
    Range(MacParams, "columns", 1, 64),
    Range(MacParams, "depth", 1, 1 << 16),
    Range(MacParams, "act_width", 2, 8),
    Range(MacParams, "weight_width", 2, 8),
    Range(MacParams, "reduction", 1, 1 << 20),
    Range(MacParams, "bias_width", 2, 32),
    Range(EngineParams, "lanes", 4, 32, {}, {"columns": 4}, {"columns": 32}),
    Range(EngineParams, "columns", 4, 32, {}, {"lanes": 4}, {"lanes": 32}),
    Range(EngineParams, "depth", 2, 1 << 16),
    Range(EngineParams, "taps", 1, 8),
    Range(EngineParams, "taps", 1, 16, {"lanes": 32, "columns": 32}),
    Range(EngineParams, "taps", 1, 4, {"lanes": 4, "columns": 4}),
    Range(EngineParams, "memory", 1 << 10, 1 << 24),
    Range(EngineParams, "banks", 2, 8),
    Range(EngineParams, "bus", 64, 128),
    Range(EngineParams, "burst", 1, 256, WIDE),
    Range(EngineParams, "outstanding", 2, 16),
    Range(EngineParams, "fifo", 2, 4096, {}, {"burst": 2}),
    Range(EngineParams, "reduction", 1, 1 << 20),
    Range(EngineParams, "bias_width", 2, 32),
    Range(EngineParams, "weight_width", 2, 8),
    Range(EngineParams, "slices", 1, 8, {"packing": "rice"}),
    Range(BoxFormat, "width", 1, 4096),
    Range(BoxFormat, "height", 1, 4096),
    Range(BoxFormat, "fraction", 0, 8),
    Range(BoxFormat, "score_width", 1, 32),
    Range(BoxFormat, "classes", 1, 4096),
    Range(GreedyParams, "capacity", 1, 65536),
    Range(ExactParams, "capacity", 1, 65536),
    Range(ExactParams, "max_detections", 1, 1024),
    Range(ExactParams, "candidates", 1024, 1 << 24),
    Range(TopKParams, "capacity", 1, 65536),
    Range(TopKParams, "candidates", 300, 1 << 24),
    Range(GreedyParams, "lanes", 1, 4),
    Range(NmsParams, "capacity", 1, 65536),
    Range(NmsParams, "banks", 2, 8),
    Range(NmsParams, "epoch_width", 2, 16),
    Range(NmsParams, "lanes", 1, 4),
    Range(NmsParams, "stride", 1, 4096),
    Range(PsrrParams, "width", 1, 4096, PASSES),
    Range(PsrrParams, "height", 1, 4096, PASSES),
    Range(PsrrParams, "stride", 1, 4096, PASSES),
    Range(HeadParams, "columns", 1, 4096, LARGE),
    Range(HeadParams, "rows", 1, 4096, LARGE),
    Range(HeadParams, "stride", 1, 128, HEAD | {"width": 4096}),
    Range(HeadParams, "classes", 1, 256, HEAD),
    Range(HeadParams, "shift", -15, 12, HEAD),
    Range(HeadParams, "score_shift", 0, 4, HEAD | {"score_width": 12}),
    Range(HeadParams, "width", 1, 4096, HEAD),
    Range(HeadParams, "height", 1, 4096, HEAD),
    Range(HeadParams, "fraction", 0, 8, HEAD),
    Range(HeadParams, "score_width", 8, 12, HEAD),
    Range(HeadParams, "cls_width", 2, 8, HEAD),
    Range(HeadParams, "priors", 1, 9, HEAD),
    Range(HeadParams, "box_width", 2, 8, HEAD),
    Range(HeadParams, "threshold", -128, 127, HEAD),
    Range(HeadParams, "threshold", 0, 15, HEAD | {"cls_width": 4, "cls_signed": False}),
    Range(OpqParams, "max_width", 2, 16),
    Range(OpqParams, "columns", 1, 64),
    Range(Format, "fraction", -2000, 2000, {"width": 8, "signed": True}),
    Range(Format, "zero", -8, 7, {"width": 4, "signed": True, "fraction": 0}),
    Range(Format, "zero", 0, 15, {"width": 4, "signed": False, "fraction": 0}),
]  # fmt: skip


@pytest.mark.parametrize("limits", RANGES, ids=lambda limits: f"{limits.kind.__name__}.{limits.name}")
def test_integers_are_taken_up_to_their_limits(limits):
    kind, name, least, most = limits.kind, limits.name, limits.least, limits.most
    beside, low, high = limits.beside, limits.low, limits.high
    assert getattr(kind(**beside | low | {name: least}), name) == least
    assert getattr(kind(**beside | high | {name: most}), name) == most
    for value, more in ((least - 1, low), (most + 1, high)):
        with pytest.raises(ValueError, match=re.escape(f"{name} must be {least} to {most}, not {value}")):
            kind(**beside | more | {name: value})
    for value in (float(least), True, str(least)):
        with pytest.raises(TypeError, match=re.escape(f"{name} must be an integer, not {value!r}")):
            kind(**beside | low | {name: value})


NUMBERS = [
    (GreedyParams, "threshold", (0, 1, 0.5), (-0.001, 1.001), {}),
    (OpqParams, "sparsity", (0, 0.999), (-0.001, 1, 1.0), {}),
    (OpqParams, "bits", (2, 8, 5.5), (1.999, 8.001), {}),
    (OpqParams, "bits", (16,), (16.001,), {"max_width": 16}),
    (PsrrParams, "alpha", (0.001, 1000), (0, 1000.001, -1), PASSES),
    (PsrrParams, "guard", (0, 0.999), (-0.001, 1), PASSES),
]


@pytest.mark.parametrize(("kind", "name", "good", "bad", "beside"), NUMBERS)
def test_numbers_are_taken_up_to_their_limits(kind, name, good, bad, beside):
    for value in good:
        assert getattr(kind(**beside | {name: value}), name) == value
    for value in bad:
        with pytest.raises(ValueError, match=f"{name} must be .*not {value}"):
            kind(**beside | {name: value})
    for value in (True, "1"):
        with pytest.raises(TypeError, match=f"{name} must be a number, not {value!r}"):
            kind(**beside | {name: value})


@pytest.mark.parametrize("width", [1, 33, 8.0, "8"])
def test_formats_have_2_to_32_bits(width):
    assert [Format(width=good, signed=True, fraction=0).width for good in (2, 32)] == [2, 32]
    with pytest.raises(ValueError, match=f"width must be 2 to 32 bits, not {width!r}"):
        Format(width=width, signed=True, fraction=0)


@pytest.mark.parametrize(
    ("kind", "name", "beside"),
    [
        (DecoderParams, "table", {}),
        *((RequantParams, name, {"scheme": "fixed16"}) for name in ("out_signed", "relu", "pipeline")),
        *((MacParams, name, {}) for name in ("act_signed", "per_channel")),
        (NmsParams, "class_key", {}),
        *((HeadParams, name, HEAD) for name in ("cls_signed", "box_signed")),
        *((OpqParams, name, {}) for name in ("power_of_two", "exact")),
        (Format, "signed", {"width": 8, "fraction": 0}),
    ],
)
def test_flags_are_bools(kind, name, beside):
    for value in (False, True):
        assert getattr(kind(**beside | {name: value}), name) is value
    for value in (0, 1, None):
        with pytest.raises(TypeError, match=f"{name} must be a bool, not {value}"):
            kind(**beside | {name: value})


@pytest.mark.parametrize(
    ("kind", "name", "beside"),
    [
        (CodecParams, "lanes", {}),
        (CodecParams, "segment", {}),
        (CodecParams, "slices", {}),
        (DecoderParams, "bus", {}),
        (EngineParams, "memory", {}),
        (EngineParams, "fifo", {}),
        (EngineParams, "burst", WIDE),
        (EngineParams, "banks", {}),
        (EngineParams, "bus", {}),
        (PsrrParams, "stride", PASSES),
        (HeadParams, "stride", HEAD),
    ],
)
def test_powers_of_two(kind, name, beside):
    limits = next(entry for entry in RANGES if (entry.kind, entry.name) == (kind, name))
    with pytest.raises(ValueError, match=f"{name} must be a power of two, not {limits.most - 1}"):
        kind(**beside | {name: limits.most - 1})
    power = 1 << (limits.most.bit_length() - 2)
    assert getattr(kind(**beside | {name: power}), name) == power


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (CodecParams, {"lanes": 4, "slices": 8}, "slices must be at most lanes, not 8 of 4"),
        (CodecParams, {"levels": (0,)}, "levels must be 2 to 16 for codes of 4 bits, not 1"),
        (CodecParams, {"levels": tuple(range(17))}, "levels must be 2 to 16 for codes of 4 bits, not 17"),
        (CodecParams, {"levels": tuple(range(33)), "width": 5}, "levels must be 2 to 32 for codes of 5 bits, not 33"),
        (CodecParams, {"levels": (0, 128)}, "levels must be -128 to 127, not 128"),
        (CodecParams, {"levels": (0, -129)}, "levels must be -128 to 127, not -129"),
        (CodecParams, {"levels": (1, 2)}, "levels must be different and begin with 0"),
        (CodecParams, {"levels": (0, 2, 2)}, "levels must be different and begin with 0"),
        (EngineParams, {"burst": 128}, "fifo must hold a burst of 128 beats, not 64"),
        (NmsParams, {"lanes": 3}, "lanes must be 1, 2 or 4, not 3"),
        (GreedyParams, {"lanes": 3}, "lanes must be 1, 2 or 4, not 3"),
        (NmsParams, {"lanes": 4, "capacity": 3}, "capacity must be a multiple of lanes, not 3; 4 is one"),
        (NmsParams, {"lanes": 4, "capacity": 11}, "capacity must be a multiple of lanes, not 11; 8 is one"),
        (GreedyParams, {"lanes": 2, "capacity": 9}, "capacity must be a multiple of lanes, not 9; 8 is one"),
        (HeadParams, HEAD | {"stride": 1, "fraction": 0}, "fraction must be at least 1 where stride is 1"),
        (HeadParams, HEAD | {"score_shift": 1}, "score_width must be at least 9 for logits of 8 bits"),
        (RequantParams, {"shift": 1}, "shift can only be set for scheme shift_const, not shift"),
        (RequantParams, {"index_width": 4}, "index_width can only be set for scheme codebook, not shift"),
        (RequantParams, {"scheme": "shift_const"}, "scheme shift_const needs shift"),
    ],
)
def test_parameters_that_do_not_fit_together(kind, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**given)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (CodecParams, {"lanes": 8, "slices": 8}),
        (CodecParams, {"levels": (0, 127, -128)}),
        (CodecParams, {"levels": tuple(range(16))}),
        (CodecParams, {"levels": tuple(range(32)), "width": 5}),
        (CodecParams, {"levels": (0, 1, 2, 3), "width": 2}),
        (EngineParams, {"burst": 64}),
        (NmsParams, {"lanes": 4, "capacity": 12}),
        (GreedyParams, {"lanes": 2, "capacity": 10}),
        (HeadParams, HEAD | {"stride": 1, "fraction": 1}),
        (HeadParams, HEAD | {"stride": 2, "fraction": 0}),
        (HeadParams, HEAD | {"score_shift": 1, "score_width": 9}),
    ],
)
def test_parameters_that_just_fit_together(kind, given):
    made = kind(**given).as_dict()
    assert all(made[name] == (list(value) if isinstance(value, tuple) else value) for name, value in given.items())


@pytest.mark.parametrize(
    ("made", "defaults"),
    [
        (
            CodecParams(),
            {"packing": "rice", "width": 4, "lanes": 16, "segment": 32768, "slices": 1, "levels": None, "run_bits": 0}
            | {"base": 1, "level_bits": 0, "level_limit": 0, "level_extra": 0},
        ),
        (DecoderParams(), {"packing": "mask", "bus": 64, "lanes": 8, "width": 4, "table": False, "slices": 1}),
        (
            SparseMacParams().decoder,
            {"packing": "rice", "bus": 64, "lanes": 16, "width": 8, "table": False, "slices": 4},
        ),
        (
            RequantParams(),
            {"scheme": "shift", "acc_width": 32, "out_width": 8, "out_signed": True, "relu": False}
            | {"rounding": "half_up", "pipeline": False},
        ),
        (
            RequantParams(scheme="codebook"),
            {"scheme": "codebook", "acc_width": 32, "out_width": 8, "out_signed": True, "relu": False}
            | {"rounding": "half_up", "index_width": 4, "pipeline": False},
        ),
        (
            MacParams(),
            {"lanes": 16, "columns": 16, "depth": 256, "act_width": 8, "act_signed": False, "weight_width": 8}
            | {"reduction": 4608, "bias_width": 24, "per_channel": True, "structure": "pairs"}
            | {"requant": RequantParams(acc_width=29).as_dict()},
        ),
        (
            EngineParams(),
            {"lanes": 8, "columns": 8, "depth": 512, "reduction": 16384, "bias_width": 29, "taps": 4}
            | {"structure": "product", "scheme": "shift", "rounding": "half_up", "memory": 131072, "banks": 4}
            | {"bus": 64, "burst": 16, "outstanding": 4, "fifo": 64, "packing": "mask", "weight_width": 8, "slices": 1}
            | {"scales": True, "act_lanes": 0, "act_fifo": 0, "gates": False, "sums": False, "heads": []}
            | {"places": False, "beat_words": 1, "select": False, "nms": None},
        ),
        (
            BoxFormat(),
            {"width": 640, "height": 640, "fraction": 0, "form": "corners", "score_width": 16, "classes": 80},
        ),
        (GreedyParams(), {"format": BoxFormat().as_dict(), "threshold": 0.5, "lanes": 1, "capacity": 1024}),
        (
            ExactParams(),
            {"format": BoxFormat().as_dict(), "threshold": 0.5, "class_agnostic": False, "max_detections": None}
            | {"method": "exact", "capacity": 1024, "candidates": None, "tag_width": 0, "comparators": 4, "slots": 64},
        ),
        (
            NmsParams(),
            {"format": BoxFormat().as_dict(), "method": "guarded", "class_key": False, "lanes": 1, "capacity": 1024}
            | {"banks": 2, "epoch_width": 10},
        ),
        (
            HeadParams(**HEAD),
            HEAD
            | {"score_shift": 0, "fraction": 2, "score_width": 8, "cls_width": 8, "box_width": 8}
            | {"cls_signed": True, "box_signed": False, "objectness_signed": True}
            | {"priors": 1, "every_class": False, "peaks": False, "place": None, "products": None, "softmax": None}
            | {"distribution": None, "sides": None, "centres": None, "corners": None},
        ),
        (
            OpqParams(),
            {"sparsity": 0.0, "bits": None, "max_width": 8, "weighting": "size", "power_of_two": False, "exact": True}
            | {"patterns": [8, 4, 2], "columns": 16},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_defaults(made, defaults):
    assert made.as_dict() == defaults


def test_the_defaults_of_a_pyramid():
    made = PsrrParams(**PASSES).as_dict()
    del made["passes"]
    assert made == {
        **{"semantics": "cascade", "width": 640, "height": 640, "stride": 16, "alpha": 0.75, "guard": None},
        **{"areas": [4096, 16384, 65536, 262144], "ratios": [0.5, 1, 2], "means": "arithmetic"},
    }


@pytest.mark.parametrize(
    ("name", "lanes", "depth", "memory", "bus", "outstanding"),
    [
        ("tiny", 4, 256, 32768, 64, 4),
        ("small", 8, 512, 131072, 64, 4),
        ("medium", 16, 1024, 524288, 128, 4),
        ("large", 32, 1024, 2097152, 128, 8),
    ],
)
def test_named_engines(name, lanes, depth, memory, bus, outstanding):
    sizes = {"lanes": lanes, "columns": lanes, "depth": depth, "memory": memory, "bus": bus, "outstanding": outstanding}
    boxes = {
        **{"format": {"width": 96, "height": 96, "fraction": 2, "score_width": 8, "classes": 10}, "method": "guarded"},
        **{"areas": (100.0, 400.0, 1600.0), "ratios": (1.0,), "alpha": 1.5, "guard": 0.3, "stride": 8},
        **{"class_key": True, "lanes": 1, "capacity": 256},
    }
    wide = {"gates": True, "sums": True, "taps": 12, "beat_words": 4} if name in ("medium", "large") else {}
    expected = EngineParams(**sizes, nms=boxes, **wide)
    assert EngineParams.named(name).as_dict() == expected.as_dict()
