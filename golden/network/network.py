"""The integer network: layers in dataflow order, run bit-exactly in NumPy."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format
from roundel.golden.network.base import Array, Layer, Step
from roundel.golden.network.encoding import Encoding
from roundel.golden.network.weighted import Weighted
from roundel.golden.rounding import Ints

MAX_WIDTH = 16  # of activations
AT_ONCE = 1 << 22  # values of images that run at once
USUAL = Encoding()


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Integer layers in dataflow order.

    Parameters
    ----------
    source
        Name of the input tensor.
    input
        Its format.
    layers
        Every layer reads `source` or results of layers before it.
    results
        The layers whose outputs are the network's; () means the last one.
    encoding
        How images become integers of the input's format.

    Raises
    ------
    ValueError
        A layer reads a tensor that is not there yet or that has another format, two layers share a name, or a result is
        no layer's or named twice.
    """

    source: str
    input: Format
    layers: tuple[Layer, ...]
    results: tuple[str, ...] = ()
    encoding: Encoding = USUAL

    def __post_init__(self) -> None:
        low, high = self.encoding.limits(self.input)
        if low > high:
            raise ValueError(f"{self.source}: bounds {self.encoding.bounds} leave nothing of {self.input.limits}")
        formats = {self.source: self.input}
        for layer in self.layers:
            missing = [name for name in layer.sources if name not in formats]
            if missing or layer.name in formats:
                raise ValueError(f"{layer.name}: reads {missing or 'nothing'} too early, or its name is taken")
            layer.check(*(formats[name] for name in layer.sources))
            formats[layer.name] = layer.output
        wide = [name for name, form in formats.items() if form.width > MAX_WIDTH]
        if wide:
            raise ValueError(f"{wide[0]}: activations have at most {MAX_WIDTH} bits, not {formats[wide[0]].width}")
        unknown = set(self.results) - set(formats) | set(self.results) & {self.source}
        if unknown or len(set(self.results)) < len(self.results):
            raise ValueError(f"results must name layers, each once, not {self.results}")

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers that run on the MAC array."""
        return tuple(layer for layer in self.layers if isinstance(layer, Weighted))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the layers whose outputs are the network's, in order."""
        return self.results or tuple(layer.name for layer in self.layers[-1:])

    @property
    def output(self) -> Format:
        """Format of the network's result; of several, of the last."""
        return next(layer.output for layer in self.layers if layer.name == self.output_names[-1])

    def encode(self, images: NDArray[np.generic]) -> Ints:
        """Real images, (batch, channels, rows, columns) or (batch, features), as the integers that `run` takes.

        The channel becomes the last, fastest axis.
        """
        integers = self.encoding.compute(images, self.input)
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
    values: dict[str, Array] = {network.source: network.input.narrow(images)}
    reads = Counter(name for layer in network.layers for name in layer.sources)
    for layer in network.layers:
        step = layer.compute(*(values[name] for name in layer.sources))
        reads.subtract(layer.sources)
        values[layer.name] = step.results
        for name in (*layer.sources, layer.name):
            if not reads[name]:  # nobody will
                values.pop(name, None)
        yield step


def outputs(network: Network, images: Ints, *, batch: int = 256) -> dict[str, Ints]:
    """Every output of the network by its layer's name, (batch, ..., channels) integers of that layer's output format.

    Parameters
    ----------
    network, images
        As for `steps`; at least one image, at least one layer.
    batch
        How many images are in memory at once, but of large ones fewer; the result does not depend on it.
    """
    parts: dict[str, list[Array]] = {name: [] for name in network.output_names}
    batch = max(1, min(batch, AT_ONCE // max(1, prod(images.shape[1:]))))
    for start in range(0, len(images), batch):
        for step in steps(network, images[start : start + batch]):
            if step.layer.name in parts:
                parts[step.layer.name].append(step.results)
    return {name: np.concatenate(part).astype(np.int64) for name, part in parts.items()}


def run(network: Network, images: Ints, *, batch: int = 256) -> Ints:
    """Return the network's result, of several the last; parameters as for `outputs`."""
    return outputs(network, images, batch=batch)[network.output_names[-1]]
