"""Export of a network to ONNX: what `roundel.frontend.read_onnx` reads, as any runtime runs it.

Weights that are whole multiples of a step leave as int8 constants behind a `DequantizeLinear`, so that the file holds
the codes themselves. Everything else, biases and activations, stays float.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from roundel import graph
from roundel.golden.errors import InputError
from roundel.golden.network import Window
from roundel.golden.rounding import limits
from roundel.graph import Conv, Dense, Graph, Node, codes_of

OPSET, IR_VERSION = 17, 8  # the newest that onnxruntime 1.12 runs
NO_EXPORT = ("Gelu", "Mish", "Swish")  # newer than that, where they are parts of other functions
QONNX = "qonnx.custom_op.general"
QONNX_NAMES = {"HALF_ODD": "ROUND", "HALF_CEIL": "HALF_UP", "HALF_FLOOR": "HALF_DOWN"}  # with a zero point, or unsigned
DILATED_OPSET, DILATED_IR_VERSION = 19, 9  # since which the mean of dilated windows is there


def export_onnx(network: Graph, path: str | Path) -> None:
    """Write `to_onnx(network)` to a file; errors as there."""
    data = to_onnx(network).SerializeToString()
    Path(path).write_bytes(data)


def to_onnx(network: Graph) -> onnx.ModelProto:
    """Return a checked model that computes what `network` does, host operators included.

    Raises
    ------
    InputError
        A node that ONNX has no operator for, or weights that are no multiples of their step in 8 bits.
    """
    writer = _Writer(network.file, network.shapes)
    for node in network.nodes:
        if type(node) not in BUILDERS:
            raise InputError(f"{network.file}: node {node.name}: {type(node).__name__} cannot be exported")
        BUILDERS[type(node)](writer, node)
    outputs = dict(zip(network.results, network.results, strict=True))
    for item in network.host:
        outputs[item.tensor] = f"{item.tensor}.{item.operator}"
        attributes = {} if item.axis is None else {"axis": item.axis}
        writer.add(item.operator, item.name, [item.tensor], outputs[item.tensor], **attributes)
    proto = helper.make_graph(
        writer.nodes,
        "roundel",
        [_info(network.source, network.shape)],
        [_info(outputs[name], network.shapes[name]) for name in network.results],
        writer.constants,
    )
    opsets = [helper.make_opsetid("", writer.opset)]
    opsets += [helper.make_opsetid(QONNX, 1)] if any(node.domain == QONNX for node in writer.nodes) else []
    model = helper.make_model(proto, opset_imports=opsets, producer_name="roundel")
    model.ir_version = IR_VERSION if writer.opset == OPSET else DILATED_IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


@dataclass(kw_only=False)
class _Writer:
    """The nodes and constants so far.

    Parameters
    ----------
    file
        The network's name, for messages.
    shapes
        Of all tensors, without the batch.
    opset
        Version of ONNX's operators that the nodes so far need.
    """

    file: str
    shapes: Mapping[str, tuple[int, ...]]
    opset: int = OPSET
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, name: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Append an operator.

        Parameters
        ----------
        operator, name
            Its type in ONNX, and its own name.
        inputs, output
            Names of tensors.
        **attributes
            Attributes in ONNX.
        """
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """One more constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weights(self, node: Conv | Dense, axis: int) -> str:
        """Add the weights of a node, whose outputs lie along `axis`; return the tensor's name."""
        if node.step is None:
            return self.constant(f"{node.name}.weight", node.weights.astype(np.float32))
        step, codes = np.asarray(node.step, dtype=np.float32), codes_of(node)
        sizes = [-1 if index == axis else 1 for index in range(codes.ndim)]
        values = codes.astype(np.float32) * (step.reshape(sizes) if step.ndim else step)  # as a runtime computes them
        exact = np.array_equal(values, node.weights)
        if np.abs(codes).max(initial=0) > 127 or not exact:
            raise InputError(f"{self.file}: node {node.name}: expected weights of -127 to 127 times their step")
        inputs = [
            self.constant(f"{node.name}.codes", codes.astype(np.int8)),
            self.constant(f"{node.name}.step", step),
            self.constant(f"{node.name}.zero", np.zeros(step.shape, dtype=np.int8)),
        ]
        attributes = {"axis": axis} if step.ndim else {}
        self.add("DequantizeLinear", f"{node.name}.dequantize", inputs, f"{node.name}.weight", **attributes)
        return f"{node.name}.weight"


