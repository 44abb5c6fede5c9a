"""ONNX's ConvTranspose as a convolution that makes all pixels of a stride at once, and pixels out of its channels.

[S] ONNX: value h of the input adds to result `stride * h + tap * dilation - pad` for every tap. So result
`stride * q + phase` is a sum over few values around q, with the taps of its phase: no zero between values is
multiplied. The convolution has `stride[0] * stride[1]` times the outputs, and `DepthToSpace` makes pixels of these.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from roundel import graph
from roundel.frontend.model import MOST_PADDING, too_many
from roundel.frontend.operators.operator import Operator
from roundel.golden.network import Window
from roundel.golden.rounding import Ints
from roundel.graph import Node

MOST_STRIDE = 16


class Phases(NamedTuple):
    """One axis: the kernel's tap at each place of each phase's kernel, or -1; padding; results of a phase, of all."""

    taps: Ints  # (stride, places)
    before: int
    after: int
    phase_results: int
    results: int


def conv_transpose(op: Operator) -> tuple[Node, ...]:
    """Convolve, make pixels, and cut off what the last phases have too many."""
    weights, groups, shape = op.weights(1), op.get("group", 1), op.shape(0)
    if weights.ndim != 4 or len(shape) != 3:
        op.fail(f"expected two spatial axes, not weights {weights.shape} over {shape}")
    if weights.shape[0] != shape[0] or groups < 1 or shape[0] % groups:
        op.fail(f"weights {weights.shape} in {groups} groups do not fit {shape[0]} channels")
    outputs = weights.shape[1] * groups
    bias = op.weights(2) if op.has(2) else np.zeros(outputs, np.float32)
    if bias.shape != (outputs,):
        op.fail(f"expected a bias for each of {outputs} outputs, not {bias.shape}")
    rows, columns = _axes(op, weights.shape[2:], shape[1:])
    split = _split(op, weights, groups, rows, columns)
    kernel, pixels = split.shape[2:], (len(rows.taps), len(columns.taps))
    window = Window(kernel=kernel, pad=(rows.before, columns.before, rows.after, columns.after))
    phases, big = f"{op.output} by phase", f"{op.output} of whole phases"
    whole = rows.phase_results * pixels[0] == rows.results and columns.phase_results * pixels[1] == columns.results
    size = (rows.results, columns.results)
    levels = op.levels(1, axis=1)
    if levels and levels["step"].ndim:
        levels["step"] = np.repeat(np.tile(levels["step"], groups), pixels[0] * pixels[1])
    common = op.common()
    many = np.repeat(bias, pixels[0] * pixels[1])
    convolution = graph.Conv(**common | {"output": phases}, weights=split, bias=many, window=window, groups=groups,
                             **levels)  # fmt: skip
    if pixels == (1, 1):
        convolution = replace(convolution, output=op.output if whole else big)
        moved: tuple[Node, ...] = ()
    else:
        name = op.output if whole else big
        moved = (graph.DepthToSpace(name=f"{op.name} pixels", inputs=(phases,), output=name, factor=pixels,
                                    by_channel=True),)  # fmt: skip
    if not whole:
        moved += (graph.Crop(name=f"{op.name} part", inputs=(big,), output=op.output, first=(0, 0), step=(1, 1),
                             size=size),)  # fmt: skip
    return (convolution, *moved)


def _axes(op: Operator, kernel: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[Phases, Phases]:
    op.require(kernel_shape=tuple(kernel))
    strides, dilations = op.get("strides", (1, 1)), op.get("dilations", (1, 1))
    extra, pads = op.get("output_padding", (0, 0)), op.get("pads", (0, 0, 0, 0))
    given, auto = op.get("output_shape", ()), op.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        op.fail(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {auto}")
    lists = {
        "strides": (strides, 2, 1),
        "dilations": (dilations, 2, 1),
        "output_padding": (extra, 2, 0),
        "pads": (pads, 4, 0),
    }
    for name, (values, count, least) in lists.items():
        if len(values) != count or min(values) < least or max(values) > MOST_PADDING:
            op.fail(f"{name} must be {count} numbers of {least} to {MOST_PADDING}, not {values}")
    if given or auto != "NOTSET":
        op.scope.doubtful.add(op.output)  # ONNX's inference of shapes has bounds of its own
    if max(strides) > MOST_STRIDE:
        op.fail(f"strides must be at most {MOST_STRIDE}, not {max(strides)}")
    if given and len(given) not in (2, 4):
        op.fail(f"output_shape must be rows and columns, not {given}")
    axes = []
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        whole = strides[axis] * (sizes[axis] - 1) + extra[axis] + reach
        if given or auto.startswith("SAME"):
            results = given[axis - 2] if given else sizes[axis] * strides[axis]
            if results > whole:  # [S] ONNX adds results then, onnxruntime does not
                op.fail(
                    f"{results} results of at most {whole} have no agreed meaning: expected output_padding and pads"
                )
            before = _shared(whole - results, auto)
        else:
            before, behind = (pads[axis], pads[axis + 2]) if auto == "NOTSET" else (0, 0)
            results = whole - before - behind
        if results < 1 or too_many((results,)):
            op.fail(f"expected at least one result and not too many, not {results}")
        axes.append(_phases(kernel[axis], dilations[axis], strides[axis], before, sizes[axis], results))
    return axes[0], axes[1]


def _shared(total: int, auto: str) -> int:
    """Return the padding before, of so much in all."""
    return total // 2 if auto == "SAME_UPPER" else total - total // 2


def _phases(kernel: int, dilation: int, stride: int, pad: int, size: int, results: int) -> Phases:
    """Return what the results of each phase are sums of.

    Parameters
    ----------
    kernel, dilation, stride
        Of an axis.
    pad
        Results that are cut off at the beginning.
    size, results
        Values before, and results.
    """
    phase, tap = np.arange(stride)[:, None], np.arange(kernel)[None] * dilation
    met = (phase + pad - tap) % stride == 0
    offset = (phase + pad - tap) // stride  # from the value of the result's number to that which the tap meets
    low, high = (int(offset[met].min()), int(offset[met].max())) if met.any() else (0, 0)
    before, count = max(0, -low), -(-results // stride)
    places = max(high, 0) + before + 1
    after = count - 1 + places - before - size
    places, after = places - min(after, 0), max(after, 0)  # taps of zero where fewer values are needed than there are
    taps = np.full((stride, places), -1)
    rows, columns = np.nonzero(met)
    taps[rows, offset[rows, columns] + before] = columns
    return Phases(taps, before, after, count, results)


def _split(op: Operator, weights: np.ndarray, groups: int, rows: Phases, columns: Phases) -> np.ndarray:
    """Return the weights of all phases, (outputs * phases, channels / groups, rows, columns), a phase innermost."""
    inner = weights.shape[0] // groups
    outputs, pixels = weights.shape[1] * groups, len(rows.taps) * len(columns.taps)
    shape = (outputs * pixels, inner, rows.taps.shape[1], columns.taps.shape[1])
    if why := too_many(shape):
        op.fail(f"its weights for all pixels of a stride: {why}")
    by_output = weights.reshape(groups, inner, -1, *weights.shape[2:]).transpose(0, 2, 1, 3, 4)
    by_output = by_output.reshape(outputs, inner, *weights.shape[2:])
    padded = np.pad(by_output, ((0, 0), (0, 0), (0, 1), (0, 1)))  # tap -1 is a zero
    y, x = rows.taps[:, None, :, None], columns.taps[None, :, None, :]
    taken = padded[:, :, y, x]  # outputs, inner, phases of rows, of columns, rows, columns
    return np.ascontiguousarray(taken.transpose(0, 2, 3, 1, 4, 5).reshape(shape))
