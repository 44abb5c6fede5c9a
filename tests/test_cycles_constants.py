"""The constants of the cycle model against the blocks that they speak of."""

from inspect import signature

import pytest
from amaranth.hdl import Fragment

from golden import cycles, cycles_bus, cycles_compute
from golden.engine_params import EngineParams
from golden.requant import Scheme
from hw import engine_array, engine_bus, engine_feeder, engine_parameters
from hw.axi_write import WriteMaster
from hw.engine_dot import EngineDot
from hw.engine_memory import ActivationMemory
from hw.engine_reader import WordReader
from hw.engine_requant import EngineRequant
from hw.stream_register import StreamRegister


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
    assert cycles_compute.LAYER + stages == array.latency + 1  # hw.engine_target: one more
    assert cycles_compute.UNWRITTEN == engine_array.WAY + 1


def test_the_feeder():
    feeder = built(engine_feeder.Feeder(EngineParams()))
    taken = 1  # hw.engine_feed_steps: after `start`
    assert taken + 1 + cycles_compute.ROW + cycles_compute.ANSWER == feeder.fill
    assert cycles_compute.ANSWER == ActivationMemory.FEED_LATENCY + 2  # hw.engine_feed_fifo: two
    assert cycles_compute.CREDITS == engine_feeder.CREDITS


def test_the_streams():
    assert cycles_compute.STEPS == cycles_compute.TILES == engine_parameters.AHEAD + 1
    assert cycles_compute.REGISTER == StreamRegister.LATENCY
    channels = ("FETCH", "LOAD", "PARAMETERS", "WEIGHTS")
    assert [getattr(cycles_bus, name) for name in channels] == [getattr(engine_bus, name) for name in channels]


def test_store_and_the_writer():
    assert cycles.READ_AHEAD == cycles.RUNS + WordReader.LATENCY
    assert signature(WriteMaster).parameters["outstanding"].default == cycles_bus.WRITES
