"""Quantized networks as input: QDQ (QuantizeLinear, DequantizeLinear) and QONNX (Quant).

Both write a quantized tensor as float operators around it. Weights become float weights that know their step; an
activation becomes one `Quantize` node. [S] QONNX: the operator's description in its public repository.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import Levels
from roundel.golden.formats import signed_width
from roundel.golden.rounding import limits
from roundel.graph import ROUNDINGS, Node, Quantize

QDQ_DOMAINS = ("", "ai.onnx", "com.microsoft")
QONNX_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
DOMAINS = {
    "DequantizeLinear": QDQ_DOMAINS,
    "IntQuant": QONNX_DOMAINS,
    "Quant": QONNX_DOMAINS,
    "QuantizeLinear": QDQ_DOMAINS,
}  # of all other operators ONNX's own
QONNX_ROUNDINGS = {
    "ROUND": "ROUND",
    "HALF_EVEN": "ROUND",
    "FLOOR": "FLOOR",
    "CEIL": "CEIL",
    "ROUND_TO_ZERO": "ROUND_TO_ZERO",
    "DOWN": "ROUND_TO_ZERO",
    "UP": "UP",
    "HALF_UP": "HALF_UP",
    "HALF_DOWN": "HALF_DOWN",
}  # what files write, and the key of `ROUNDINGS`
UNSIGNED = {"ROUND_TO_ZERO": "FLOOR", "UP": "CEIL", "HALF_UP": "HALF_CEIL", "HALF_DOWN": "HALF_FLOOR"}


def quantize_linear(op: Operator) -> None:
    """Integers: of a constant at once; of an activation together with the DequantizeLinear that reads them."""
    zero, scale = _zero_point(op), _scale(op)
    low, high = _limits(op, zero.dtype)
    if op.is_constant(0):
        x = op.weights(0)
        codes = np.clip(np.rint(x / _along(op, scale, x.shape)) + _along(op, zero, x.shape), low, high)
        op.scope.constants[op.output] = codes.astype(np.int64).astype(zero.dtype)
    elif not _follow_host(op):
        op.scope.codes[op.output] = _activation(op, "", scale, int(_only(op, zero)), (low, high), "ROUND")


def dequantize_linear(op: Operator) -> Node | None:
    """Real numbers: of constant integers at once; of an activation's the node that is both operators."""
    zero, scale, name = _zero_point(op), _scale(op), op.inputs[0]
    if op.is_constant(0):
        codes = op.constant(0)
        _limits(op, codes.dtype)  # integers only
        integers = codes.astype(np.int64) - _along(op, zero, codes.shape).astype(np.int64)
        _set_weights(op, integers, _along(op, scale, codes.shape))
        return None
    if _follow_host(op):
        return None
    if name not in op.scope.codes:
        op.fail(f"input {name} must be constant integers or come from QuantizeLinear")
    pair = op.scope.codes[name]
    if (float(_only(op, scale)), int(_only(op, zero))) != (pair.scale, pair.zero_point):
        op.fail(f"scale and zero point must be those of {pair.name}, {pair.scale:g} and {pair.zero_point}")
    if pair.output:  # read twice: once is enough
        op.scope.aliases[op.output] = pair.output
        return None
    op.scope.codes[name] = replace(pair, output=op.output)
    return op.scope.codes[name]


def clip_codes(op: Operator, low: float | None, high: float | None) -> None:
    """Narrow the range of quantized integers: how QDQ is written for widths that older versions lack.

    Parameters
    ----------
    op
        Reads integers that a quantization made.
    low, high
        Least and greatest of them; None leaves that end as it is.
    """
    pair = op.scope.codes[op.inputs[0]]
    low, high = (bound if given is None else int(given) for bound, given in ((pair.low, low), (pair.high, high)))
    op.scope.codes[op.output] = replace(pair, output="", low=max(pair.low, low), high=min(pair.high, high))


def quant(op: Operator) -> Node | None:
    """QONNX: integers of any width and back, in one operator."""
    bits, signed, mode = op.scalar(3), bool(op.get("signed", 1)), op.get("rounding_mode", "ROUND").upper()
    if bits is None or not bits.is_integer() or not 2 <= bits <= 32:
        op.fail(f"bitwidth must be a whole number of 2 to 32 bits, not {bits}")
    if mode not in QONNX_ROUNDINGS:
        op.fail(f"rounding_mode must be {', '.join(QONNX_ROUNDINGS)}, not {mode}")
    mode = QONNX_ROUNDINGS[mode]
    low, high = limits(int(bits), signed)
    if op.get("narrow", 0):
        low, high = (low + 1, high) if signed else (low, high - 1)
    scale, zero = _scale(op), op.weights(2)
    if _follow_host(op):
        return None
    if (np.rint(zero) != zero).any():
        op.fail("zeropt must be whole numbers")
    if not op.is_constant(0):
        point = int(_only(op, zero))
        return _activation(op, op.output, scale, point, (low, high), _about_zero(op, mode, point, low))
    x = op.weights(0)
    scale, zero = (_trailing(op, values, x.shape) for values in (scale, zero))
    integers = ROUNDINGS[mode].compute(np.clip(x / scale + zero, low, high)) - zero
    _set_weights(op, integers.astype(np.int64), scale)
    return None


