"""Useful products a cycle of networks with depthwise layers on an engine, by the cycle model: by kinds of layers.

[S] EfficientNet-B0 (Tan and Le, 2019, table 1), as an integer network with random weights: 16 blocks of an expansion, a
depthwise convolution, squeeze-and-excite with a quarter of the block's input channels, and a projection; SiLU behind
all convolutions but the projections.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from roundel.benchmarks.shapes import Builder, mobilenet_v2
from roundel.benchmarks.yolov8n import silu
from roundel.compiler import Compiled, compile_network, predicted_layers, total
from roundel.generator import find_unit, unit_params
from roundel.golden.activation import WORDS, best_table, named
from roundel.golden.engine import EngineParams
from roundel.golden.formats import Format
from roundel.golden.network import Activated, AveragePool, Gate, Layer, Network, Weighted
from roundel.ui import Row, row

BLOCKS = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
"""Expansion, outputs, how many, stride of the first, kernel."""
FACTOR = Format(width=8, signed=False, fraction=8)


@cache
def sigmoid() -> Activated:
    """Return the sigmoid for outputs of the format `FACTOR`."""
    fitted = best_table(WORDS, named("sigmoid"), low=-8, high=8, output=FACTOR)
    return Activated(table=fitted.table, word=fitted.word)


def efficientnet_b0(builder: Builder, *, excites: bool = True, activations: bool = True) -> Network:
    """Return the network.

    Parameters
    ----------
    builder
        Empty, for images whose rows and columns are multiples of 32.
    excites
        Whether it has squeeze-and-excite.
    activations
        Whether it has SiLU and Sigmoid; else signed maps as they are, and factors that end at 0 and 1.
    """
    function: dict[str, Any] = {"activation": silu()} if activations else {"linear": True}
    last = builder.conv("image", 32, 3, 2, **function)
    for expansion, outputs, count, first, kernel in BLOCKS:
        for block in range(count):
            stride, channels = first if not block else 1, builder.shapes[last][2]
            inner = builder.conv(last, expansion * channels, **function) if expansion > 1 else last
            inner = builder.conv(inner, expansion * channels, kernel, stride, groups=expansion * channels, **function)
            if excites:
                reduced = builder.conv(builder.mean(inner), channels // 4, **function)
                ending = sigmoid() if activations else None
                factors = builder.conv(reduced, expansion * channels, output=FACTOR, activation=ending)
                inner = builder.gate(inner, factors)
            last = builder.conv(inner, outputs, linear=True, residual=last if block else None)
    return builder.network(builder.dense(builder.mean(builder.conv(last, 1280, **function)), 1000))


NETWORKS = {"mobilenet_v2": mobilenet_v2, "efficientnet_b0": efficientnet_b0}
SHAPE = (224, 224, 3)
CONFIG, ACT_LANES = "medium", (8, 16)
WHOLE, CONVOLUTIONS = "whole network", "all convolutions"


@dataclass(frozen=True, kw_only=True)
class NetworkFigures:
    """A network on an engine without NMS, all maps and weights in the outer memory at first.

    Parameters
    ----------
    network
        One of `NETWORKS`, at 224 x 224.
    params
        The engine; one without an activation unit gets lanes for all columns where the network has activations.
    engine
        What the engine is called in tables.
    """

    network: str
    params: EngineParams
    engine: str

    def rows(self, seed: int) -> list[Row]:
        """Return cycles, products and utilization of every kind of layer, of all convolutions and of the network."""
        network = NETWORKS[self.network](Builder(shape=SHAPE, seed=seed))
        compiled = compile_network(network, SHAPE, self.params)
        about = {"network": self.network, "engine": self.engine, "on": "model", "seed": seed}
        return [made for kind, values in figures(network, compiled).items() for made in _rows(about, kind, *values)]


def figures(network: Network, compiled: Compiled) -> dict[str, tuple[int, int, float]]:
    """Return products that the network needs, cycles and utilization, by the kind of layer.

    Parameters
    ----------
    network, compiled
        A network, and its program.

    Returns
    -------
    dict
        Beside `kind` of each layer with a COMPUTE the `CONVOLUTIONS`, and the `WHOLE` with what lies between layers.
    """
    layers, cycles = predicted_layers(compiled)
    multipliers = compiled.params.lanes * compiled.params.columns
    known = {layer.name: layer for layer in network.layers}
    kinds = {kind(known[made.layer], network.source): None for made in layers}
    parts = {name: [made for made in layers if kind(known[made.layer], network.source) == name] for name in kinds}
    windows = {layer.name for layer in network.weighted if layer.window is not None}
    parts[CONVOLUTIONS] = [made for made in layers if made.layer in windows]
    found = {name: total(part, multipliers) for name, part in parts.items()}
    macs = sum(made.macs for made in layers)
    made = {name: (part.macs, part.cycles, part.utilization) for name, part in found.items()}
    return made | {WHOLE: (macs, cycles, macs / cycles / multipliers)}


def kind(layer: Layer, source: str) -> str:
    """Return what kind of layer it is, of a network whose input has that name."""
    if isinstance(layer, Weighted) and layer.window is not None:
        size, stride = layer.window.kernel[0], layer.window.stride[0]
        if layer.sources[0] == source:
            return "first convolution"
        if layer.groups > 1:
            return f"depthwise {size}x{size}, stride {stride}"
        return f"{size}x{size} convolutions"
    names = {Weighted: "matrix products", AveragePool: "means", Gate: "products of maps"}
    return names.get(type(layer), "others")


def variants(params: Any = None) -> Sequence[NetworkFigures]:
    """List the measurements: of an engine, or of `medium` with and without activation lanes.

    Parameters
    ----------
    params
        An `EngineParams`, or keyword arguments of one; None: the usual ones.

    Raises
    ------
    InputError
        Parameters that the engine refuses.
    """
    return list(_variants(params))


def _variants(params: Any) -> Iterator[NetworkFigures]:
    usual = EngineParams.named(CONFIG)
    given = usual if params is None else unit_params(find_unit("engine"), params)
    assert isinstance(given, EngineParams)
    given = replace(given, nms=None, heads=(), places=False)
    name = f"`{CONFIG}`" if params is None else _difference(given, replace(usual, nms=None))
    yield NetworkFigures(network="mobilenet_v2", params=given, engine=name)
    lanes = ACT_LANES if params is None else (given.act_lanes or given.columns,)
    for count in lanes:
        engine = name if count == given.act_lanes else f"{name}, act_lanes={count}"
        yield NetworkFigures(network="efficientnet_b0", params=replace(given, act_lanes=count), engine=engine)


def _difference(params: EngineParams, usual: EngineParams) -> str:
    """Name an engine by what sets it apart from the usual one."""
    ours, theirs = params.as_dict(), usual.as_dict()
    return ", ".join([f"`{CONFIG}`", *(f"{key}={value}" for key, value in ours.items() if value != theirs[key])])


def _rows(about: Mapping[str, Any], kind: str, macs: int, cycles: int, utilization: float) -> Iterator[Row]:
    about = dict(about) | {"kind": kind}
    yield row("networks.products", macs, "MAC", about)
    yield row("networks.cycles", cycles, "cycles", about)
    yield row("networks.utilization", utilization, "useful MACs of all", about)
