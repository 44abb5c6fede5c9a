"""Linear interpolation as a convolution of each channel whose results become pixels.

All pixels that one becomes are made at once, each of the neighbours it lies between. Beyond the map its ends count, so
the kernels along the border have other weights: nine areas. Of more than `MOST_ACROSS` pixels side by side, every so
many are a channel of their own first, which a copy, or the host behind the network, makes columns of: all round once.
"""

import numpy as np

from roundel.compiler.area import Area
from roundel.compiler.lowering.areas import areas_of, by_area
from roundel.compiler.lowering.lowering import Lowering
from roundel.compiler.lowering.moves import MOST_ACROSS, lower_spread, spread, wide_slots
from roundel.compiler.operation import Operation
from roundel.compiler.tensor import Tensor
from roundel.golden.formats import Format, signed_width
from roundel.golden.network import DepthToSpace, Interpolate, Weighted, Window
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints


def lower_interpolate(lowering: Lowering, layer: Interpolate, source: Tensor) -> Tensor:
    """Lower a map that is enlarged by linear interpolation."""
    parts = max(1, layer.factor[1] // MOST_ACROSS)  # channels that become columns in a second step
    name = layer.name if parts == 1 else f"{layer.name} in {parts} parts"
    moved, last = (
        DepthToSpace(name=own, sources=layer.sources, output=layer.output, factor=factor, by_channel=True)
        for own, factor in ((name, (layer.factor[0], layer.factor[1] // parts)), (layer.name, (1, parts)))
    )
    sizes = source.storage.height, source.storage.columns
    kernels = [_kernels(size, *about) for size, about in zip(sizes, _axes(layer), strict=True)]
    (high, down), (wide, right) = kernels
    channels = len(source.slots)

    def convolution(area: Area) -> Weighted:
        rows, columns = high[area.first // moved.factor[0]], wide[area.left // moved.factor[1]]
        pad = (down[0], right[0], down[1], right[1])
        window = Window(kernel=(rows.shape[1], columns.shape[1]), pad=pad)
        return _convolution(layer, rows, columns.reshape(-1, parts, columns.shape[1]), window, channels)

    def make(area: Area, part: Tensor) -> Operation:
        return spread(convolution(area), moved, source, part, lowering.params)

    areas = list(areas_of(high, wide, moved.factor))
    slots = wide_slots(convolution(areas[0]), source, channels * parts)
    rows, columns = (size * factor for size, factor in zip(sizes, moved.factor, strict=True))
    target = lowering.make(name, layer.output, rows, columns, slots)
    by_area(lowering, layer.name, target, areas, make, across=moved.factor[1])
    return target if parts == 1 else lower_spread(lowering, last, target)


def _axes(layer: Interpolate) -> list[tuple[int, int]]:
    return list(zip(layer.factor, layer.offset, strict=True))


def _kernels(size: int, factor: int, offset: int) -> tuple[Ints, tuple[int, int]]:
    """Return the kernels along an axis, and how far they reach before and behind a value.

    Returns
    -------
    tuple
        (size, factor, taps): what the results that each value becomes are sums of, in units of `1 / (2 * factor)`; and
        the taps before and behind the value. Taps beyond the map are 0.
    """
    first, share = np.divmod(2 * np.arange(factor) + offset, 2 * factor)
    before, behind = max(0, -int(first.min())), max(0, int((first + (share > 0)).max()))
    kernels = np.zeros((size, factor, before + behind + 1), dtype=np.int64)
    value, phase = np.mgrid[:size, :factor]
    for more, weight in ((0, 2 * factor - share), (1, share)):
        tap = np.clip(value + first + more, 0, size - 1) - value + before
        np.add.at(kernels, (value, phase, np.minimum(tap, before + behind)), np.broadcast_to(weight, tap.shape))
    return kernels, (before, behind)


def _convolution(layer: Interpolate, rows: Ints, columns: Ints, window: Window, channels: int) -> Weighted:
    """Return the convolution of each channel that makes all its pixels.

    Kernels are (pixels, taps) along columns of the map, and (pixels, parts, taps) along its rows.
    """
    kernel = np.einsum("iy,jpx->yxpij", rows, columns).reshape(window.taps, -1)
    weights, most = np.tile(kernel, channels), int(kernel.max())
    fraction = layer.parts.bit_length() - 1
    shifts = layer.requant is Scheme.SHIFT
    return Weighted(
        name=layer.name, sources=layer.sources, output=layer.output, rounding=layer.rounding, bounds=layer.bounds,
        leak=layer.leak, requant=layer.requant, weights=weights, bias=np.zeros(weights.shape[1], dtype=np.int64),
        x=layer.x, w=Format(width=signed_width(0, most), signed=True, fraction=fraction),
        b=Format(width=2, signed=True, fraction=layer.x.fraction + fraction, mantissa=layer.x.mantissa) if shifts
        else Format(width=2, signed=True, fraction=0),
        window=window, groups=channels,
    )  # fmt: skip
