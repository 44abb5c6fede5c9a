"""The constants of the cycle model against the blocks that they speak of."""

from inspect import signature

import pytest
from amaranth.hdl import Fragment

from roundel.golden.cycles import banks as cycles_banks
from roundel.golden.cycles import bus as cycles_bus
from roundel.golden.cycles import compute as cycles_compute
from roundel.golden.cycles import model as cycles
from roundel.golden.cycles import streams as cycles_streams
from roundel.golden.cycles.activation import ActivationUnit
from roundel.golden.engine import EngineParams
from roundel.golden.requant import Scheme
from roundel.hw.axi import WriteMaster
from roundel.hw.engine import bus as engine_bus
from roundel.hw.engine.compute import array as engine_array
from roundel.hw.engine.compute import feeder as engine_feeder
from roundel.hw.engine.compute import parameters as engine_parameters
from roundel.hw.engine.compute.activation import EngineActivation
from roundel.hw.engine.compute.column import EngineDot
from roundel.hw.engine.compute.requant import EngineRequant
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.memory_feed import SLOTS
from roundel.hw.engine.reader import WordReader
from roundel.hw.lib import StreamRegister


def built(component):
    """A component with all its parts elaborated: Amaranth warns of those that are not."""
    Fragment.get(component, None)
    return component


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
@pytest.mark.parametrize("structure", ["product", "pairs"])
def test_stages_of_sums(lanes, structure):
    params = EngineParams(lanes=lanes, columns=lanes, structure=structure)
    assert cycles_compute.dot_stages(params) == built(EngineDot(params)).latency


@pytest.mark.parametrize("scheme", cycles_compute.REQUANT)
def test_stages_of_requantizers(scheme):
    params = EngineParams(scheme=scheme)
    assert cycles_compute.REQUANT[scheme] == built(EngineRequant(params)).latency


def test_a_layers_end():
    params = EngineParams(lanes=8, columns=8)
    array = built(engine_array.EngineArray(params))
    stages = cycles_compute.dot_stages(params) + cycles_compute.REQUANT[Scheme.SHIFT]
    assert cycles_compute.LAYER + stages == array.latency + 1  # roundel.hw.engine.compute.results: one more
    assert cycles_compute.UNWRITTEN == engine_array.WAY + 1


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_the_activation_unit(lanes):
    """From a result of the array to its byte, of the first word of an output block and of the next one, which waits."""
    params = EngineParams(act_lanes=lanes, act_fifo=16)
    latency = built(EngineActivation(params)).latency
    unit = ActivationUnit(params, 0, None)
    assert unit.take(100, fresh=False) == 0
    assert unit.end == 100 + latency + 1  # roundel.hw.engine.compute.results: one more
    unit = ActivationUnit(params, 0, None)
    assert unit.take(100, fresh=True) == unit.take(101, fresh=False) == 0
    turns = params.columns // lanes
    assert (unit.slopes_taken, unit.end) == (102, 100 + latency + 1 + turns + 1)


def test_a_full_fifo_keeps_the_array_waiting():
    """Words of 8 cycles come in every cycle: when the memory holds 16, two were read, in cycles 1 and 10."""
    unit = ActivationUnit(EngineParams(act_lanes=1, act_fifo=16), 0, None)
    waits, made = [], 0
    for number in range(40):
        waits.append(unit.take(made, fresh=number == 0))
        made += waits[-1] + 1
    through = waits.index(next(filter(None, waits)))
    assert (through, waits[through]) == (16 + 2, 1)
    assert set(waits[through + 1 :]) == {7}


def test_the_feeder():
    feeder = built(engine_feeder.Feeder(EngineParams()))
    taken = 1  # roundel.hw.engine.compute.tile_steps: after `start`
    assert taken + 1 + cycles_compute.ROW + cycles_compute.ANSWER == feeder.fill
    assert cycles_compute.ANSWER == ActivationMemory.FEED_LATENCY + 2  # roundel.hw.lib.fifo: two
    assert cycles_compute.CREDITS == engine_feeder.CREDITS
    assert cycles_compute.RESIDUAL == 1 + StreamRegister.LATENCY  # roundel.hw.engine.compute.results: after `start`
    assert cycles_banks.SLOTS == SLOTS


def test_the_streams():
    assert cycles_streams.STEPS == cycles_streams.TILES == engine_parameters.AHEAD + 1
    assert cycles_streams.REGISTER == StreamRegister.LATENCY
    channels = ("FETCH", "LOAD", "PARAMETERS", "WEIGHTS")
    assert [getattr(cycles_bus, name) for name in channels] == [getattr(engine_bus, name) for name in channels]


def test_store_and_the_writer():
    assert cycles.ASKED == cycles.RUNS + StreamRegister.LATENCY
    assert cycles_banks.READ == WordReader.LATENCY - StreamRegister.LATENCY
    assert cycles_banks.DEPTH == WordReader.DEPTH
    assert signature(WriteMaster).parameters["outstanding"].default == cycles_bus.WRITES
