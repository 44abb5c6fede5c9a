"""Figures of the engine: how much of its array layers and networks use, on the RTL or by the cycle model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from roundel.benchmarks.shapes import NETWORKS, Builder
from roundel.compiler import Compiled, compile_network, predicted_layers, total
from roundel.evaluation import laplace_weights
from roundel.golden.engine import CONFIGS, EngineParams
from roundel.golden.errors import MismatchError
from roundel.golden.formats import digits_reach
from roundel.golden.network import Network, Weighted, outputs
from roundel.golden.opq import OpqParams, opq
from roundel.golden.rounding import Ints
from roundel.runtime import Frame, layer_cycles, run_frames, tensor_differences
from roundel.ui import Row, row

WEIGHT_BITS = 8
ZEROS = (0.8, 0.9, 0.95)
SPARSE = "yolov3_tiny"  # the network whose zero blocks are counted


class Variant(Protocol):
    """One measurement."""

    def rows(self, seed: int) -> list[Row]:
        """Return its figures; `seed` is that of the data."""


@dataclass(frozen=True, kw_only=True)
class LayerOnRtl:
    """A convolution of 3 x 3, padded, on the RTL: with the loads and stores of its maps, unless they stay on chip.

    Parameters
    ----------
    config
        A row of `CONFIGS`.
    side, channels, filters
        Sizes of the map and of the layer.
    zeros
        Share of the weights that are zero; they have 4 bits then, and the engine's decoder too.
    speed
        Whether the simulation's speed is a figure as well.
    array_bits, weight_bits
        Bits of a weight of the array and of the layer, 2 to 8, where there are no zeros; the layer's are drawn evenly,
        from what digits of the array reach.
    stays
        Whether a second convolution, of stride 2, takes the results from the chip. The first one alone is measured
        then, from the image's load on.
    """

    config: str
    side: int
    channels: int
    filters: int
    zeros: float | None = None
    speed: bool = False
    array_bits: int = 8
    weight_bits: int = 8
    stays: bool = False

    def rows(self, seed: int) -> list[Row]:
        """Run it, compare it with golden, count."""
        params = replace(_params(self.config), weight_width=self.array_bits if self.zeros is None else 4)
        shape = (self.side, self.side, self.channels)
        builder = Builder(shape=shape, seed=seed)
        first = builder.conv("image", self.filters, 3)
        (weighted,) = builder.network().weighted
        if self.zeros is not None:
            builder.layers[-1] = self._sparse(weighted, seed)
        elif self.array_bits < WEIGHT_BITS:
            builder.layers[-1] = self._drawn(weighted, seed)
        if self.stays:
            builder.conv(first, self.filters, 3, 2)
        network = builder.network()
        compiled = compile_network(network, shape, params)
        image = np.random.default_rng(seed).integers(0, 256, (1, *shape))
        frame, seconds = _run(compiled, image)
        _check(network, compiled, image, frame)
        layer = layer_cycles(compiled, frame)[0]
        cycles = layer.cycles if self.stays else frame.registers["cycles"]
        rows = [
            row("engine.utilization", layer.macs / params.lanes**2 / cycles, "useful MACs of all", self._about(seed)),
            row("engine.cycles", cycles, "cycles", self._about(seed)),
        ]
        if not self.stays:
            stalls = frame.registers["waiting_weights"] / cycles
            rows.append(row("engine.weight_stalls", stalls, "of cycles", self._about(seed)))
        if self.speed:
            rows.append(row("engine.simulation_speed", cycles / seconds, "cycles/s", self._about(seed)))
        return rows

    def _about(self, seed: int) -> dict[str, Any]:
        layer = f"3x3, {self.side}x{self.side}, {self.channels} to {self.filters} channels"
        about = {"config": self.config, "on": "rtl", "layer": layer, "seed": seed}
        if self.stays:
            about["layer"] = f"{layer}, results stay on chip"
        if self.array_bits < WEIGHT_BITS:
            about["layer"] = f"{layer}, weights of {self.weight_bits} bits on an array of {self.array_bits}"
        return about | ({} if self.zeros is None else {"zeros": self.zeros, "weight_width": 4})

    def _drawn(self, layer: Weighted, seed: int) -> Weighted:
        low, high = digits_reach(self.array_bits, self.weight_bits)
        weights = np.random.default_rng(seed).integers(low, high, layer.weights.shape, endpoint=True)
        return replace(layer, weights=weights, w=replace(layer.w, width=self.weight_bits))

    def _sparse(self, layer: Weighted, seed: int) -> Weighted:
        codes = laplace_weights(layer.weights.size, self.zeros or 0.0, 4, seed=seed)
        return replace(layer, weights=codes.reshape(layer.weights.shape), w=replace(layer.w, width=4))


@dataclass(frozen=True, kw_only=True)
class NetworkModel:
    """A whole network by the cycle model, all its maps and weights in the outer memory.

    Parameters
    ----------
    config
        A row of `CONFIGS`.
    network
        One of `roundel.benchmarks.shapes.NETWORKS`.
    """

    config: str
    network: str

    def rows(self, seed: int) -> list[Row]:
        """Return figures of all convolutions, and of the whole network."""
        network, shape = _network(self.network, seed)
        params = _params(self.config)
        layers, cycles = predicted_layers(compile_network(network, shape, params))
        convolutions = {layer.name for layer in network.weighted if layer.window is not None}
        multipliers = params.lanes * params.columns
        used = total([layer for layer in layers if layer.layer in convolutions], multipliers).utilization
        whole = sum(layer.macs for layer in layers) / cycles / multipliers
        about = {"config": self.config, "on": "model", "network": self.network, "seed": seed}
        return [
            row("engine.utilization", used, "useful MACs of all", about | {"layer": "all convolutions"}),
            row("engine.utilization", whole, "useful MACs of all", about | {"layer": "all layers"}),
            row("engine.cycles", cycles, "cycles", about | {"layer": "all layers"}),
        ]


@dataclass(frozen=True, kw_only=True)
class ZeroBlocks:
    """Return what leaving out zero blocks gains, by the cycle model, against the same network with all its weights.

    Parameters
    ----------
    config
        A row of `CONFIGS`.
    zeros
        Share of the weights that is pruned.
    """

    config: str
    zeros: float

    def rows(self, seed: int) -> list[Row]:
        """Pruned weight by weight (OPQ), and in blocks of the array's shape."""
        network, shape = _network(SPARSE, seed)
        params = _params(self.config)
        _, dense = predicted_layers(compile_network(network, shape, params))
        plans = opq({layer.name: layer.weights for layer in network.weighted}, OpqParams(sparsity=self.zeros))
        masks: dict[str, Mapping[str, Any]] = {
            "opq": {name: plan.mask for name, plan in plans.items()},
            "blocks": block_masks(network.weighted, params.lanes, self.zeros),
        }
        about = {"config": self.config, "on": "model", "network": SPARSE, "zeros": self.zeros, "seed": seed}
        rows = []
        for pruning, kept in masks.items():
            _, cycles = predicted_layers(compile_network(_masked(network, kept), shape, params))
            rows.append(row("engine.zero_block_speedup", dense / cycles, "times", about | {"pruning": pruning}))
        return rows