def _conv(writer: _Writer, node: graph.Conv) -> None:
    bias = writer.constant(f"{node.name}.bias", node.bias.astype(np.float32))
    inputs = [*node.inputs, writer.weights(node, axis=0), bias]
    writer.add("Conv", node.name, inputs, node.output, group=node.groups, **_window(node.window))


def _dense(writer: _Writer, node: graph.Dense) -> None:
    bias = writer.constant(f"{node.name}.bias", node.bias.astype(np.float32))
    writer.add("Gemm", node.name, [*node.inputs, writer.weights(node, axis=1), bias], node.output)


def _affine(writer: _Writer, node: graph.Affine) -> None:
    """Write a batch normalization of mean 0 and variance 1."""
    parts = {"scale": node.scale, "offset": node.offset, "mean": 0 * node.scale, "variance": 0 * node.scale + 1}
    inputs = [writer.constant(f"{node.name}.{part}", values.astype(np.float32)) for part, values in parts.items()]
    writer.add("BatchNormalization", node.name, [*node.inputs, *inputs], node.output, epsilon=0.0)


def _clip(writer: _Writer, node: graph.Clip) -> None:
    ends = {"low": node.low, "high": node.high}
    inputs = [
        "" if value is None else writer.constant(f"{node.name}.{name}", np.asarray(value, dtype=np.float32))
        for name, value in ends.items()
    ]
    writer.add("Clip", node.name, [*node.inputs, *inputs], node.output)


def _average_pool(writer: _Writer, node: graph.AveragePool) -> None:
    if node.window is None:
        writer.add("GlobalAveragePool", node.name, [*node.inputs], node.output)
    else:
        counted = {"count_include_pad": int(node.count_padding)}
        if node.window.dilation != (1, 1):
            writer.opset = DILATED_OPSET
        if _is_wide(node.window):  # with an operator Pad before it onnxruntime merges the two, and then refuses them
            raise InputError(f"{writer.file}: node {node.name}: a mean with padding as wide as its kernel has no ONNX")
        writer.add("AveragePool", node.name, [*node.inputs], node.output, **counted, **_window(node.window))


def _max_pool(writer: _Writer, node: graph.MaxPool) -> None:
    """Write a pool; padding as wide as its kernel, which it does not take, as an operator of its own."""
    x, window = node.inputs[0], node.window
    if _is_wide(window):
        top, left, bottom, right = window.pad
        pads = writer.constant(f"{node.name}.pads", np.array([0, 0, top, left, 0, 0, bottom, right], dtype=np.int64))
        fill = writer.constant(f"{node.name}.fill", np.asarray(-np.inf, dtype=np.float32))
        writer.add("Pad", f"{node.name}.pad", [x, pads, fill], f"{node.name}.padded")
        x, window = f"{node.name}.padded", replace(window, pad=(0, 0, 0, 0))
    writer.add("MaxPool", node.name, [x], node.output, **_window(window))


def _is_wide(window: Window) -> bool:
    """Whether padding is as wide as the kernel, which ONNX's pools do not take, dilated or not."""
    return any(pad >= taps for pad, taps in zip(window.pad, window.kernel * 2, strict=True))


