"""Benches that walk through a whole input space, and the designs that they run on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring

from roundel.golden.activation import FUNCTIONS, ActivationParams
from roundel.hw.activation import Activation
from roundel.hw.lib import Component, Out
from roundel.hw.requant import ShiftCore
from roundel.sim.stimuli import ACC_WIDTH, combinations


@dataclass(frozen=True, kw_only=True)
class Exhaustive:
    """A bench that makes its own design under test and walks through a whole input space.

    Attributes
    ----------
    bench
        Import path of the cocotb bench.
    component
        Makes the design under test from the bench's settings.
    configs
        Named settings of the bench.
    """

    bench: str
    component: Callable[[Mapping[str, Any]], wiring.Component]
    configs: Mapping[str, Mapping[str, Any]]


class RequantBank(Component):
    """A core for each of `combinations`, side by side on one accumulator that counts through all its values.

    Parameters
    ----------
    out_width
        Bits of a result.
    """

    latency = 0

    def __init__(self, out_width: int):
        self.rows = combinations(out_width)
        super().__init__(
            acc=Out(ACC_WIDTH, "The accumulator, which counts up from 0 after reset."),
            data=Out(len(self.rows) * out_width, "The results, that of the first combination in the lowest bits."),
        )

    def elaborate(self, platform: Any) -> Module:
        """Put the cores side by side on a counter."""
        m = Module()
        count = Signal(ACC_WIDTH)
        m.d.sync += count.eq(count + 1)
        results = []
        for number, (params, runtime) in enumerate(self.rows):
            m.submodules[f"core_{number}"] = core = ShiftCore(params)
            m.d.comb += core.acc.eq(count.as_signed())
            if runtime:
                m.d.comb += core.params.shift.eq(runtime["shift"])
            results.append(core.data.as_unsigned())
        m.d.comb += [self.acc.eq(count), self.data.eq(Cat(*results))]
        return m


def _requant_bank(settings: Mapping[str, Any]) -> RequantBank:
    return RequantBank(settings["out_width"])


def _activation(settings: Mapping[str, Any]) -> Activation:
    return Activation(ActivationParams(**settings["params"]))


EXHAUSTIVE: Mapping[str, Exhaustive] = MappingProxyType(
    {
        "requant": Exhaustive(
            bench="roundel.sim.benches.tb_requant_exhaustive",
            component=_requant_bank,
            configs=MappingProxyType({"every 16-bit accumulator to 8 bits": {"out_width": 8}}),
        ),
        "activation": Exhaustive(
            bench="roundel.sim.benches.tb_activation_exhaustive",
            component=_activation,
            configs=MappingProxyType(
                {
                    "every word of every function": {
                        "params": {},
                        "functions": [(name, {}) for name in FUNCTIONS],
                        "low": -8.0,
                        "high": 7.9375,
                    }
                }
            ),
        ),
    }
)
"""The exhaustive bench of each unit that has one."""
