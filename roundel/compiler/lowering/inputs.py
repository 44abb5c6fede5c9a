"""The input of a network: its layout in memory, several rows or channels side by side where that saves steps."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from roundel.compiler.lowering.kernels import row_steps
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.weighted import is_depthwise
from roundel.compiler.tensor import Storage, Tensor, dense_slots
from roundel.golden.errors import InputError
from roundel.golden.network import Fill, Flatten, Network, Weighted, Window

Shape = tuple[int, ...]

INTERLEAVE = (1, 2, 4, 8)  # rows of the input in one of the map


class RowCut(NamedTuple):
    """How the rows of the input lie in `rows` rows of its map, see `Storage`."""

    interleave: int
    rows: int
    overlap: int = 0
    above: int = 0


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
    if channels < lanes and _only_products(network, channels):
        storage = _side_by_side(network, (rows, columns, channels), lanes)
    else:
        planes = -(-channels // lanes)
        storage = Storage(name=network.source, rows=rows, columns=columns, lanes=lanes, planes=planes)
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


def _side_by_side(network: Network, shape: tuple[int, int, int], lanes: int) -> Storage:
    """Return the map of an input in the `rows` layout that needs fewest steps, counting all readers."""
    fill = filling(network)
    source = network.source if fill is None else fill.name
    readers = [layer for layer in network.layers if source in layer.sources]
    windows = [layer.window for layer in readers if isinstance(layer, Weighted) and layer.window is not None]
    if len(windows) < len(readers):
        windows = []
    rows, columns, channels = shape
    cuts = [RowCut(interleave=each, rows=-(-rows // each)) for each in INTERLEAVE[: None if windows else 1]]
    alike = {(window.kernel[0], window.stride[0], window.dilation[0], window.pad) for window in windows}
    if len(alike) == 1:
        cuts += _overlapping(windows[0], rows, columns)
    maps = [
        Storage(
            name=network.source, rows=cut.rows, columns=columns, planes=1, lanes=lanes,
            pixel=cut.interleave * channels, interleave=cut.interleave, missing=cut.rows * cut.interleave - rows,
            overlap=cut.overlap, above=cut.above,
        )
        for cut in cuts
    ]  # fmt: skip
    return min(maps, key=lambda storage: sum(row_steps(window, storage) for window in windows))


def _overlapping(window: Window, rows: int, columns: int) -> list[RowCut]:
    """Return the cut into what each row of results reads, rows that several read in each; none for tall kernels."""
    extent, stride = window.extent[0], window.stride[0]
    if not stride <= extent <= INTERLEAVE[-1]:
        return []
    held, _ = window.output_size(rows, columns)
    return [RowCut(interleave=extent, rows=held, overlap=extent - stride, above=window.pad[0])]
