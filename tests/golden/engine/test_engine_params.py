"""The parameters of an engine."""

import json
import zlib
from dataclasses import fields, replace

import pytest

from roundel.golden.engine import CONFIGS, EngineParams

SIZES = {"tiny": 4, "small": 8, "medium": 16, "large": 32}


def test_every_row_of_the_table_lists_every_parameter():
    assert {name: (row["lanes"], row["columns"]) for name, row in CONFIGS.items()} == {
        name: (lanes, lanes) for name, lanes in SIZES.items()
    }
    for row in CONFIGS.values():
        assert set(row) == {item.name for item in fields(EngineParams)}


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_survive_json(name):
    params = EngineParams(**CONFIGS[name])
    again = EngineParams(**json.loads(json.dumps(params.as_dict())))
    assert again == params
    assert again.fingerprint == params.fingerprint


def box_contract():
    """What programs depend on of the box unit of the named configurations, worked out by hand.

    Sides of 10, 20 and 40 pixels with alpha 1.5 and cells of 8 make kernels of round(1.875), 3.75 and 7.5 cells.
    `guarded` pairs neighbouring scales from 0 and from 1, each in four shifts; a pair has its smaller kernel. Areas are
    told apart at 200 and 800 pixels squared, in quarters of a pixel.
    """
    passes = [
        {"scales": scales, "ratios": [[0]], "kernels": kernels, "shift_x": x, "shift_y": y}
        for x, y in ((False, False), (True, False), (False, True), (True, True))
        for scales, kernels in (([[0, 1], [2]], [[2, 2], [8, 8]]), ([[0], [1, 2]], [[2, 2], [4, 4]]))
    ]
    return {
        "width": 96,
        "height": 96,
        "fraction": 2,
        "form": "corners",
        "score_width": 8,
        "classes": 10,
        "capacity": 256,
        "class_key": True,
        "semantics": "parallel",
        "stride": 8,
        "area_thresholds": [3200, 12800],
        "ratio_thresholds": [],
        "guard": [3, 10],
        "passes": passes,
    }


@pytest.mark.parametrize(
    ("name", "lanes", "depth", "memory", "bus", "fingerprint"),
    [
        ("tiny", 4, 256, 32768, 64, 0x67BC7F00),
        ("small", 8, 512, 131072, 64, 0x5AEECB44),
        ("medium", 16, 1024, 524288, 128, 0xF9033240),
        ("large", 32, 1024, 2097152, 128, 0xA1B54ABC),
    ],
)
def test_fingerprints_are_frozen(name, lanes, depth, memory, bus, fingerprint):
    """The CRC-32 of canonical JSON, written here by hand: programs out in the world carry these numbers."""
    wide = name in ("medium", "large")
    words, gates, sums = ('"beat_words":4,', '"gates":true,', '"sums":true,') if wide else ("", "", "")
    text = (
        f'{{"acc_width":30,{words}"bias_width":29,"bus":{bus},"columns":{lanes},"depth":{depth},{gates}"lanes":{lanes},'
        f'"memory":{memory},"nms":{json.dumps(box_contract(), sort_keys=True, separators=(",", ":"))},'
        f'"packing":"mask","rounding":"half_up","scales":true,"scheme":"shift","slices":1,{sums}'
        f'"taps":{12 if wide else 4},"weight_width":8}}'
    )
    assert zlib.crc32(text.encode("ascii")) == fingerprint
    assert EngineParams(**CONFIGS[name]).fingerprint == fingerprint


def test_the_fingerprint_of_an_engine_without_boxes():
    text = (
        '{"acc_width":30,"bias_width":29,"bus":64,"columns":8,"depth":512,"lanes":8,"memory":131072,"nms":null,'
        '"packing":"mask","rounding":"half_up","scales":true,"scheme":"shift","slices":1,"taps":4,"weight_width":8}'
    )
    assert EngineParams().fingerprint == zlib.crc32(text.encode("ascii"))


def test_the_fingerprint_of_an_engine_with_an_activation_unit():
    """Of lanes and FIFO it says nothing: programs run on engines of any."""
    text = (
        '{"activation":true,"acc_width":30,"bias_width":29,"bus":64,"columns":8,"depth":512,"lanes":8,"memory":131072,'
        '"nms":null,"packing":"mask","rounding":"half_up","scales":true,"scheme":"shift","slices":1,"taps":4,'
        '"weight_width":8}'
    )
    canonical = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    for given in ({"act_lanes": 1}, {"act_lanes": 8, "act_fifo": 16}):
        assert EngineParams(**given).fingerprint == zlib.crc32(canonical.encode("ascii"))