def _quantize(writer: _Writer, node: graph.Quantize) -> None:
    """Write `QuantizeLinear` and `DequantizeLinear`, for a narrower range with `Clip` between; else QONNX's `Quant`."""
    ranges = {np.int8: (-128, 127), np.uint8: (0, 255)}
    held = [kind for kind, (low, high) in ranges.items() if low <= min(node.low, node.zero_point)]
    kind = next((kind for kind in held if max(node.high, node.zero_point) <= ranges[kind][1]), None)
    if node.rounding != "ROUND" or kind is None:
        _quant(writer, node)
        return
    scale = writer.constant(f"{node.name}.scale", np.asarray(node.scale, dtype=np.float32))
    zero = writer.constant(f"{node.name}.zero", np.asarray(node.zero_point, dtype=kind))
    codes = f"{node.output}.codes"
    writer.add("QuantizeLinear", node.name, [*node.inputs, scale, zero], codes)
    if (node.low, node.high) != ranges[kind]:
        ends = {"low": node.low, "high": node.high}
        bounds = [writer.constant(f"{node.name}.{name}", np.asarray(end, dtype=kind)) for name, end in ends.items()]
        writer.add("Clip", f"{node.name}.clip", [codes, *bounds], f"{node.output}.clipped")
        codes = f"{node.output}.clipped"
    writer.add("DequantizeLinear", f"{node.name}.dequantize", [codes, scale, zero], node.output)


def _quant(writer: _Writer, node: graph.Quantize) -> None:
    """Write QONNX's operator, whose range is that of a width, narrow or not."""
    widths = {
        (limits(bits, signed)[0] + (narrow and signed), limits(bits, signed)[1] - (narrow and not signed)):
            {"signed": int(signed), "narrow": int(narrow), "bits": bits}
        for bits in range(2, 33) for signed in (True, False) for narrow in (True, False)
    }  # fmt: skip
    about, mode = widths.get((node.low, node.high)), QONNX_NAMES.get(node.rounding, node.rounding)
    if about is None:
        raise InputError(
            f"{writer.file}: node {node.name}: expected integers of a width, or of 8 bits with ROUND, "
            f"not {node.low} to {node.high}, {node.rounding}"
        )
    values = {"scale": node.scale, "zero": node.zero_point, "bits": about.pop("bits")}
    inputs = [writer.constant(f"{node.name}.{name}", np.asarray(value, np.float32)) for name, value in values.items()]
    writer.add("Quant", node.name, [*node.inputs, *inputs], node.output, domain=QONNX, rounding_mode=mode, **about)


def _upsample(writer: _Writer, node: graph.Upsample) -> None:
    scales = writer.constant(f"{node.name}.scales", np.array([1, 1, node.factor, node.factor], dtype=np.float32))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    writer.add("Resize", node.name, [*node.inputs, "", scales], node.output, **nearest)


def _interpolate(writer: _Writer, node: graph.Interpolate) -> None:
    """Write a linear `Resize` of the positions that its offsets stand for."""
    modes = {tuple(1 - factor for factor in node.factor): "half_pixel", (0, 0): "asymmetric"}
    if node.offset not in modes:
        raise InputError(f"{writer.file}: node {node.name}: ONNX has no linear resize of offsets {node.offset}")
    scales = writer.constant(f"{node.name}.scales", np.array([1, 1, *node.factor], dtype=np.float32))
    linear = {"mode": "linear", "coordinate_transformation_mode": modes[node.offset]}
    writer.add("Resize", node.name, [*node.inputs, "", scales], node.output, **linear)


def _select(writer: _Writer, node: graph.Select) -> None:
    channels = writer.constant(f"{node.name}.channels", np.array(node.channels, dtype=np.int64))
    writer.add("Gather", node.name, [*node.inputs, channels], node.output, axis=1)


def _depth_to_space(writer: _Writer, node: graph.DepthToSpace) -> None:
    if node.factor[0] != node.factor[1]:
        raise InputError(f"{writer.file}: node {node.name}: ONNX has no DepthToSpace by {node.factor}")
    mode = "CRD" if node.by_channel else "DCR"
    writer.add("DepthToSpace", node.name, [*node.inputs], node.output, blocksize=node.factor[0], mode=mode)


