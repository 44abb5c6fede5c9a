"""The engine's RTL against golden: every byte of the outer memory, for programs by hand and for random networks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import compile_network
from roundel.golden.engine import CONFIGS, Engine, EngineParams, Opcode, Program, Region, Status
from roundel.golden.engine.compute import output_blocks
from roundel.golden.errors import InputError, MismatchError, ToolError
from roundel.golden.nms import NmsParams
from roundel.hw.units import UNITS
from roundel.runtime import proof as engine_proof
from roundel.runtime.random_networks import engine_network
from roundel.sim.engine_run import simulate, whole_run
from roundel.sim.verify import cases
from roundel.ui import MAX_SEED
from tests.support.engine_programs import detector_heads, golden_run, pointwise
from tests.support.rtl import check as prove
from tests.support.rtl import rtl_cases

STALLS = {"stalls": 90, "delay": 7}


def engine(name, **fields):
    return EngineParams(**(CONFIGS[name] | fields))


def check(params, regions, *, settings=None, seed=1):
    """Run on both; the memories must be equal, and the counters what the program says."""
    run = simulate(params, regions, script=whole_run(2_000_000), settings=settings, seed=seed)
    after, golden = golden_run(params, regions)
    assert run.registers["status"] == golden.status
    for region, content in after.items():
        wrong = np.flatnonzero(run.regions[region] != content)
        assert not wrong.size, f"{region.name}: byte {wrong[0]} is {run.regions[region][wrong[0]]}"
    program = Program.unpack(regions[Region.PROGRAM].tobytes(), params)
    assert sorted(row.index for row in run.rows) == list(range(len(program.descriptors) - 1))
    assert run.registers["boxes"] == golden.boxes
    assert run.registers["computing"] == sum(products(params, regions, one) for one in program.descriptors)
    assert run.registers["computing"] == sum(row.flags["computing"] for row in run.rows if row.unit == "compute")
    waits = [run.registers[name] for name in run.registers if name.startswith("waiting")]
    assert run.registers["computing"] + sum(waits) <= run.registers["cycles"]
    return run


def products(params, regions, one):
    """Cycles in which a descriptor lets the array multiply."""
    if one.opcode is not Opcode.COMPUTE:
        return 0
    streams = [
        regions[Region(getattr(one, f"{name}_region"))][getattr(one, f"{name}_offset") :][
            : getattr(one, f"{name}_bytes")
        ].tobytes()
        for name in ("parameters", "weights")
    ]
    steps = sum(len(steps) for _, steps in output_blocks(params, one, *streams))
    across = (one.tiles_x - 1) * one.tile_w + one.last_w
    down = (one.tiles_y - 1) * one.tile_h + one.last_h
    return steps * across * down


def test_results_become_pixels(seed):
    """Results of a convolution, and residuals, at every third word."""
    params, rng, columns = engine("tiny"), np.random.default_rng(seed), 6
    made = pointwise(params, rng, rows=2, columns=columns)
    pixels = {"skip": 2, "target_row": 3 * columns, "target_plane": 1, "residual": 7, "residual_row": 40}
    made = made.changed(1, **pixels, has_residual=1, residual_plane=3)
    check(params, made.changed(2, planes=1, runs=2, run_bytes=36).regions(), settings=STALLS, seed=seed)


@pytest.mark.parametrize("settings", [{}, STALLS], ids=["", "stalls"])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_program_by_hand(name, settings, seed):
    params, rng = engine(name), np.random.default_rng(seed)
    run = check(params, pointwise(params, rng).regions(), settings=settings, seed=seed)
    assert [row.unit for row in run.rows] == ["load", "compute", "store"]


@pytest.mark.parametrize(("threshold", "above"), [(60, 256), (127, 256), (100, 100)], ids=["many", "few", "none"])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_boxes(name, threshold, above, seed):
    params, rng = engine(name), np.random.default_rng(seed)
    run = check(params, detector_heads(params, rng, threshold=threshold, above=above), settings=STALLS, seed=seed)
    assert (run.registers["boxes"] > 0) == (above > threshold)


def test_more_boxes_than_there_is_room_for(seed):
    small = NmsParams(**(CONFIGS["tiny"]["nms"] | {"capacity": 100}))
    params = engine("tiny", nms=small)
    run = check(params, detector_heads(params, np.random.default_rng(seed), threshold=-128))
    assert run.registers["status"] & Status.DROPPED


@pytest.mark.parametrize("case", rtl_cases("engine"))
def test_random_networks(case, seed):
    prove(case, seed)


def test_stalls_of_the_greatest_seed():
    """`verify` numbers the networks of a seed from 1000 times the seed on: more bits than the memory's seed has."""
    params, number = engine("tiny"), engine_proof.SEEDS * MAX_SEED
    check(params, pointwise(params, np.random.default_rng(number)).regions(), settings=STALLS, seed=number)


def test_a_network_that_does_not_compile_is_no_difference(monkeypatch):
    def refuse(*_, **__):
        raise InputError("too large")

    monkeypatch.setattr(engine_proof, "check", refuse)
    (case, *_) = cases(UNITS["engine"])
    with pytest.raises(ToolError, match=f"network {1000 * MAX_SEED}: too large"):
        engine_proof.prove(case, seed=MAX_SEED)


def test_proof_names_what_differs(monkeypatch, seed):
    """The first element of a layer that is not golden's."""

    class Wrong(Engine):
        def run(self):
            super().run()
            self.regions[Region.OUTPUT][0] ^= 1

    monkeypatch.setattr(engine_proof, "Engine", Wrong)
    network, image = engine_network(seed, layers=1, size=4)
    with pytest.raises(MismatchError, match=r": 1 of \d+ elements differ, first \[0.*\]: RTL -?\d+, golden -?\d+"):
        engine_proof.check(engine("tiny"), network, image, settings={}, seed=seed)


def test_counters_of_a_network(seed):
    """Every product of a compiled network is counted, and memory for memory the RTL is golden."""
    network, image = engine_network(seed, size=12)
    compiled = compile_network(network, image.shape, engine("tiny"))
    check(compiled.params, compiled.regions(image), settings=STALLS, seed=seed)


def test_weights_wait_for_nothing_but_the_bus(seed):
    """The streams of the next layer are there when it begins: it starts as soon as its unit is free."""
    rng = np.random.default_rng(seed)
    params = engine("tiny")
    made = pointwise(params, rng, rows=8, columns=16)
    load, compute, store, end = made.descriptors
    alone = compute[0], compute[1] | {"wait_previous": 0, "signal_next": 0}
    made = replace(made, descriptors=(load, compute, alone, alone, store, end))
    rows = [row for row in check(params, made.regions(), seed=seed).rows if row.unit == "compute"]
    for before, after in itertools.pairwise(rows):
        assert after.start - before.end <= 3
        assert after.flags["waiting_weights"] == after.flags["waiting_parameters"] == 0