def test_the_fifo_before_the_activation_unit():
    assert (EngineParams().act_fifo, EngineParams(act_fifo=64).act_fifo) == (0, 0)
    assert (EngineParams(act_lanes=2).act_fifo, EngineParams(act_lanes=2, act_fifo=32).act_fifo) == (64, 32)
    assert replace(EngineParams(act_lanes=2), act_lanes=0) == EngineParams()
    assert EngineParams().activation is None
    unit = EngineParams(act_lanes=4).activation
    assert unit is not None
    assert (unit.columns, unit.lanes) == (8, 4)


def test_the_fingerprint_tells_apart_what_programs_depend_on():
    base = EngineParams(**CONFIGS["small"])
    others = [
        {"lanes": 16, "columns": 16},
        {"depth": 256},
        {"memory": 1 << 16},
        {"taps": 3},
        {"bus": 128},
        {"weight_width": 4},
        {"rounding": "floor"},
        {"packing": "rice"},
        {"packing": "rice", "slices": 2},
        {"scheme": "fixed16"},
        {"bias_width": 28},
        {"reduction": 1 << 18},  # a wider accumulator
        {"scales": False},
        {"act_lanes": 2},
        {"nms": None},
    ]
    boxes = CONFIGS["small"]["nms"]
    formats = [{"width": 95}, {"height": 95}, {"fraction": 1}, {"score_width": 9}, {"classes": 9}]
    changes = [{"format": boxes["format"] | form} for form in formats]
    changes += [{"capacity": 4096}, {"method": "psrr"}, {"class_key": False}, {"semantics": "cascade"}]
    changes += [{"shift": "none"}, {"stride": 16}, {"alpha": 1.0}, {"guard": 0.5}, {"areas": (100.0, 401.0, 1600.0)}]
    changes += [{"ratios": (1.0, 2.0)}]
    others += [{"nms": boxes | change} for change in changes]
    prints = [base.fingerprint, *(replace(base, **other).fingerprint for other in others)]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    "other",
    [
        {"structure": "pairs"},
        {"reduction": 16000},  # the accumulator is as wide
        {"banks": 8},
        {"burst": 32},
        {"outstanding": 2},
        {"fifo": 128},
        {"nms": CONFIGS["small"]["nms"] | {"banks": 3}},
        {"nms": CONFIGS["small"]["nms"] | {"epoch_width": 8}},
        {"nms": CONFIGS["small"]["nms"] | {"shift": "quad", "semantics": "parallel"}},  # as the preset says anyway
    ],
)
def test_the_fingerprint_leaves_out_what_no_program_depends_on(other):
    base = EngineParams(**CONFIGS["small"])
    changed = replace(base, **other)
    assert changed != base
    assert changed.fingerprint == base.fingerprint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lanes": 6, "columns": 6}, "lanes must be a power of two, not 6"),
        ({"lanes": 8, "columns": 4}, "columns must equal lanes"),
        ({"memory": 3000}, "memory must be a power of two, not 3000"),
        ({"bus": 32}, "bus must be 64 to 128, not 32"),
        ({"taps": 9}, "taps must be 1 to 8, not 9"),
        ({"lanes": 4, "columns": 4, "taps": 5}, "taps must be 1 to 4, not 5"),
        ({"burst": 128}, "fifo must hold a burst of 128 beats, not 64"),
        ({"burst": 24}, "burst must be a power of two, not 24"),
        ({"outstanding": 1}, "outstanding must be 2 to 16, not 1"),
        ({"nms": {"lanes": 2, "capacity": 64}}, "nms must take one box a beat"),
        ({"nms": {"format": {"form": "centre"}}}, "nms must take one box a beat"),
        ({"scheme": "codebook"}, "scheme must be one of"),
        ({"weight_width": 9}, "width"),
        ({"slices": 4}, "slices"),
        ({"reduction": 0}, "reduction must be 1 to"),
        ({"act_lanes": 9}, "act_lanes must be 0 to 8, not 9"),
        ({"act_lanes": 3}, r"act_lanes must divide columns \(8\), not be 3"),
        ({"act_lanes": 2, "scheme": "fixed16"}, "act_lanes must be 0 with scheme fixed16, not 2"),
        ({"act_lanes": 2, "act_fifo": 96}, "act_fifo must be a power of two from 16 on, not 96"),
        ({"act_lanes": 2, "act_fifo": 8}, "act_fifo must be a power of two from 16 on, not 8"),
        ({"act_fifo": 8192}, "act_fifo must be 0 to 4096, not 8192"),
    ],
)
def test_bad_parameters_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        EngineParams(**given)


@pytest.mark.parametrize("name", ["scales", "gates", "sums"])
@pytest.mark.parametrize("value", ["foo", 7, 1, None])
def test_options_are_bools(name, value):
    with pytest.raises(TypeError, match=f"{name} must be a bool, not {value!r}"):
        EngineParams(**{name: value})