def _crop(writer: _Writer, node: graph.Crop) -> None:
    ends = [first + (size - 1) * step + 1 for first, step, size in zip(node.first, node.step, node.size, strict=True)]
    parts = {"starts": node.first, "ends": ends, "axes": (2, 3), "steps": node.step}
    inputs = [writer.constant(f"{node.name}.{name}", np.array(part, np.int64)) for name, part in parts.items()]
    writer.add("Slice", node.name, [*node.inputs, *inputs], node.output)


def _pad(writer: _Writer, node: graph.Pad) -> None:
    top, left, bottom, right = node.pad
    pads = writer.constant(f"{node.name}.pads", np.array([0, 0, top, left, 0, 0, bottom, right], dtype=np.int64))
    value = writer.constant(f"{node.name}.value", np.asarray(node.value, dtype=np.float32))
    writer.add("Pad", node.name, [*node.inputs, pads, value], node.output)


def _pointwise(writer: _Writer, node: graph.Pointwise) -> None:
    """Write the steps of a function, each an operator."""
    names = [node.inputs[0]]
    for number, step in enumerate(node.formula.steps, 1):
        last = number == len(node.formula.steps)
        output = node.output if last else f"{node.output}.{number}"
        operands = [
            names[item]
            if isinstance(item, int)
            else writer.constant(f"{node.name}.{number}.{place}", np.asarray(item, np.float32))
            for place, item in enumerate(step.operands)
        ]
        attributes = dict(step.attributes)
        if step.operator in NO_EXPORT:
            raise InputError(f"{writer.file}: node {node.name}: {step.operator} cannot be exported in opset {OPSET}")
        if step.operator == "Cast":
            attributes = {"to": TensorProto.FLOAT if attributes["real"] else TensorProto.BOOL}
        writer.add(step.operator, node.name if last else f"{node.name}.{number}", operands, output, **attributes)
        names.append(output)


def _prelu(writer: _Writer, node: graph.PRelu) -> None:
    axes = len(writer.shapes[node.inputs[0]])
    slopes = writer.constant(f"{node.name}.slopes", node.slopes.astype(np.float32).reshape(-1, *(1,) * (axes - 1)))
    writer.add("PRelu", node.name, [*node.inputs, slopes], node.output)


def _plain(operator: str, **attributes: Any) -> Callable[[_Writer, Any], None]:
    """Return what writes a node that is an operator without constants or attributes of its own."""
    return lambda writer, node: writer.add(operator, node.name, [*node.inputs], node.output, **attributes)


def _window(window: Window) -> dict[str, Any]:
    about: dict[str, Any] = {"kernel_shape": window.kernel, "strides": window.stride, "pads": window.pad}
    return about if window.dilation == (1, 1) else about | {"dilations": window.dilation}


def _info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


BUILDERS: dict[type[Node], Callable[[_Writer, Any], None]] = {
    graph.Add: _plain("Add"),
    graph.Gate: _plain("Mul"),
    graph.Affine: _affine,
    graph.AveragePool: _average_pool,
    graph.Clip: _clip,
    graph.Concat: _plain("Concat", axis=1),
    graph.Conv: _conv,
    graph.Crop: _crop,
    graph.Dense: _dense,
    graph.DepthToSpace: _depth_to_space,
    graph.Flatten: _plain("Flatten", axis=1),
    graph.Interpolate: _interpolate,
    graph.LeakyRelu: lambda writer, node: writer.add(
        "LeakyRelu", node.name, [*node.inputs], node.output, alpha=node.slope
    ),
    graph.MaxPool: _max_pool,
    graph.PRelu: _prelu,
    graph.Pad: _pad,
    graph.Pointwise: _pointwise,
    graph.Quantize: _quantize,
    graph.Relu: _plain("Relu"),
    graph.Select: _select,
    graph.Upsample: _upsample,
}
