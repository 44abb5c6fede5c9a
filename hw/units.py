"""The table of units: what `generate`, `verify`, `compare` and the tests all work from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from amaranth.lib import wiring

from golden.mac import MacParams
from golden.requant import RequantParams
from hw.mac import MacArray
from hw.requant import Requantizer


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One row of the table.

    Attributes
    ----------
    name
        As the command line knows it, and the name of the Verilog module.
    summary
        One line of help.
    params
        The frozen parameter class of `golden`; its keyword arguments are what `--set key=value` sets.
    component
        Makes the hardware from a parameter object; the component has a `latency` attribute in cycles.
    bench
        Import path of the cocotb bench.
    configs
        Named keyword arguments of `params`, each verified by `roundel verify`.
    exhaustive
        Import path of a bench that makes its own design under test and walks through a whole input space, or empty.
    exhaustive_configs
        Named settings of that bench.
    """

    name: str
    summary: str
    params: Callable[..., Any]
    component: Callable[[Any], wiring.Component]
    bench: str
    configs: Mapping[str, Mapping[str, Any]]
    exhaustive: str = ""
    exhaustive_configs: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


def _requant_configs() -> dict[str, dict[str, Any]]:
    """Every scheme, every rounding of the shift family, signed, unsigned and ReLU, narrow and wide."""
    roundings = ("floor", "half_up", "half_away", "half_even")
    configs: dict[str, dict[str, Any]] = {}
    for rounding in roundings:
        configs[f"shift_{rounding}"] = {"scheme": "shift", "rounding": rounding}
        configs[f"shift_const_{rounding}"] = {"scheme": "shift_const", "rounding": rounding, "shift": 9}
    configs |= {
        "shift_const_0": {"scheme": "shift_const", "shift": 0},
        "shift_const_63": {"scheme": "shift_const", "shift": 63, "rounding": "half_away"},
        "fixed16_half_even": {"scheme": "fixed16", "rounding": "half_even", "relu": True},
        "shift_unsigned": {"scheme": "shift", "out_signed": False},
        "shift_relu": {"scheme": "shift", "relu": True},
        "shift_48_to_16": {"scheme": "shift", "acc_width": 48, "out_width": 16},
        "shift_16_to_2": {"scheme": "shift", "acc_width": 16, "out_width": 2, "rounding": "half_even"},
    }
    for rounding in ("floor", "half_away", "half_even"):
        configs[f"fixed8_{rounding}"] = {"scheme": "fixed8", "rounding": rounding}
    for scheme in ("fixed8", "fixed16", "fixed32", "float32"):
        configs[scheme] = {"scheme": scheme}
        configs[f"{scheme}_pipelined"] = {"scheme": scheme, "pipeline": True}
        configs[f"{scheme}_unsigned_relu"] = {"scheme": scheme, "out_signed": False, "relu": True}
        configs[f"{scheme}_48_to_16"] = {"scheme": scheme, "acc_width": 48, "out_width": 16}
        configs[f"{scheme}_16_to_4"] = {"scheme": scheme, "acc_width": 16, "out_width": 4}
    configs |= {
        "codebook": {"scheme": "codebook"},
        "codebook_2": {"scheme": "codebook", "index_width": 1, "out_width": 16},
        "threshold": {"scheme": "threshold", "out_width": 4},
        "threshold_unsigned": {"scheme": "threshold", "out_width": 2, "out_signed": False},
    }
    return configs


_MAC_CONFIGS: dict[str, dict[str, Any]] = {
    "16x16": {},
    "16x16_weights_4": {"weight_width": 4},
    "3x1_single_position": {
        "lanes": 3,
        "columns": 1,
        "depth": 1,
        "act_width": 5,
        "act_signed": True,
        "weight_width": 3,
        "reduction": 40,
        "requant": {"scheme": "threshold", "out_width": 3},
    },
    "1x3_product_fixed8": {
        "lanes": 1,
        "columns": 3,
        "depth": 5,
        "act_width": 2,
        "weight_width": 2,
        "reduction": 30,
        "structure": "product",
        "requant": {"scheme": "fixed8", "pipeline": True},
    },
    "5x4_float32_per_layer": {
        "lanes": 5,
        "columns": 4,
        "depth": 16,
        "act_signed": True,
        "weight_width": 4,
        "reduction": 100,
        "per_channel": False,
        "requant": {"scheme": "float32", "pipeline": True, "out_signed": False},
    },
    "8x2_codebook": {
        "lanes": 8,
        "columns": 2,
        "depth": 40,
        "reduction": 64,
        "requant": {"scheme": "codebook", "out_width": 4},
    },
}
"""Both structures, odd sizes, every kind of requantizer interface: with tables, pipelined, per layer."""


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        unit.name: unit
        for unit in (
            Unit(
                name="requant",
                summary="requantizer: wide accumulator in, narrow integer out, eight schemes",
                params=RequantParams,
                component=Requantizer,
                bench="sim.tb_requant",
                configs=MappingProxyType(_requant_configs()),
                exhaustive="sim.tb_requant_exhaustive",
                exhaustive_configs=MappingProxyType({"every 16-bit accumulator to 8 bits": {"out_width": 8}}),
            ),
            Unit(
                name="mac",
                summary="MAC array: held weights, accumulator memory, a requantizer per column",
                params=MacParams,
                component=MacArray,
                bench="sim.tb_mac",
                configs=MappingProxyType(_MAC_CONFIGS),
            ),
        )
    }
)
