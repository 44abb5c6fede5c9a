"""Sums of results on the engine's RTL: equal to golden, with results that come one a cycle and with slower ones."""

import pytest

from roundel.golden.engine import EngineParams
from roundel.runtime.programs import differences, draw_batch
from roundel.runtime.proof import check
from tests.golden.cycles.test_cycles import UNITS, summed_network
from tests.support.naive_engine import DESCRIPTOR, HEADER, fields_of


def sums_of(program):
    """COMPUTEs of a drawn program that write sums."""
    count = 0
    for number in range(HEADER, len(program.image), DESCRIPTOR):
        values = fields_of(program.image[number : number + DESCRIPTOR])
        if values is None:
            break
        count += values.get("has_sums", 0)
    return count


@pytest.mark.parametrize("stalls", [0, 90])
@pytest.mark.parametrize(("units", "activations"), [("passing by", False), ("activations", True)])
def test_means_are_golden_on_rtl(units, activations, stalls, seed):
    network, image, _ = summed_network(activations=activations)
    settings = {"stalls": stalls, "delay": 20}
    check(EngineParams(**UNITS[units]), network, image, settings=settings, seed=seed)


@pytest.mark.parametrize("units", UNITS)
def test_random_programs(units, seed):
    params = EngineParams(**UNITS[units])
    programs = draw_batch(params, seed, sound=30, broken=0)
    assert sum(map(sums_of, programs)) > 10
    assert differences(params, programs, settings={"stalls": 90, "delay": 20}, seed=seed) == []
