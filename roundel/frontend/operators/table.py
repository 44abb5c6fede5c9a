"""ONNX operators: how each one becomes a node of `roundel.graph.graph`.

Every operator is one function in `OPERATORS`; a new one is a function and a line in that table.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from roundel import graph
from roundel.frontend.operators import arithmetic, constants, dialects, functions, moves, reductions, shapes, views
from roundel.frontend.operators.functions import OTHERS, UNARY, function, quantized
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.resize import resize
from roundel.frontend.operators.transposed import conv_transpose
from roundel.golden.network import Window
from roundel.graph import HostOperator, Node

Builder = Callable[[Operator], Node | tuple[Node, ...] | None]


def _conv(op: Operator) -> Node:
    weights, groups = op.weights(1), op.get("group", 1)
    bias = op.weights(2) if op.has(2) else np.zeros(len(weights), np.float32)
    if bias.shape != (len(weights),):
        op.fail(f"expected a bias for each of {len(weights)} outputs, not {bias.shape}")
    window = op.window(weights.shape[2:])
    return graph.Conv(**op.common(), weights=weights, bias=bias, window=window, groups=groups, **op.levels(1, axis=0))


def _gemm(op: Operator) -> graph.Dense:
    op.require(transA=0)
    if len(op.shape(0)) != 1:
        op.fail(f"expected (batch, features), not {len(op.shape(0)) + 1} axes")
    if op.weights(1).ndim != 2:
        op.fail(f"expected weights of two axes, not {op.weights(1).shape}")
    turned, alpha = bool(op.get("transB", 0)), np.float32(op.get("alpha", 1.0))
    weights = op.weights(1).T if turned else op.weights(1)
    bias = op.weights(2) if op.has(2) else np.zeros(1, np.float32)
    if bias.shape not in ((), (1,), (1, 1), (weights.shape[1],), (1, weights.shape[1])):
        op.fail(f"expected a bias for each of {weights.shape[1]} outputs, not {bias.shape}")
    bias = np.broadcast_to(bias.reshape(-1) * np.float32(op.get("beta", 1.0)), weights.shape[1])
    levels = op.levels(1, axis=0 if turned else 1)
    if levels:
        levels["step"] = levels["step"] * abs(alpha)
    return graph.Dense(**op.common(), weights=weights * alpha, bias=bias, **levels)


def _matmul(op: Operator) -> graph.Dense:
    weights = op.weights(1)
    if weights.ndim != 2 or len(op.shape(0)) != 1:
        op.fail(f"expected (batch, features) by (features, outputs), not {op.shape(0)} by {weights.shape}")
    bias = np.zeros(weights.shape[1], np.float32)
    return graph.Dense(**op.common(), weights=weights, bias=bias, **op.levels(1, axis=1))


def _batch_normalization(op: Operator) -> Node:
    op.require(training_mode=0)
    scale, offset, mean, variance = (op.weights(index).astype(np.float64) for index in (1, 2, 3, 4))
    variance += op.get("epsilon", 1e-5)
    if not (variance > 0).all():
        op.fail("variance plus epsilon must be positive")
    if not all(values.shape == op.shape(0)[:1] for values in (scale, offset, mean, variance)):
        op.fail(f"expected scale, offset, mean and variance for each of {op.shape(0)[0]} channels")
    factor = scale / np.sqrt(variance)
    return graph.Affine(
        **op.common(), scale=factor.astype(np.float32), offset=(offset - mean * factor).astype(np.float32)
    )


def _concat(op: Operator) -> Node:
    if op.get("axis", None) not in (1, -len(op.shape(0))):
        op.fail(f"axis must be 1, the channels, not {op.get('axis', None)}")
    return graph.Concat(**op.common(*range(len(op.inputs))))


def _relu(op: Operator) -> Node:
    return graph.Relu(**op.common())


def _clip(op: Operator) -> Node | None:
    low, high = op.scalar(1), op.scalar(2)
    if np.isnan([low or 0, high or 0]).any():
        op.fail(f"bounds must be numbers, not {low} and {high}")
    if op.inputs[0] in op.scope.codes:
        dialects.clip_codes(op, low, high)
        return None
    return graph.Clip(**op.common(), low=low, high=high)


def _max_pool(op: Operator) -> Node:
    op.require(storage_order=0)
    if len(op.proto.output) > 1:
        op.fail("the output Indices is not supported")
    return graph.MaxPool(**op.common(), window=_pool(op))


def _average_pool(op: Operator) -> Node:
    plain, window = op.window(op.get("kernel_shape", ())), _pool(op)
    counted = bool(op.get("count_include_pad", 0))
    if counted and any(plain.pad) and window != plain:
        op.fail("ceil_mode=1 with padding that counts (count_include_pad=1) is not supported where it adds a window")
    return graph.AveragePool(**op.common(), window=window, count_padding=window == plain and counted)


def _pool(op: Operator) -> Window:
    """Return the window of a pool. A last window that `ceil_mode` lets reach out of the map becomes padding."""
    window = op.window(op.get("kernel_shape", ()))
    same = op.get("auto_pad", "NOTSET").startswith("SAME")
    if same and (max(window.dilation) > 1 or _leaves_rest(window, op.shape(0)[1:])):
        op.fail("auto_pad of dilated windows, or of some with gaps between them, has no agreed meaning: expected pads")
    if any(pad >= taps for pad, taps in zip(window.pad, window.kernel * 2, strict=True)):
        op.fail(f"padding must be smaller than the kernel of {window.kernel}, not {window.pad}")
    if any(_sees_padding_alone(window, axis, size) for axis, size in enumerate(op.shape(0)[1:])):
        op.fail(f"padding of {window.pad} leaves windows of {window.extent} that see nothing else")
    if same or not op.get("ceil_mode", 0):
        if op.get("ceil_mode", 0):  # which ONNX's own inference of shapes counts in spite of auto_pad
            op.scope.doubtful.add(op.output)
        return window
    pad = list(window.pad)
    for axis, size in enumerate(op.shape(0)[1:]):
        spare = size + pad[axis] + pad[axis + 2] - window.extent[axis]
        step = window.stride[axis]
        last = -(-spare // step) * step  # where the last window starts, from the padding on
        if spare >= 0 and last < size + pad[axis]:
            pad[axis + 2] += max(0, last - spare)
        elif last > spare:  # one that starts behind the map is left out, but older definitions of ONNX count it
            op.scope.doubtful.add(op.output)
    return replace(window, pad=(pad[0], pad[1], pad[2], pad[3]))


def _leaves_rest(window: Window, sizes: tuple[int, ...]) -> bool:
    """Whether windows that start every stride end before the map does: onnxruntime pads by less than nothing then."""
    axes = zip(sizes, window.stride, window.extent, strict=True)
    return any((-(-size // step) - 1) * step + extent < size for size, step, extent in axes)


def _sees_padding_alone(window: Window, axis: int, size: int) -> bool:
    """Whether all taps of some window lie in the padding before and after an axis of `size`."""
    taps, skip, step = window.kernel[axis], window.dilation[axis], window.stride[axis]
    starts = np.arange(-window.pad[axis], size + window.pad[axis + 2] - window.extent[axis] + 1, step)
    first = np.maximum(0, -(starts // skip))  # tap that is the first one behind the padding before the map
    return bool(((first >= taps) | (starts + first * skip >= size)).any())


def _global_average_pool(op: Operator) -> Node:
    return graph.AveragePool(**op.common(), window=None)


def _global_max_pool(op: Operator) -> Node:
    _, rows, columns = moves.map_shape(op)
    return graph.MaxPool(**op.common(), window=Window(kernel=(rows, columns)))


def _softmax(op: Operator) -> None:
    axes = len(op.shape(0)) + 1
    axis = op.get("axis", -1 if op.scope.opset >= 13 else 1)
    axis += axes if axis < 0 else 0
    if op.scope.opset < 13:  # over all axes from there on
        longer = [place for place in range(max(1, axis), axes) if op.shape(0)[place - 1] > 1] or [axes - 1]
        if axis < 1 or len(longer) > 1:
            op.fail(f"axis must be the last one before opset 13, not {axis}")
        [axis] = longer
    op.scope.hosted[op.output] = HostOperator(name=op.name, operator="Softmax", tensor=op.inputs[0], axis=axis)


DOMAINS = dialects.DOMAINS | functions.DOMAINS  # of all other operators ONNX's own

OPERATORS: dict[str, Builder] = {
    "Add": views.through(function(arithmetic.add)),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": views.through(function(arithmetic.cast)),
    "Clip": views.through(function(_clip)),
    "Concat": _concat,
    "Constant": constants.constant,
    "ConstantOfShape": constants.constant_of_shape,
    "Conv": _conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": moves.depth_to_space,
    "DequantizeLinear": quantized(views.through(dialects.dequantize_linear)),
    "Div": views.through(function(arithmetic.divide)),
    "Dropout": shapes.dropout,
    "Flatten": views.flatten,
    "Gather": moves.gather,
    "Gemm": views.in_any_order(_gemm),
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "Identity": shapes.identity,
    "IntQuant": quantized(views.through(dialects.quant)),
    "LeakyRelu": views.through(function()),
    "MatMul": views.in_any_order(_matmul),
    "Max": views.through(function(arithmetic.greatest)),
    "MaxPool": _max_pool,
    "Min": views.through(function(arithmetic.least)),
    "Mul": views.through(function(arithmetic.multiply)),
    "Neg": views.through(function(arithmetic.negate)),
    "Pad": moves.pad,
    "Quant": quantized(views.through(dialects.quant)),
    "QuantizeLinear": views.through(dialects.quantize_linear),
    "ReduceMax": reductions.reduce_max,
    "ReduceMean": reductions.reduce_mean,
    "ReduceSum": reductions.reduce_sum,
    "Relu": views.through(function(_relu)),
    "Reshape": views.reshape,
    "Resize": resize,
    "Shape": shapes.shape,
    "Sigmoid": functions.sigmoid(views.through(function())),
    "Slice": moves.slice_,
    "Softmax": _softmax,
    "SpaceToDepth": moves.space_to_depth,
    "Split": moves.split,
    "Squeeze": views.squeeze,
    "Sub": views.through(function(arithmetic.subtract)),
    "Sum": views.through(function(arithmetic.add)),
    "Transpose": views.transpose,
    "Unsqueeze": views.unsqueeze,
}
OPERATORS |= {kind: views.through(function()) for kind in (*UNARY, *OTHERS)}
