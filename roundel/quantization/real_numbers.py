"""The results of an integer network as the real numbers that they stand for, in ONNX's order of axes and features."""

from collections.abc import Mapping

import numpy as np

from roundel.golden.network import Concat, Flatten, Layer, Network, Weighted, steps
from roundel.golden.rounding import Ints
from roundel.graph import Reals


def real_values(network: Network, shape: tuple[int, ...], codes: Mapping[str, Ints]) -> dict[str, Reals]:
    """Return results as real numbers.

    Parameters
    ----------
    network
        The integer network.
    shape
        Of an image: (channels, rows, columns) or (features,).
    codes
        Integers by the name of their layer, (images, ..., channels).

    Returns
    -------
    dict
        By layer, float32 of (images, channels, rows, columns) or (images, features), flattened maps with the column
        fastest.
    """
    layers = {layer.name: layer for layer in network.layers}
    orders = _Orders(network, layers, shape)
    real = {}
    for name, values in codes.items():
        decoded = layers[name].output.decode(values).astype(np.float32)
        if decoded.ndim == 4:
            decoded = decoded.transpose(0, 3, 1, 2)
        elif (order := orders.of(name)) is not None:
            decoded = decoded[:, np.argsort(order)]
        real[name] = decoded
    return real


class _Orders:
    """Positions in ONNX's order of the features of flattened tensors, which integer networks have channel fastest."""

    def __init__(self, network: Network, layers: Mapping[str, Layer], shape: tuple[int, ...]) -> None:
        self._network, self._layers, self._shape = network, layers, shape
        self._sizes: dict[str, tuple[int, ...]] = {}

    def of(self, name: str) -> Ints | None:
        """Return the positions of a layer's features; None where the orders agree."""
        layer = self._layers.get(name)
        while layer is not None and not isinstance(layer, Concat):
            source = layer.sources[0]
            if isinstance(layer, Flatten) and len(size := self._size(source)) == 3:
                rows, columns, channels = size
                return np.arange(np.prod(size)).reshape(channels, rows, columns).transpose(1, 2, 0).ravel()
            if isinstance(layer, Weighted) and (layer.window is not None or layer.groups == 1):
                return None  # a matrix product, whose outputs have their own order
            layer = self._layers.get(source)
        if layer is None or len(self._size(layer.name)) != 1:
            return None
        parts, start = [], 0
        for source in layer.sources:
            [count] = self._size(source)
            order = self.of(source)
            parts.append(start + (np.arange(count) if order is None else order))
            start += count
        return np.concatenate(parts)

    def _size(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor for one image, from a blank one."""
        if not self._sizes:
            network = self._network
            blank = network.encode(np.zeros((1, *self._shape), np.float32))
            self._sizes = {network.source: blank.shape[1:]}
            self._sizes |= {step.layer.name: step.results.shape[1:] for step in steps(network, blank)}
        return self._sizes[name]
