"""Write the tables of means and of squeeze-and-excite in docs/engine_cycles.md: `python docs/make/excite_cycles.py`.

By the cycle model, on `medium`; two minutes. EfficientNet-B0 has SiLU, on 4 lanes of the activation unit.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import replace as put

from roundel.benchmarks.networks import efficientnet_b0
from roundel.benchmarks.shapes import Builder
from roundel.compiler import compile_network
from roundel.golden.cycles import predict
from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Network, Weighted
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "engine_cycles.md"
MEDIUM = replace(EngineParams.named("medium"), nms=None, act_lanes=4)
SHAPE = (224, 224, 3)
MAPS = ((7, 1280), (14, 672), (28, 240), (5, 640))
KINDS = ("means", "products", "matrix products", "all else")


def spent(network: Network, shape: tuple[int, int, int], params: EngineParams) -> tuple[Counter[str], int]:
    """Return the cycles of each layer, from the end of the COMPUTE before on, and of all."""
    compiled = compile_network(network, shape, params)
    rows, total = predict(params, np.frombuffer(compiled.image, np.uint8))
    cycles, before = Counter[str](), 0
    for row in rows:
        if row.opcode is Opcode.COMPUTE:
            cycles[compiled.tasks[row.index].layer] += row.end - before
            before = row.end
    return cycles, total


def mean_row(params: EngineParams, width: int, name: str, *, summed: bool) -> list[str]:
    """Cycles for each word of maps that a convolution makes."""
    cells = []
    for side, channels in MAPS:
        builder = Builder(shape=(side, side, 16))
        mean = builder.mean(builder.conv("image", channels))
        fraction = width - 3 + (side * side).bit_length()
        builder.layers[-1] = replace(builder.layers[-1], w=Format(width=width, signed=True, fraction=fraction))
        cycles, _ = spent(builder.network(), builder.shape, replace(params, sums=summed))
        cells.append(f"{cycles[mean] / (side * side * channels / params.lanes):.2f}")
    return [name, *cells]


def kind(layers: dict[str, object], name: str) -> str:
    """Return of which kind a layer of a block's squeeze-and-excite is."""
    layer = layers.get(name)
    if isinstance(layer, AveragePool):
        return KINDS[0]
    if name.startswith("gate"):
        return KINDS[1]
    small = isinstance(layer, Weighted) and layer.sources[0] in layers and layer.window is not None
    behind = layers.get(layer.sources[0]) if small else None  # type: ignore[attr-defined]
    before = isinstance(behind, Weighted) and isinstance(layers.get(behind.sources[0]), AveragePool)
    return KINDS[2] if isinstance(behind, AveragePool) or before else KINDS[3]


def excite_row(params: EngineParams, name: str) -> list[str]:
    """What squeeze-and-excite adds to EfficientNet-B0."""
    _, plain = spent(efficientnet_b0(Builder(shape=SHAPE), excites=False), SHAPE, params)
    network = efficientnet_b0(Builder(shape=SHAPE))
    cycles, total = spent(network, SHAPE, params)
    layers: dict[str, object] = {layer.name: layer for layer in network.layers}
    kinds = Counter[str]()
    for layer, count in cycles.items():
        kinds[kind(layers, layer)] += count
    parts = [f"{kinds[part]:,}" for part in KINDS[:3]]
    return [name, f"{plain:,}", f"{total:,}", f"{total / plain - 1:.2%}", *parts]


def main() -> None:
    """Fill the tables."""
    text = PAGE.read_text(encoding="utf-8")
    heads = ["", *(f"{side}x{side}x{channels}" for side, channels in MAPS)]
    rows = [
        mean_row(MEDIUM, width, f"multiplier of {width} bits, {what}", summed=summed)
        for width in (8, 12)
        for summed, what in ((False, "the map's words"), (True, "sums of rows"))
    ]
    text = put(text, "means", "\n".join(markdown_table(heads, rows)))
    heads = ["engine", "without", "with squeeze-and-excite", "more", *KINDS[:3]]
    rows = [excite_row(replace(MEDIUM, sums=False), "`medium` without `sums`"), excite_row(MEDIUM, "`medium`")]
    PAGE.write_text(put(text, "excites", "\n".join(markdown_table(heads, rows))), encoding="utf-8")


if __name__ == "__main__":
    main()
