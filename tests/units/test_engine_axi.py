"""The whole engine between the models of cocotbext-axi: networks, errors, resets, and the rules of AXI all the time."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from roundel.compiler import compile_network
from roundel.golden.engine import (
    CONFIGS,
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    EngineParams,
    ErrorCode,
    Program,
    Region,
    Status,
)
from roundel.hw.axi import lite_signature, ports, read_signature, write_signature
from roundel.hw.emit import to_verilog
from roundel.hw.engine import ADDRESS, Engine
from roundel.runtime.random_networks import engine_network
from roundel.sim.engine_run import QUIET, place
from roundel.sim.runner import Design, run
from tests.support.engine_programs import golden_run, pointwise

PARAMS = EngineParams(**CONFIGS["tiny"])
SOUND: dict[str, Any] = {"bad": []}
STALLS = 0.4
LANE = PARAMS.bus // 8  # bytes of a beat


class Stoppable(wiring.Component):
    """An engine whose ports say when it stops, which the rules are to know."""

    def __init__(self, params: EngineParams):
        self.inner = Engine(params)
        self.names = [
            *ports("s_axi", lite_signature(ADDRESS).flip()),
            *ports("m_axi", read_signature(params.bus)),
            *ports("m_axi", write_signature(params.bus)),
            "interrupt",
        ]
        self.latency = self.inner.latency
        members = self.inner.signature.members
        super().__init__({name: members[name] for name in self.names} | {"stop": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self.inner
        for name in self.names:
            port, wire = getattr(self, name), getattr(inner, name)
            m.d.comb += port.eq(wire) if self.signature.members[name].flow is Out else wire.eq(port)
        m.d.comb += self.stop.eq(inner.core.stop)
        return m


@pytest.fixture(scope="module")
def design() -> Design:
    text = "".join(f"/* verilator lint_off {name} */\n" for name in QUIET)
    return Design(sources=(text + to_verilog(Stoppable(PARAMS), "engine_axi"),), top="engine_axi")


def bench(
    design: Design,
    folder: Path,
    regions: dict[Region, Any],
    runs: list[dict[str, Any]],
    *,
    stalls: float,
    seed: int,
) -> list[dict[str, int]]:
    """The registers after each run; after the last one, memory must be what golden makes of it."""
    bases, image = place(regions)
    image.tofile(folder / "memory.bin")
    rules = {"burst": PARAMS.burst, "outstanding": max(PARAMS.outstanding, 4)}
    settings = {"stalls": stalls, "bases": [bases[region] for region in Region], "runs": runs} | rules
    result = run(design, "tests.support.benches.tb_engine_axi", seed=seed, config=settings, folder=folder)
    assert result.passed, f"{result.failures[0]} (seed {seed}, log in {folder})"
    wanted = image.copy()
    for region, content in golden_run(PARAMS, regions)[0].items():
        wanted[bases[region] :][: len(content)] = content
    wrong = np.flatnonzero(np.fromfile(folder / "dumped.bin", np.uint8) != wanted)
    assert not wrong.size, f"byte {wrong[0]:#x} of the memory"
    answers: list[dict[str, int]] = json.loads((folder / "answers.json").read_text())
    assert answers[-1]["status"] == Status.DONE
    return answers


def program(seed: int, number: int = 0) -> dict[Region, Any]:
    return pointwise(PARAMS, np.random.default_rng([seed, number])).regions()


@pytest.mark.parametrize("stalls", [0.0, STALLS])
@pytest.mark.parametrize("number", range(2))
def test_networks(design, tmp_path, number, stalls, seed):
    """Every layer's result, by another model of the bus than the one that proves the engine."""
    network, image = engine_network(1000 * seed + number, layers=4, size=8)
    compiled = compile_network(network, image.shape, PARAMS, trace=True)
    registers = bench(design, tmp_path, compiled.regions(image), [SOUND], stalls=stalls, seed=seed)[0]
    assert registers["error_code"] == 0


@pytest.mark.parametrize("stalls", [0.0, STALLS])
@pytest.mark.parametrize("number", range(2))
def test_errors_while_all_goes_on(design, tmp_path, number, stalls, seed):
    """A beat of each kind is answered with an error: code and address; no rule is broken, and the next run is right."""
    rng, regions = np.random.default_rng([seed, number]), program(seed, number)
    bases, _ = place(regions)
    compute = Program.unpack(regions[Region.PROGRAM].tobytes(), PARAMS).descriptors[1]
    parts = [  # whose descriptor each is; the fetch unit's own are of the one that it is at
        (Region.PROGRAM, 0, HEADER_BYTES, range(1)),
        (Region.PROGRAM, HEADER_BYTES, 4 * DESCRIPTOR_BYTES, range(4)),
        (Region.PROGRAM, compute.parameters_offset, compute.parameters_bytes, [1]),
        (Region.PROGRAM, compute.weights_offset, compute.weights_bytes, [1]),
        (Region.INPUT, 0, len(regions[Region.INPUT]), [0]),
        (Region.OUTPUT, 0, len(regions[Region.OUTPUT]), [2]),
    ]
    places = [bases[region] + offset + int(rng.integers(size)) // LANE * LANE for region, offset, size, _ in parts]
    runs = [run for at in places for run in ({"bad": [at]}, SOUND)]
    answers = bench(design, tmp_path, regions, runs, stalls=stalls, seed=seed)
    for (region, *_, owners), at, broken, sound in zip(parts, places, answers[::2], answers[1::2], strict=True):
        assert (broken["status"], sound["status"]) == (Status.ERROR, Status.DONE)
        assert broken["error_index"] in owners
        code, address = broken["error_code"], broken["error_address"]
        if region is Region.OUTPUT:  # the answer is for a burst
            assert code == ErrorCode.WRITE
            assert address <= at < address + LANE * PARAMS.burst
        else:
            assert (code, address) == (ErrorCode.READ, at)


@pytest.mark.parametrize("kind", ["reset", "line"])
@pytest.mark.parametrize("stalls", [0.0, STALLS])
def test_resets_at_any_time(design, tmp_path, kind, stalls, seed):
    """By the register, after which the bus comes to rest by the rules, or by the line; the next run is right."""
    rng, regions = np.random.default_rng(seed), program(seed)
    runs = []
    for cycle in rng.integers(0, 450 if stalls else 300, 8).tolist():
        runs += [{"bad": [], kind: cycle}, SOUND]
    answers = bench(design, tmp_path, regions, runs, stalls=stalls, seed=seed)
    for stopped, sound in zip(answers[::2], answers[1::2], strict=True):
        assert (stopped["status"], stopped["error_code"], sound["status"]) == (0, 0, Status.DONE)
        if kind == "line":
            assert not any(value for name, value in stopped.items() if name not in ("id", "version", "config"))
