"""The parameters of an engine."""

import json
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


def test_the_fingerprint_tells_apart_what_programs_depend_on():
    base = EngineParams()
    others = [
        {"depth": 256},
        {"memory": 1 << 16},
        {"taps": 3},
        {"bus": 128},
        {"weight_width": 4},
        {"rounding": "floor"},
    ]
    others += [{"packing": "rice"}, {"scheme": "fixed16"}, {"bias_width": 28}, {"nms": {}}, {"reduction": 1 << 18}]
    others += [{"nms": {"format": {"width": 96}}}, {"nms": {"format": {"fraction": 1}}}]
    found = [base.fingerprint, *(replace(base, **other).fingerprint for other in others)]
    assert len(set(found)) == len(found)
    assert replace(base, outstanding=2).fingerprint == base.fingerprint


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
    ],
)
def test_bad_parameters_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        EngineParams(**given)
