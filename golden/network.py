"""The integer network: layers in dataflow order, run bit-exactly in NumPy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.formats import Format
from golden.layers import Layer, Step, Weighted
from golden.rounding import Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Integer layers in dataflow order; the last one's result is the network's.

    Parameters
    ----------
    source
        Name of the input tensor.
    input
        Its format.
    layers
        Every layer reads `source` or results of layers before it.

    Raises
    ------
    ValueError
        A layer reads a tensor that is not there yet or that has another format, or two layers share a name.
    """

    source: str
    input: Format
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        formats = {self.source: self.input}
        for layer in self.layers:
            missing = [name for name in layer.sources if name not in formats]
            if missing or layer.name in formats:
                raise ValueError(f"{layer.name}: reads {missing or 'nothing'} too early, or its name is taken")
            layer.check(*(formats[name] for name in layer.sources))
            formats[layer.name] = layer.output

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers that run on the MAC array."""
        return tuple(layer for layer in self.layers if isinstance(layer, Weighted))

    @property
    def output(self) -> Format:
        """Format of the network's result."""
        return self.layers[-1].output

    def encode(self, images: NDArray[np.generic]) -> Ints:
        """Real images, (batch, channels, rows, columns) or (batch, features), as the integers that `run` takes.

        The channel becomes the last, fastest axis.
        """
        integers = self.input.encode(np.asarray(images))
        return integers.transpose(0, 2, 3, 1) if integers.ndim == 4 else integers


def steps(network: Network, images: Ints) -> Iterator[Step]:
    """Run the network and give every layer's run in turn, with what entered its weights and its requantizer.

    Parameters
    ----------
    network
        What to run.
    images
        Integers of the format `network.input`, (batch, rows, columns, channels) or (batch, features).
    """
    values = {network.source: images}
    for layer in network.layers:
        step = layer.compute(*(values[name] for name in layer.sources))
        values[layer.name] = step.outputs
        yield step


def run(network: Network, images: Ints, *, batch: int = 256) -> Ints:
    """The network's outputs, (batch, ..., channels) integers of the format `network.output`.

    Parameters
    ----------
    network, images
        As for `steps`; at least one image.
    batch
        How many images are in memory at once; the result does not depend on it.
    """
    outputs = []
    for start in range(0, len(images), batch):
        *_, last = steps(network, images[start : start + batch])
        outputs.append(last.outputs)
    return np.concatenate(outputs)
