"""EfficientNet-B0 as an integer network with random weights: what squeeze-and-excite costs in cycles.

[S] Tan and Le, 2019, table 1: 16 blocks of an expansion, a depthwise convolution, squeeze-and-excite with a quarter of
the block's input channels, and a projection; SiLU behind all convolutions but the projections.
"""

from functools import cache
from typing import Any

from roundel.benchmarks.shapes import Builder
from roundel.benchmarks.yolov8n import silu
from roundel.golden.activation import WORDS, best_table, named
from roundel.golden.formats import Format
from roundel.golden.network import Activated, Network

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
