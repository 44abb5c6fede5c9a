"""The table of units: what `generate`, `verify`, `compare` and the tests all work from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from amaranth.lib import wiring

from roundel.golden.activation import ActivationParams
from roundel.golden.codec import DecoderParams
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.golden.mac import MacParams, SparseMacParams
from roundel.golden.nms import ExactParams, GreedyParams, NmsParams, TopKParams
from roundel.golden.parameters import Params
from roundel.golden.requant import RequantParams
from roundel.hw.activation import Activation
from roundel.hw.configs import (
    ACTIVATION_CONFIGS,
    DECODER_CONFIGS,
    ENGINE_CONFIGS,
    EXACT_CONFIGS,
    GREEDY_CONFIGS,
    MAC_CONFIGS,
    NMS_CONFIGS,
    SPARSE_MAC_CONFIGS,
    TOPK_CONFIGS,
    requant_configs,
)
from roundel.hw.decoder import Decoder
from roundel.hw.engine import Engine
from roundel.hw.mac import MacArray, SparseMac
from roundel.hw.nms import ExactNms, GreedyNms, Nms, TopK
from roundel.hw.requant import Requantizer


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
        The parameter class of `golden`; its keyword arguments are what `--set key=value` sets.
    component
        Makes the hardware from a parameter object; the component has a `latency` attribute in cycles.
    configs
        Named keyword arguments of `params`, each verified by `roundel verify`.
    presets
        More named keyword arguments that a user may begin with, `--set config=NAME`.
    """

    name: str
    summary: str
    params: type[Params]
    component: Callable[[Any], wiring.Component]
    configs: Mapping[str, Mapping[str, Any]]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        unit.name: unit
        for unit in (
            Unit(
                name="requant",
                summary="requantizer: wide accumulator in, narrow integer out, eight schemes",
                params=RequantParams,
                component=Requantizer,
                configs=MappingProxyType(requant_configs()),
            ),
            Unit(
                name="mac",
                summary="MAC array: held weights, accumulator memory, a requantizer per column",
                params=MacParams,
                component=MacArray,
                configs=MappingProxyType(MAC_CONFIGS),
            ),
            Unit(
                name="nms",
                summary="PSRR-MaxpoolNMS: one beat of scored boxes per cycle, image after image",
                params=NmsParams,
                component=Nms,
                configs=MappingProxyType(NMS_CONFIGS),
            ),
            Unit(
                name="exact_nms",
                summary="GreedyNMS at about one box per cycle: sorted by lists, compared with kept boxes that lie near",
                params=ExactParams,
                component=ExactNms,
                configs=MappingProxyType(EXACT_CONFIGS),
            ),
            Unit(
                name="topk",
                summary="top-k: the best boxes of an image by their scores, for detectors that need no suppression",
                params=TopKParams,
                component=TopK,
                configs=MappingProxyType(TOPK_CONFIGS),
            ),
            Unit(
                name="greedy_nms",
                summary="GreedyNMS by selection of the maximum: the baseline, one pair of boxes per cycle and lane",
                params=GreedyParams,
                component=GreedyNms,
                configs=MappingProxyType(GREEDY_CONFIGS),
            ),
            Unit(
                name="decoder",
                summary="decoder of sparse weights: a stream of bytes in, dense weights out, a beat at a time",
                params=DecoderParams,
                component=Decoder,
                configs=MappingProxyType(DECODER_CONFIGS),
            ),
            Unit(
                name="sparse_mac",
                summary="MAC array behind a decoder: weights come as the streams that `roundel compress` writes",
                params=SparseMacParams,
                component=SparseMac,
                configs=MappingProxyType(SPARSE_MAC_CONFIGS),
            ),
            Unit(
                name="activation",
                summary="activation: SiLU, Sigmoid, GELU and any function of one value as segments, residual behind it",
                params=ActivationParams,
                component=Activation,
                configs=MappingProxyType(ACTIVATION_CONFIGS),
            ),
            Unit(
                name="engine",
                summary="whole accelerator: runs a compiled detector from image to boxes, behind AXI4 and AXI4-Lite",
                params=EngineParams,
                component=Engine,
                configs=MappingProxyType({name: CONFIGS[name] for name in ("tiny", "small")} | ENGINE_CONFIGS),
                presets=MappingProxyType(CONFIGS),
            ),
        )
    }
)


def unit_of(params: Params) -> str:
    """Return the name of the unit that is generated from parameters of this class."""
    return next(unit.name for unit in UNITS.values() if unit.params is type(params))
