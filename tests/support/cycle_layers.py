"""Layers of every kind, drawn at random, for the cycle model: small networks whose layers take thousands of cycles."""

from typing import Any

import numpy as np

from roundel.benchmarks.shapes import Builder
from roundel.benchmarks.yolov8n import silu
from roundel.golden.network import Network

MOST = 120_000  # multiplications of a layer, for each multiplier of an array of 8 x 8: 64
VALUES = 50_000  # of a map: more than the memory of the smallest engine


class DrawnLayers:
    """A network that grows layer by layer.

    Parameters
    ----------
    seed
        Seed of everything.
    activations
        Whether most convolutions have one.

    Attributes
    ----------
    kinds
        The kind of each layer, by its name.
    """

    def __init__(self, seed: int, *, activations: bool = False):
        self.activations = activations
        self.rng = np.random.default_rng([seed, 23])
        channels = int(self.rng.choice([1, 1, 2, 3, 3, 4, 6, 8, 16, 24]))
        rows, columns = (int(side) for side in self.rng.integers(9, 45, 2))
        self.builder = Builder(shape=(rows, columns, channels), seed=seed)
        self.kinds: dict[str, str] = {}

    def draw(self, *choices: int) -> int:
        """Draw one of some numbers."""
        return int(self.rng.choice(choices))

    def first(self) -> str | None:
        """A convolution of the image: of few channels, most often."""
        return self.convolution("image")

    def dense(self) -> str | None:
        """A convolution of any map."""
        return self.convolution(self.source())

    def depthwise(self) -> str | None:
        """A convolution of every channel for itself, or of some groups of channels."""
        source = self.source()
        channels = self.builder.shapes[source][2]
        groups = channels if channels % 2 or self.rng.random() < 0.7 else 2
        return self.conv(source, channels, self.draw(3, 3, 5), self.draw(1, 1, 2), groups=groups)

    def residual(self) -> str | None:
        """A convolution and a map that is added to it; strided if a map of that size is there."""
        source = self.source()
        rows, columns, _ = self.builder.shapes[source]
        stride = self.draw(1, 1, 2)
        size = (-(-rows // stride), -(-columns // stride))
        beside = [name for name, shape in self.builder.shapes.items() if shape[:2] == size and name != "image"]
        if not beside:
            return None
        other = beside[int(self.rng.integers(len(beside)))]
        return self.conv(source, self.builder.shapes[other][2], self.draw(1, 1, 3), stride, residual=other)

    def pool(self) -> str | None:
        """A maximum over windows."""
        source = self.source()
        if min(self.builder.shapes[source][:2]) < 4:
            return None
        return self.builder.pool(source, self.draw(2, 3), self.draw(1, 2, 2))

    def upsample(self) -> str | None:
        """Every value four times."""
        source = self.source()
        return None if np.prod(self.builder.shapes[source]) * 4 > VALUES else self.builder.upsample(source)

    def source(self) -> str:
        """Name of a map that is not the image: most often the last."""
        names = list(self.builder.shapes)[1:]
        return names[-1] if self.rng.random() < 0.6 else names[int(self.rng.integers(len(names)))]

    def convolution(self, source: str) -> str | None:
        """A convolution of any kernel and stride."""
        outputs = int(self.rng.integers(1, 49))
        return self.conv(source, outputs, self.draw(1, 1, 3, 3, 5), self.draw(1, 1, 2))

    def conv(self, source: str, outputs: int, kernel: int, stride: int, **fields: Any) -> str | None:
        """A convolution, unless it is too large or too small."""
        rows, columns, channels = self.builder.shapes[source]
        places = -(-rows // stride) * -(-columns // stride)
        blocks = -(-outputs // 8) * (1 if fields.get("groups", 1) > 2 else -(-channels * kernel // 8)) * kernel
        if places * outputs > VALUES or places * blocks > MOST // 8 or min(rows, columns) < 3:
            return None
        if self.activations and self.rng.random() < 0.8:
            fields["activation"] = silu()
        return self.builder.conv(source, outputs, kernel, stride, **fields)

    def grow(self, layers: int) -> Network:
        """Draw so many layers, a first one to begin with; some of their maps are results."""
        kinds = [self.first] * 3 + [self.dense, self.depthwise, self.residual] * 2 + [self.pool, self.upsample]
        while len(self.kinds) < layers:
            kind = kinds[int(self.rng.integers(len(kinds)))] if self.kinds else self.first
            name = kind()
            if name is not None:
                self.kinds[name] = kind.__name__
        names = list(self.kinds)
        results = [name for name in names[:-1] if self.rng.random() < 0.5]
        return self.builder.network(*results, names[-1])


def drawn_layers(
    seed: int, layers: int = 6, *, activations: bool = False
) -> tuple[Network, tuple[int, int, int], dict[str, str]]:
    """Make a network with so many layers.

    Returns
    -------
    tuple
        The network, the shape of its image, and the kind of every layer by its name.
    """
    drawn = DrawnLayers(seed, activations=activations)
    network = drawn.grow(layers)
    return network, drawn.builder.shapes["image"], drawn.kinds
