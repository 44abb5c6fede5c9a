"""A small residual network, and what onnxruntime's own quantizer makes of a network."""

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.support.onnx_models import saved

SIZE = 12


class Reader(CalibrationDataReader):
    """Images, one after the other."""

    def __init__(self, source, images):
        self.left = iter([{source: image[None]} for image in images])

    def get_next(self):
        return next(self.left, None)


def quantized(path, target, images, *, form="QDQ", per_channel=False, signed=False):
    """Quantize the file `path` to `target`, and return `target`."""
    source = onnx.load(path).graph.input[0].name
    kind = QuantType.QInt8 if signed else QuantType.QUInt8
    quantize_static(
        path, target, Reader(source, images), quant_format=QuantFormat[form], per_channel=per_channel,
        activation_type=kind, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return target


def residual(folder, seed=0, channels=6):
    """Write a network of two residual blocks, two branches and a mean that are joined, a mean of all and a product."""
    rng, nodes, constants = np.random.default_rng(seed), [], []

    def constant(name, values):
        constants.append(onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def add(kind, inputs, output, **attributes):
        nodes.append(onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(x, y, inputs, outputs, size=3, stride=1, relu=True):
        weights = rng.normal(size=(outputs, inputs, size, size)) * np.sqrt(2 / (inputs * size**2))
        names = [constant(f"{y}_w", weights), constant(f"{y}_b", rng.normal(size=outputs) * 0.1)]
        made = f"{y}_c" if relu else y
        add("Conv", [x, *names], made, strides=[stride] * 2, pads=[size // 2] * 4)
        return add("Relu", [made], y) if relu else y

    c = channels
    first = conv("x", "first", 3, c)
    add("Add", [conv(conv(first, "a1", c, c), "a2", c, c, relu=False), first], "a_sum")
    block = add("Relu", ["a_sum"], "block")
    main = conv(conv(block, "b1", c, 2 * c, stride=2), "b2", 2 * c, 2 * c, relu=False)
    add("Add", [main, conv(block, "side", c, 2 * c, 1, 2, relu=False)], "b_sum")
    last = add("Relu", ["b_sum"], "last")
    mean = add("AveragePool", [last], "mean", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    most = add("MaxPool", [last], "most", kernel_shape=[3, 3], pads=[1] * 4)
    add("Concat", [conv(last, "p", 2 * c, c, 1), mean, most], "joined", axis=1)
    add("Flatten", [add("GlobalAveragePool", [conv("joined", "head", 5 * c, 9)], "all")], "flat")
    weights = [constant("fc_w", rng.normal(size=(7, 9))), constant("fc_b", rng.normal(size=7))]
    add("Gemm", ["flat", *weights], "y", transB=1)
    value, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    ends = [value("x", real, ["n", 3, SIZE, SIZE])], [value("y", real, ["n", 7])]
    graph = onnx.helper.make_graph(nodes, "residual", *ends, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return saved(folder, model)


def residual_files(folder, forms=("QDQ",), **options):
    """The network quantized in each of these forms, and images."""
    images = np.random.default_rng(3).normal(size=(8, 3, SIZE, SIZE)).astype(np.float32)
    path = residual(folder)
    return [quantized(path, folder / f"{form}.onnx", images, form=form, **options) for form in forms], images
