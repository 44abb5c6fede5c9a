"""Stimulus for measuring requantizers: a network's own accumulators, and run-time parameters that fit them.

Every scheme gets the same accumulators in the same order (layer, channel, image, position: as one column of the array
sees them) and a scale of its own kind for each layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roundel.data import DIGITS
from roundel.frontend import read_onnx
from roundel.golden.errors import InputError
from roundel.golden.network import Network, Weighted, steps
from roundel.golden.requant import RequantParams, Scheme, nearest_boundaries
from roundel.golden.rounding import Ints
from roundel.graph import load_images, read_npz
from roundel.quantization import quantize


@dataclass(frozen=True, kw_only=True, eq=False)
class Accumulators:
    """Accumulators of several layers, one after the other.

    Attributes
    ----------
    source
        Where they come from, for reports.
    layers
        One int64 array per layer; of a layer whose channels have different shifts, one for each shift.
    shifts
        The right shift that brings each of them to a signed result of 8 bits.
    """

    source: str
    layers: tuple[Ints, ...]
    shifts: tuple[int, ...]

    @property
    def acc(self) -> Ints:
        """All of them, in order."""
        return np.concatenate(self.layers)

    def bits(self) -> int:
        """Bits of the largest one, its sign included."""
        return _bits(self.acc)


def from_network(network: Network, images: Ints, source: str) -> Accumulators:
    """Return what enters the requantizers of the weighted layers of `network` for `images`.

    A layer with an unsigned output (ReLU) has a result of one bit more than a signed one; its shift is raised by one.
    """
    columns, shifts = list[Ints](), list[int]()
    for step in steps(network, images):
        if not isinstance(step.layer, Weighted) or step.accumulators is None:
            continue
        own = np.broadcast_to(step.layer.shifts, step.accumulators.shape[1:])
        for shift in np.unique(own).tolist():
            columns.append(np.ascontiguousarray(step.accumulators[:, own == shift].T).ravel())
            shifts.append(shift + (0 if step.layer.output.signed else 1))
    return Accumulators(source=source, layers=tuple(columns), shifts=tuple(shifts))


def digits_network(images: int) -> tuple[Network, Ints]:
    """Return the digits network, quantized to 8 bits, and its first `images` held-out digits as integers.

    Raises
    ------
    InputError
        The example's files are not beside the program.
    """
    graph = read_onnx(DIGITS / "digits.onnx")
    network = quantize(graph, load_images(DIGITS / "calibration.npz", graph).images).network
    held_out = load_images(DIGITS / "heldout.npz", graph).images
    if images > len(held_out):
        raise InputError(f"{DIGITS.name}/heldout.npz: holds {len(held_out)} images, not {images}")
    return network, network.encode(held_out[:images])


def digits(images: int) -> Accumulators:
    """Accumulators of the digits network on its first `images` held-out digits."""
    network, encoded = digits_network(images)
    return from_network(network, encoded, f"digits network, {len(encoded)} held-out images")


def from_file(path: Path) -> Accumulators:
    """Return the array `acc` of an npz file: integers of one layer (1-D), or one layer a row.

    Raises
    ------
    InputError
        The file is missing or damaged, or `acc` is not what it should be.
    """
    arrays = read_npz(path, ("acc",))
    if "acc" not in arrays:
        raise InputError(f"{path}: expected an array named acc")
    acc = arrays["acc"]
    if acc.dtype.kind not in "iu" or acc.ndim not in (1, 2) or not acc.size:
        raise InputError(f"{path}: acc: expected integers of shape (n,) or (layers, n), not {acc.dtype} of {acc.shape}")
    if int(acc.max()) >= 1 << 47 or int(acc.min()) < -(1 << 47):
        raise InputError(f"{path}: acc: expected integers of at most 48 bits, not {acc.min()} to {acc.max()}")
    layers = tuple(np.atleast_2d(acc).astype(np.int64))
    shifts = tuple(max(0, _bits(layer) - 8) for layer in layers)
    return Accumulators(source=path.name, layers=layers, shifts=shifts)


def runtime(params: RequantParams, accumulators: Accumulators) -> dict[str, Ints]:
    """Run-time parameters for every accumulator, by layer.

    `shift` uses the layer's own shift. Schemes with a multiplier or a float scale get what a max-calibrated quantizer
    would give them, `greatest output / greatest accumulator`, which is no power of two: a multiplier with a single bit
    set would flatter them. The zero point is 0. `threshold` quantizes uniformly, `codebook` to levels at the
    quantiles of the layer.
    """
    greatest = params.limits[1]
    make: Callable[[Ints, int], dict[str, Ints]] = {
        Scheme.SHIFT_CONST: lambda acc, shift: {},
        Scheme.SHIFT: lambda acc, shift: {"shift": np.asarray(shift)},
        Scheme.FLOAT32: lambda acc, shift: _float(_scale(acc, greatest)),
        Scheme.THRESHOLD: lambda acc, shift: {"thresholds": _thresholds(params.boundaries, shift)},
        Scheme.CODEBOOK: lambda acc, shift: _codebook(acc, params.boundaries + 1, shift, params.limits),
    }.get(params.scheme, lambda acc, shift: _fixed(params, _scale(acc, greatest)))
    fields: dict[str, list[Ints]] = {}
    for acc, shift in zip(accumulators.layers, accumulators.shifts, strict=True):
        for name, value in make(acc, shift).items():
            fields.setdefault(name, []).append(np.broadcast_to(value, (len(acc), *np.shape(value))))
    return {name: np.concatenate(parts).astype(np.int64) for name, parts in fields.items()}


def _bits(values: Ints) -> int:
    """Bits of the largest of `values`, its sign included."""
    return max(int(values.max()).bit_length(), int(~values.min()).bit_length()) + 1


def _scale(acc: Ints, greatest: int) -> float:
    return min(greatest / max(int(np.abs(acc).max()), 1), 1 - 2.0**-30)


def _float(scale: float) -> dict[str, Ints]:
    return {"scale": np.asarray(np.float32(scale).view(np.uint32), dtype=np.int64), "zero_point": np.asarray(0)}


def _fixed(params: RequantParams, scale: float) -> dict[str, Ints]:
    """`scale` as a multiplier with its top magnitude bit set, and the shift that goes with it."""
    doubling = params.scheme is Scheme.FIXED32  # a signed multiplier, whose product is divided by 2**31 beforehand
    width = params.scheme.multiplier_width - (1 if doubling else 0)
    mantissa, exponent = np.frexp(scale)
    multiplier = min(round(float(mantissa) * 2**width), 2**width - 1)
    shift = -int(exponent) + (0 if doubling else width)
    return {"multiplier": np.asarray(multiplier), "shift": np.asarray(shift), "zero_point": np.asarray(0)}


def _thresholds(count: int, shift: int) -> Ints:
    step = (1 << (shift + 8)) // (count + 1)
    return (np.arange(count) - count // 2) * step


def _codebook(acc: Ints, levels: int, shift: int, limits: tuple[int, int]) -> dict[str, Ints]:
    ordered: NDArray[np.float64] = np.quantile(acc, (np.arange(levels) + 0.5) / levels)
    places = np.round(ordered).astype(np.int64)
    return {"boundaries": nearest_boundaries(places), "levels": np.clip(places >> shift, *limits)}
