"""YOLOv8n as an integer network with random weights, with or without its activations: what these cost in cycles.

[S] Ultralytics' `yolov8.yaml`, scale n (Jocher et al., 2023): 63 convolutions, 57 of them with SiLU, residuals behind
the activation. It ends in the maps of distances (4 x 16 bins) and classes (80), of three scales.
"""

from functools import cache

from roundel.benchmarks.shapes import LINEAR, Builder
from roundel.golden.activation import WORDS, best_table, named
from roundel.golden.network import Activated, Network

BINS, CLASSES = 64, 80  # of a location


@cache
def silu() -> Activated:
    """Return SiLU for outputs of the format `LINEAR`."""
    low, high = (limit * LINEAR.scale for limit in LINEAR.limits)
    fitted = best_table(WORDS, named("silu"), low=low, high=high, output=LINEAR)
    return Activated(table=fitted.table, word=fitted.word)


class Yolov8n:
    """Adds the blocks of the network to a builder.

    Parameters
    ----------
    builder
        What they are added to.
    activation
        Behind every convolution but the last ones; None: ReLU.
    """

    def __init__(self, builder: Builder, activation: Activated | None):
        self.builder, self.activation = builder, activation

    def conv(self, source: str, outputs: int, kernel: int = 1, stride: int = 1, residual: str | None = None) -> str:
        """Append a convolution and the activation."""
        return self.builder.conv(source, outputs, kernel, stride, residual=residual, activation=self.activation)

    def c2f(self, source: str, outputs: int, count: int, *, adds: bool = False) -> str:
        """Append two halves, of which one goes through `count` bottlenecks; all maps on the way are joined."""
        half = outputs // 2
        parts = [self.conv(source, outputs)]
        last = self.builder.select(parts[0], half, outputs)
        for _ in range(count):
            last = self.conv(self.conv(last, half, 3), half, 3, residual=last if adds else None)
            parts.append(last)
        return self.conv(self.builder.concat(*parts), outputs)

    def pools(self, source: str, outputs: int) -> str:
        """Append the pyramid of pools: a maximum of a maximum of a maximum, all joined."""
        parts = [self.conv(source, outputs // 2)]
        for _ in range(3):
            parts.append(self.builder.pool(parts[-1], 5, 1, (2, 2, 2, 2)))
        return self.conv(self.builder.concat(*parts), outputs)

    def join(self, coarse: str, fine: str) -> str:
        """Append a coarse map, twice as large, beside a fine one."""
        return self.builder.concat(self.builder.upsample(coarse), fine)

    def head(self, source: str) -> list[str]:
        """Append the maps of distances and classes of a scale."""
        maps = []
        for width, outputs in ((BINS, BINS), (CLASSES, CLASSES)):
            inner = self.conv(self.conv(source, width, 3), width, 3)
            maps.append(self.builder.conv(inner, outputs, linear=True))
        return maps


def yolov8n(builder: Builder, activation: Activated | None = None) -> Network:
    """Return the network.

    Parameters
    ----------
    builder
        Empty, for images whose rows and columns are multiples of 32.
    activation
        Behind every convolution but the last ones; None: ReLU.
    """
    net = Yolov8n(builder, activation)
    conv, c2f = net.conv, net.c2f
    stem = c2f(conv(conv("image", 16, 3, 2), 32, 3, 2), 32, 1, adds=True)
    fine = c2f(conv(stem, 64, 3, 2), 64, 2, adds=True)
    middle = c2f(conv(fine, 128, 3, 2), 128, 2, adds=True)
    deep = net.pools(c2f(conv(middle, 256, 3, 2), 256, 1, adds=True), 256)
    joined = c2f(net.join(deep, middle), 128, 1)
    first = c2f(net.join(joined, fine), 64, 1)
    second = c2f(builder.concat(conv(first, 64, 3, 2), joined), 128, 1)
    third = c2f(builder.concat(conv(second, 128, 3, 2), deep), 256, 1)
    return builder.network(*(name for scale in (first, second, third) for name in net.head(scale)))
