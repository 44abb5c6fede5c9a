"""Figures of the joint search: how long it takes, and how much memory, for a network of ResNet-18's shape.

`python -m roundel.benchmarks.search` prints the tables of `docs/quantization.md`.
"""

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from roundel.golden.network import Window, run
from roundel.graph import Add, Affine, AveragePool, Conv, Dense, Flatten, Graph, MaxPool, Node, Reals, Relu, fold
from roundel.quantization import QuantizeOptions, modules_table, quantize, tensor_sqnr_db, unify
from roundel.ui import Row, row

SIZE, IMAGES = 224, 32
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and stride of ResNet-18's four stages of two blocks
CLASSES = 1000


class _Builder:
    """Nodes of a network with random weights, in dataflow order."""

    def __init__(self, seed: int, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.shapes = {"x": shape}

    def add(self, node: Node, shape: tuple[int, ...]) -> str:
        """Append a node, whose result has `shape`, and return the tensor it makes."""
        self.nodes.append(node)
        self.shapes[node.output] = shape
        return node.output

    def name(self, kind: str) -> str:
        """Return a name of this kind that no node has."""
        return f"{kind}_{len(self.nodes)}"

    def conv(self, x: str, outputs: int, kernel: int, stride: int) -> str:
        """Append a convolution that keeps the size but for its stride, and batch normalization.

        Parameters
        ----------
        x
            The tensor that it reads.
        outputs
            Channels of its result.
        kernel, stride
            Size and step of its window, the same in both directions.

        Returns
        -------
        str
            Name of the result.
        """
        channels, rows, columns = self.shapes[x]
        window = Window(kernel=(kernel, kernel), stride=(stride, stride), pad=(kernel // 2,) * 4)
        deviation = np.sqrt(2 / (channels * kernel**2))
        weights = self.rng.normal(0, deviation, (outputs, channels, kernel, kernel)).astype(np.float32)
        shape, name = (outputs, *window.output_size(rows, columns)), self.name("conv")
        bias = np.zeros(outputs, np.float32)
        y = self.add(Conv(name=name, inputs=(x,), output=name, weights=weights, bias=bias, window=window), shape)
        scale, offset = (self.rng.normal(mean, 0.1, outputs).astype(np.float32) for mean in (0.7, 0.0))
        name = self.name("norm")
        return self.add(Affine(name=name, inputs=(y,), output=name, scale=scale, offset=offset), shape)

    def relu(self, x: str) -> str:
        """Append max(x, 0)."""
        name = self.name("relu")
        return self.add(Relu(name=name, inputs=(x,), output=name), self.shapes[x])

    def block(self, x: str, outputs: int, stride: int) -> str:
        """Append two convolutions and a residual, which has one of its own where the shape changes."""
        y = self.conv(self.relu(self.conv(x, outputs, 3, stride)), outputs, 3, 1)
        skip = x if self.shapes[x] == self.shapes[y] else self.conv(x, outputs, 1, stride)
        name = self.name("add")
        return self.relu(self.add(Add(name=name, inputs=(y, skip), output=name), self.shapes[y]))


def resnet18(seed: int, size: int = SIZE) -> Graph:
    """Build a network of ResNet-18's operators and shapes, for images (3, size, size), with random weights."""
    make = _Builder(seed, (3, size, size))
    x = make.relu(make.conv("x", 64, 7, 2))
    window = Window(kernel=(3, 3), stride=(2, 2), pad=(1, 1, 1, 1))
    shape = (64, *window.output_size(*make.shapes[x][1:]))
    x = make.add(MaxPool(name="pool", inputs=(x,), output="pool", window=window), shape)
    for outputs, stride in STAGES:
        x = make.block(make.block(x, outputs, stride), outputs, 1)
    x = make.add(AveragePool(name="mean", inputs=(x,), output="mean", window=None), (512, 1, 1))
    x = make.add(Flatten(name="flatten", inputs=(x,), output="flatten"), (512,))
    weights = make.rng.normal(0, 512**-0.5, (512, CLASSES)).astype(np.float32)
    bias = np.zeros(CLASSES, np.float32)
    make.add(Dense(name="dense", inputs=(x,), output="dense", weights=weights, bias=bias), (CLASSES,))
    shape = (3, size, size)
    return Graph(
        file="resnet18", source="x", shape=shape, nodes=tuple(make.nodes), results=("dense",), shapes=make.shapes
    )


def smooth_images(seed: int, count: int, size: int = SIZE) -> Reals:
    """Draw images whose neighbouring values resemble each other, (count, 3, size, size)."""
    coarse = np.random.default_rng(seed).normal(size=(count, 3, size // 8, size // 8)).astype(np.float32)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


@dataclass(frozen=True)
class Case:
    """One way to quantize it.

    Parameters
    ----------
    per_channel
        Whether each output has a shift of its own.
    positions
        Positions of the search, as in `QuantizeOptions`.
    size, images
        Rows and columns of an image, and how many calibrate.
    """

    per_channel: bool
    positions: int = QuantizeOptions().positions
    size: int = SIZE
    images: int = IMAGES

    @property
    def shifts(self) -> str:
        """Name of the kind of shifts, for the table."""
        return "per channel" if self.per_channel else "per layer"

    def rows(self, seed: int) -> list[Row]:
        """Seconds, memory, and what comes out on other images."""
        graph = resnet18(seed, self.size)
        options = QuantizeOptions(per_channel=self.per_channel, positions=self.positions)
        about = {"network": "resnet18", "images": self.images, "size": self.size, "seed": seed}
        about |= {"shifts": self.shifts, "positions": self.positions}
        start = perf_counter()
        quantized = quantize(graph, smooth_images(seed + 1, self.images, self.size), options)
        taken = perf_counter() - start
        images = smooth_images(seed + 2, 4, self.size)
        expected = graph.run(images).astype(np.float64)
        got = quantized.network.output.decode(run(quantized.network, quantized.network.encode(images), batch=1))
        table = modules_table(graph, unify(fold(graph)))
        return [
            row("search.seconds", taken, "s", about),
            row("search.memory", _peak_memory(), "GiB", about),
            row("search.sqnr", tensor_sqnr_db(expected, got), "dB", about),
            row("search.quantizations_before", table.before, "operations", about),
            row("search.quantizations_after", table.after, "operations", about),
        ]


def variants() -> Sequence[Case]:
    """One shift for all channels of a layer, and one for each."""
    return [Case(per_channel=False), Case(per_channel=True)]


def _peak_memory() -> float:
    """Return the most memory that this process ever had, GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def main() -> None:
    """Print the tables."""
    graph = resnet18(seed=1)
    table = modules_table(graph, unify(fold(graph)))
    print(f"quantization operations before and after: {table.before}, {table.after}\n")
    print("| shifts | positions | seconds | peak memory, GiB | SQNR of the scores, dB |")
    print("|---|---|---|---|---|")
    for case in (*variants(), replace(variants()[0], positions=512), replace(variants()[0], positions=8192)):
        values = {item["name"].removeprefix("search."): item["value"] for item in case.rows(seed=1)}
        cells = (f"{values['seconds']:.0f}", f"{values['memory']:.1f}", f"{values['sqnr']:.1f}")
        print(f"| {case.shifts} | {case.positions} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
