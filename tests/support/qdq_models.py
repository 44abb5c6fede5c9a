"""QDQ models made by hand, and what onnxruntime computes of them, node by node."""

import numpy as np
import onnx
import onnxruntime


def pair(x, y, scale, zero):
    """QuantizeLinear and DequantizeLinear from tensor `x` to `y`; `scale` and `zero` are names of constants."""
    return [
        ("QuantizeLinear", [x, scale, zero], f"{y}_codes", {}),
        ("DequantizeLinear", [f"{y}_codes", scale, zero], y, {}),
    ]


def weighted(rng, name, x, y, scales, x_scale, shape, **attributes):
    """A convolution or matrix product `name` of int8 weights and int32 bias as onnxruntime writes them.

    Returns (nodes, constants); outputs lie along axis 0 of `shape`, which a Gemm turns.
    """
    scales = np.asarray(scales, np.float32)
    codes = rng.integers(-127, 128, shape).astype(np.int8)
    bias = rng.integers(-20000, 20000, shape[0]).astype(np.int32)
    bias_scale = (np.float32(x_scale) * scales).astype(np.float32)
    axis = {"axis": 0} if scales.ndim else {}
    nodes = [
        ("DequantizeLinear", [f"{name}_w", f"{name}_s"], f"{name}_weight", axis),
        ("DequantizeLinear", [f"{name}_b", f"{name}_t"], f"{name}_bias", axis),
    ]
    if len(shape) == 4:
        nodes.append(("Conv", [x, f"{name}_weight", f"{name}_bias"], y, attributes))
    else:
        nodes.append(("Gemm", [x, f"{name}_weight", f"{name}_bias"], y, {"transB": 1}))
    return nodes, {f"{name}_w": codes, f"{name}_s": scales, f"{name}_b": bias, f"{name}_t": bias_scale}


def every_tensor(path, names, images):
    """What onnxruntime computes of some tensors of a file, operator by operator, by name."""
    proto = onnx.load(path)
    made = {name for node in proto.graph.node for name in node.output}
    wanted = [name for name in names if name in made]
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(wanted, session.run(None, {session.get_inputs()[0].name: images}), strict=True))


def channel_last(values):
    """ONNX's order of axes as the integer network's."""
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def codes_of(values, form):
    """Real numbers that are integers of a format, as those integers."""
    return np.rint(channel_last(values).astype(np.float64) / form.scale).astype(np.int64) + form.zero