def block_masks(layers: Sequence[Weighted], lanes: int, zeros: float) -> dict[str, Ints]:
    """Masks that prune whole weight blocks of `lanes` channels and `lanes` outputs, those of least mean magnitude.

    Parameters
    ----------
    layers
        Whose channels are no multiple of `lanes` keep all their weights.
    lanes
        Lanes of the array.
    zeros
        Share of the other layers' weights that becomes 0, as nearly as blocks allow.

    Returns
    -------
    dict
        By name, in the shape of the weights, 1 where a weight survives.
    """
    means = {}
    for layer in layers:
        rows, outputs = layer.weights.shape
        if not (rows // layer.taps) % lanes and not outputs % lanes and layer.groups == 1:
            blocks = np.abs(layer.weights).reshape(rows // lanes, lanes, outputs // lanes, lanes)
            means[layer.name] = blocks.mean(axis=(1, 3))
    least = np.quantile(np.concatenate([mean.ravel() for mean in means.values()]), zeros)
    whole = np.ones((lanes, lanes), np.int64)
    return {
        layer.name: np.kron(means[layer.name] > least, whole) if layer.name in means else np.ones_like(layer.weights)
        for layer in layers
    }


def variants() -> Sequence[Variant]:
    """List the measurements of the table that the engine is judged by."""
    return [
        LayerOnRtl(config="medium", side=56, channels=64, filters=64, speed=True),
        LayerOnRtl(config="small", side=96, channels=1, filters=32),
        LayerOnRtl(config="small", side=96, channels=1, filters=8, stays=True),
        LayerOnRtl(config="tiny", side=8, channels=8, filters=8),
        LayerOnRtl(config="small", side=8, channels=8, filters=8),
        LayerOnRtl(config="small", side=28, channels=64, filters=64, zeros=0.8),
        *(
            LayerOnRtl(config="medium", side=56, channels=64, filters=64, array_bits=array, weight_bits=bits)
            for array, bits in ((4, 4), (4, 8))
        ),
        *(NetworkModel(config="medium", network=name) for name in NETWORKS),
        *(ZeroBlocks(config="medium", zeros=zeros) for zeros in ZEROS),
    ]


def _params(config: str) -> EngineParams:
    return EngineParams(**(CONFIGS[config] | {"nms": None}))


def _network(name: str, seed: int) -> tuple[Network, tuple[int, int, int]]:
    build, shape = NETWORKS[name]
    return build(Builder(shape=shape, seed=seed)), shape


def _masked(network: Network, masks: Mapping[str, Any]) -> Network:
    layers = [
        replace(layer, weights=layer.weights * masks[layer.name]) if isinstance(layer, Weighted) else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def _run(compiled: Compiled, image: Ints) -> tuple[Frame, float]:
    """Run twice; return the second run and its seconds, since the first may have to build the simulator."""
    run_frames(compiled, image)
    start = perf_counter()
    frame = run_frames(compiled, image)[0]
    return frame, perf_counter() - start


def _check(network: Network, compiled: Compiled, image: Ints, frame: Frame) -> None:
    """Raise MismatchError if a result of the network differs from golden's."""
    for difference in tensor_differences(compiled, [frame], outputs(network, image)):
        raise MismatchError(f"the engine's RTL differs from golden: {difference}")