def _about_zero(op: Operator, mode: str, zero: int, low: int) -> str:
    """Return how the real number itself is rounded, where QONNX rounds it with the zero point added.

    Halves then go to the even integer, zero point included. What turns round at 0 does so at the integer 0, beyond
    which unsigned integers do not go.
    """
    if low >= 0:
        mode = UNSIGNED.get(mode, mode)
    if mode == "ROUND" and zero % 2:
        return "HALF_ODD"
    if zero and mode in UNSIGNED:
        op.fail(f"a zero point of {zero} with rounding_mode {mode}, which turns round at the integer 0")
    return mode


def _follow_host(op: Operator) -> bool:
    """Leave the quantization of a host operator's result to the host, if it is one, and return whether it is."""
    host = op.scope.hosted.get(op.inputs[0])
    if host is not None:
        op.scope.hosted[op.output] = host
    return host is not None


def _activation(
    op: Operator, output: str, scale: NDArray[Any], zero: int, bounds: tuple[int, int], rounding: str
) -> Quantize:
    op.shape(0)
    return Quantize(
        name=op.name,
        inputs=(op.inputs[0],),
        output=output,
        scale=float(_only(op, scale)),
        zero_point=zero,
        low=bounds[0],
        high=bounds[1],
        rounding=rounding,
    )


def _set_weights(op: Operator, integers: NDArray[np.int64], steps: NDArray[np.float32]) -> None:
    """Set the result to the constant `integers * steps`; steps are one number, or differ along one axis."""
    axes = [axis for axis, size in enumerate(steps.shape) if size > 1]
    if len(axes) > 1:
        op.fail(f"expected one step, or one for each index along one axis, not {steps.shape}")
    with np.errstate(over="ignore"):  # infinite weights are refused by whoever reads them
        op.scope.constants[op.output] = integers.astype(np.float32) * steps
    width = max(2, signed_width(int(integers.min()), int(integers.max())))
    step = steps.reshape(-1) if axes else steps.reshape(())
    op.scope.levels[op.output] = Levels(step=step, axis=axes[0] if axes else 0, width=width)


def _trailing(op: Operator, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Scales or zero points in as many axes as a constant of `shape`: fewer are the last ones, as always in ONNX."""
    values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
    if values.ndim != len(shape) or any(size not in (1, most) for size, most in zip(values.shape, shape, strict=True)):
        op.fail(f"scales or zero points of {values.shape} do not fit a constant of {shape}")
    return values


def _scale(op: Operator) -> NDArray[np.float32]:
    op.require(block_size=0)
    scale = op.weights(1)
    if not (scale > 0).all():
        op.fail("scales must be positive")
    return scale


def _zero_point(op: Operator) -> NDArray[Any]:
    """In the integers' own type, which is otherwise only known from an attribute or from a constant's integers."""
    if op.has(2):
        return op.constant(2)
    if op.is_constant(0) and op.proto.op_type == "DequantizeLinear":
        return np.zeros((), op.constant(0).dtype)
    kind = op.get("output_dtype", 0) or onnx.TensorProto.UINT8
    return np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(kind))


def _limits(op: Operator, kind: np.dtype[Any]) -> tuple[int, int]:
    """Least and greatest integer of a type; those of few bits are not NumPy's own."""
    name = re.fullmatch(r"(u?)int(\d+)", kind.name)
    if name is None:
        op.fail(f"only integers are supported, not {kind.name}")
    return limits(int(name[2]), not name[1])


def _only(op: Operator, values: NDArray[Any]) -> Any:
    if values.size != 1:
        op.fail("an activation with a scale or zero point per channel is not supported")
    return values.item()


def _along(op: Operator, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """One number, or one for each index of the operator's axis, in the shape that broadcasts over a tensor.

    Parameters
    ----------
    op
        Its `axis` is 1 unless it says otherwise; a tensor of one axis, such as a bias, has no other.
    values
        Scales or zero points.
    shape
        Shape of the tensor.
    """
    if values.size == 1:
        return values.reshape(())
    axis, axes = op.get("axis", 0 if len(shape) == 1 else 1), len(shape)
    if not -axes <= axis < axes:
        op.fail(f"axis must be {-axes} to {axes - 1}, as the constant has the shape {shape}, not {axis}")
    if values.shape != (shape[axis],):
        op.fail(f"expected one scale and zero point, or {shape[axis]} along axis {axis}, not {values.shape}")
    sizes = [1] * axes
    sizes[axis] = -1
    return values.reshape(sizes)
