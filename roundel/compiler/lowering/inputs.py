"""The input of a network: its layout in memory, several rows or channels side by side where that saves steps."""

from dataclasses import replace

import numpy as np

from roundel.compiler.lowering.kernels import row_steps
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.weighted import is_depthwise
from roundel.compiler.tensor import Storage, Tensor, dense_slots
from roundel.golden.errors import InputError
from roundel.golden.network import Fill, Flatten, Network, Weighted

Shape = tuple[int, ...]

INTERLEAVE = (1, 2, 4, 8)  # rows of the input in one of the map


def input_tensor(network: Network, shape: Shape, lanes: int) -> Tensor:
    """Make the tensor of a network's input, for images of `shape`: (rows, columns, channels), or (features,).

    Raises
    ------
    InputError
        Another shape.
    """
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise InputError(f"input shape: expected rows, columns and channels, or features, not {shape}")
    rows, columns, channels = shape if len(shape) == 3 else (1, 1, shape[0])
    fill = filling(network)
    own = channels
    channels += 0 if fill is None else fill.count
    side_by_side = channels < lanes and _only_products(network, channels)
    interleave = _interleave(network, channels, lanes) if side_by_side else 1
    held = -(-rows // interleave)
    storage = Storage(
        name=network.source, rows=held, columns=columns, lanes=lanes, interleave=interleave,
        missing=held * interleave - rows, planes=1 if side_by_side else -(-channels // lanes),
        pixel=interleave * channels if side_by_side else 0,
    )  # fmt: skip
    slots = dense_slots(own)
    filled = None if fill is None else (tuple(range(own, channels)), fill.value)
    return Tensor(
        name=network.source, form=network.input, storage=storage, slots=slots, flat=len(shape) == 1, filled=filled
    )  # fmt: skip


def filling(network: Network) -> Fill | None:
    """Return the layer that gives the network's input a further channels, if nothing else reads the input."""
    readers = [layer for layer in network.layers if network.source in layer.sources]
    return readers[0] if len(readers) == 1 and isinstance(readers[0], Fill) else None


def lower_fill(lowering: Lowering, layer: Fill, source: Tensor) -> Tensor:
    """Return the input with the channels that the host fills beside those of the image.

    Raises
    ------
    InputError
        Another map, or an input that others read as well.
    """
    if source.filled is None:
        raise InputError(f"{layer.name}: a channel of one value is the host's, of an input that nothing else reads")
    return replace(source, name=layer.name, slots=np.append(source.slots, source.filled[0]), filled=None)


def _only_products(network: Network, channels: int) -> bool:
    """Whether the input goes into products over all of its channels only."""
    names = {network.source}
    for layer in network.layers:
        if isinstance(layer, Flatten | Fill) and layer.sources[0] in names:
            names.add(layer.name)
            continue
        read = [index for index, name in enumerate(layer.sources) if name in names]
        if read and not (read == [0] and isinstance(layer, Weighted) and not is_depthwise(layer, channels)):
            return False
    return not names & set(network.output_names)


def _interleave(network: Network, channels: int, lanes: int) -> int:
    """How many rows of the input lie side by side in the lanes: what needs fewest steps, counting all readers."""
    fill = filling(network)
    source = network.source if fill is None else fill.name
    readers = [layer for layer in network.layers if source in layer.sources]
    windows = [layer.window for layer in readers if isinstance(layer, Weighted) and layer.window is not None]
    if len(windows) < len(readers):
        return 1

    def cost(interleave: int) -> float:
        return sum(row_steps(window, interleave, channels, lanes) for window in windows)

    return min(INTERLEAVE, key=cost)
