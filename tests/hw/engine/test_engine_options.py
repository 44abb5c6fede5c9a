"""What an engine leaves out is not in its Verilog: no block, port or register that only the option has."""

import re
from functools import cache

import pytest

from roundel.golden.engine import CONFIGS, EngineParams
from roundel.hw.configs import ENGINE_CONFIGS
from roundel.sim.engine_run import design

LEFT_OUT = {
    "tiny_heads": {
        *("softmax", "distribution", "objectness", "priors", "peaks", "maxima", "bins", "background"),
        *("centres", "sides", "scan", "places", "tag"),
    },
    "tiny_with_units": {"activation", "knots", "slopes", "gates", "factors", "sums", "digits"},
}
"""By configuration, words in the names of blocks and signals of the options that it has and `tiny` leaves out."""
OPTIONS = ("act_lanes", "act_fifo", "gates", "sums", "heads", "places")


@cache
def words(name: str) -> set[str]:
    """All words of the names of modules, ports, wires and registers in an engine's Verilog."""
    verilog = design(EngineParams(**(CONFIGS | ENGINE_CONFIGS)[name])).sources[0]
    modules = re.findall(r"^module \\?(\S+?)\s*\(", verilog, re.MULTILINE)
    signals = re.findall(r"^\s+(?:input|output|wire|reg)\s+(?:\[[^\]]*\]\s*)?\\?([^\s;=]+)", verilog, re.MULTILINE)
    assert len(modules) > 50
    assert len(signals) > 1000
    return {word for name in (*modules, *signals) for word in re.split(r"[^a-z]+", name.lower())}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_nothing_is_left_of_an_option(name: str) -> None:
    assert words(name) >= LEFT_OUT[name]
    assert not words("tiny") & LEFT_OUT[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_options_are_left_out_by_default(name: str) -> None:
    """A program for an engine of before is for the same engine, by its fingerprint."""
    used = [option for option in OPTIONS if CONFIGS[name][option] != EngineParams.__dataclass_fields__[option].default]
    bare = {option: value for option, value in CONFIGS[name].items() if option not in OPTIONS or option in used}
    assert EngineParams(**bare) == EngineParams(**CONFIGS[name])
    assert EngineParams(**bare).fingerprint == EngineParams(**CONFIGS[name]).fingerprint
    assert used == (["gates", "sums"] if name in ("medium", "large") else [])
