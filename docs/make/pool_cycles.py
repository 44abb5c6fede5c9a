"""Write the tables of cycles of docs/compiler.md: `python docs/make/pool_cycles.py`, less than a minute."""

from pathlib import Path

import numpy as np
from figures import replace as put

from roundel.compiler import compile_network
from roundel.golden.cycles import predict
from roundel.golden.engine import CONFIGS, EngineParams, Opcode
from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, Fill, Interpolate, Layer, MaxPool, Network, Upsample, Weighted, Window
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "compiler.md"
FORM = Format(width=8, signed=False, fraction=4)
SAME = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
W = Format(width=8, signed=True, fraction=7)


def mean(window: Window, *, counted: bool) -> AveragePool:
    """Return a mean whose multiplier has 8 bits."""
    w = Format(width=8, signed=True, fraction=min(20, 6 + (window.taps - 1).bit_length()))
    return AveragePool(**common("pool"), x=FORM, w=w, window=window, count_padding=counted)


def greatest(kernel: int) -> MaxPool:
    """Return a maximum whose results are as many as the values."""
    return MaxPool(**common("pool"), window=Window(kernel=(kernel, kernel), pad=(kernel // 2,) * 4))


def linear(factor: int, *, centred: bool) -> Interpolate:
    """Return a linear interpolation."""
    offset = (1 - factor if centred else 0,) * 2
    return Interpolate(**common("large"), x=FORM, factor=(factor, factor), offset=offset)


def convolution(side: int, channels: int, source: str = "image") -> Weighted:
    """Return the first layer of a classifier."""
    window = Window(kernel=(side, side), stride=(2, 2), pad=(side // 2,) * 4)
    weights = np.random.default_rng(0).integers(-127, 128, (window.taps * channels, 32))
    b, zeros = Format(width=16, signed=True, fraction=8), np.zeros(32, np.int64)
    return Weighted(**common("conv", source), x=FORM, w=W, b=b, window=window, weights=weights, bias=zeros)


def common(name: str, source: str = "image") -> dict[str, object]:
    """What every layer has."""
    return {"name": name, "sources": (source,), "output": FORM}


MAP = (20, 20, 64)
ROWS: list[tuple[str, tuple[int, int, int], tuple[Layer, ...]]] = [
    ("mean of 3 x 3, padding counts", MAP, (mean(SAME, counted=True),)),
    ("mean of 3 x 3, padding does not count: nine areas", MAP, (mean(SAME, counted=False),)),
    ("maximum of 3 x 3", MAP, (greatest(3),)),
    ("maximum of 5 x 5", MAP, (greatest(5),)),
    ("maximum of 13 x 13", MAP, (greatest(13),)),
    ("nearest value, by 2", MAP, (Upsample(**common("large"), factor=2),)),
    ("linear by 2, `asymmetric`: four areas", MAP, (linear(2, centred=False),)),
    ("linear by 2, `half_pixel`: nine areas", MAP, (linear(2, centred=True),)),
    ("nearest value, by 4", MAP, (Upsample(**common("large"), factor=4),)),
    ("linear by 4, `half_pixel`: nine areas", MAP, (linear(4, centred=True),)),
    ("mean of the map", (56, 56, 64), (mean(Window(kernel=(56, 56)), counted=True),)),
    ("maximum of the map", (56, 56, 64), (MaxPool(**common("pool"), window=Window(kernel=(56, 56))),)),
    ("mean of the map", (200, 200, 16), (mean(Window(kernel=(200, 200)), counted=True),)),
    ("maximum of the map", (200, 200, 16), (MaxPool(**common("pool"), window=Window(kernel=(200, 200))),)),
    ("3 x 3 of stride 2, image of 3 channels", (160, 160, 3), (convolution(3, 3),)),
    ("the same behind a channel of ones", (160, 160, 3), (
        Fill(**common("ones"), value=200), convolution(3, 4, "ones"))),
    ("7 x 7 of stride 2, image of 3 channels", (160, 160, 3), (convolution(7, 3),)),
    ("the same behind a channel of ones", (160, 160, 3), (
        Fill(**common("ones"), value=200), convolution(7, 4, "ones"))),
]  # fmt: skip


def cycles(layers: tuple[Layer, ...], shape: tuple[int, int, int], config: str) -> str:
    """Cycles of the compute unit for layers by themselves, by the model, and those for each word of results or map."""
    network = Network(source="image", input=FORM, layers=layers)
    compiled = compile_network(network, shape, EngineParams(**CONFIGS[config]))
    rows, _ = predict(compiled.params, np.frombuffer(compiled.image, np.uint8))
    spent = sum(row.end - row.start for row in rows if row.opcode is Opcode.COMPUTE)
    return f"{spent:,}"


def main() -> None:
    """Fill the table."""
    configs = ("small", "medium")
    cells = [
        [what, " x ".join(map(str, shape)), *(cycles(layers, shape, config) for config in configs)]
        for what, shape, layers in ROWS
    ]
    table = markdown_table(["layer", "map", *(f"`{config}`" for config in configs)], cells)
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "pools", "\n".join(table)), encoding="utf-8")


if __name__ == "__main__":
    main()
