"""The smallest network of the zoo: seeded weights, no download, on RTL in seconds.

It has what larger ones have: a normalization, SiLU, a residual, a Softmax in the middle, which a host computes,
HardSwish, and a Sigmoid at the end.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 1
CHANNELS, CLASSES = 8, 4
OPSET = 14


def tiny() -> bytes:
    """The file of the network, for images of (3, 16, 16)."""
    rng = np.random.default_rng(SEED)
    constants: dict[str, np.ndarray] = {}

    def convolution(name: str, source: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> onnx.NodeProto:
        spread = (2 / (inputs * kernel**2)) ** 0.5
        constants[f"{name}.w"] = rng.normal(0, spread, (outputs, inputs, kernel, kernel))
        constants[f"{name}.b"] = rng.normal(0, 0.1, outputs)
        return helper.make_node(
            "Conv",
            [source, f"{name}.w", f"{name}.b"],
            [name],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    statistics = {"scale": (0.5, 1.5), "offset": (-0.2, 0.2), "mean": (-0.2, 0.2), "variance": (0.5, 2.0)}
    constants |= {name: rng.uniform(*ends, CHANNELS) for name, ends in statistics.items()}
    nodes = [
        convolution("first", "image", 3, CHANNELS, 3),
        helper.make_node("BatchNormalization", ["first", *statistics], ["normal"]),
        helper.make_node("Relu", ["normal"], ["clamped"]),
        convolution("second", "clamped", CHANNELS, CHANNELS, 3, 2),
        helper.make_node("Sigmoid", ["second"], ["gate"]),
        helper.make_node("Mul", ["second", "gate"], ["silu"]),
        convolution("third", "silu", CHANNELS, CHANNELS, 3),
        helper.make_node("Add", ["third", "silu"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["maps"]),
        helper.make_node("Softmax", ["maps"], ["shares"], axis=1),
        convolution("last", "shares", CHANNELS, CLASSES, 1),
        helper.make_node("HardSwish", ["last"], ["hard"]),
        helper.make_node("Sigmoid", ["hard"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES, 8, 8]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, CHANNELS, 8, 8]),
        ],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
