"""The detector as a table of layers, from which both the torch module and the ONNX file are made. Needs torch, onnx.

[R] Backbone of strided convolutions with one depthwise-separable and one residual block; two scales joined by an
upsampling neck; at each scale an anchor-free head: `cls`, the logits of 10 classes, and `box`, the distances from the
centre of a location to the left, top, right and bottom side of its object in strides of its scale. No exponential.
"""

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

CLASSES = 10
SIZE = 96
STRIDES = (8, 16)  # of the scales, in the order of the outputs
OUTPUTS = ("cls8", "box8", "cls16", "box16")
PIXEL = 256  # images are whole numbers up to 255; training sees them divided by this, exactly


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A row of the table: a convolution (and all of its module), or `Upsample` or `Concat` where `kind` says so.

    Parameters
    ----------
    name
        Its own and that of the tensor it makes.
    inputs
        The tensors it reads.
    channels
        Of its result; upsampling and concatenation have what they read.
    kernel, stride
        Of the window, padded so that stride 1 keeps the size.
    depthwise
        Every channel by itself.
    residual
        A tensor added before the activation.
    linear
        No batch normalization and no ReLU.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int = 0
    kernel: int = 3
    stride: int = 1
    depthwise: bool = False
    residual: str | None = None
    linear: bool = False
    kind: str = "Conv"


LAYERS = (
    Layer(name="conv1", inputs=("image",), channels=8, stride=2),
    Layer(name="conv2", inputs=("conv1",), channels=24, stride=2),
    Layer(name="depthwise3", inputs=("conv2",), channels=24, depthwise=True),
    Layer(name="pointwise3", inputs=("depthwise3",), channels=24, kernel=1),
    Layer(name="conv4", inputs=("pointwise3",), channels=40, stride=2),
    Layer(name="squeeze5", inputs=("conv4",), channels=24, kernel=1),
    Layer(name="expand5", inputs=("squeeze5",), channels=40, residual="conv4"),
    Layer(name="conv6", inputs=("expand5",), channels=48, stride=2),
    Layer(name="depthwise7", inputs=("conv6",), channels=48, depthwise=True),
    Layer(name="pointwise7", inputs=("depthwise7",), channels=64, kernel=1),
    Layer(name="lateral", inputs=("pointwise7",), channels=32, kernel=1),
    Layer(name="upsample", inputs=("lateral",), kind="Upsample"),
    Layer(name="concat", inputs=("expand5", "upsample"), kind="Concat"),
    Layer(name="merge8", inputs=("concat",), channels=40, kernel=1),
    Layer(name="depthwise8", inputs=("merge8",), channels=40, depthwise=True),
    Layer(name="pointwise8", inputs=("depthwise8",), channels=48, kernel=1),
    Layer(name="cls8", inputs=("pointwise8",), channels=CLASSES, kernel=1, linear=True),
    Layer(name="box8", inputs=("pointwise8",), channels=4, kernel=1, linear=True),
    Layer(name="cls16", inputs=("pointwise7",), channels=CLASSES, kernel=1, linear=True),
    Layer(name="box16", inputs=("pointwise7",), channels=4, kernel=1, linear=True),
)


class Detector(nn.Module):
    """The table as a torch module, with batch normalization behind every convolution that is not linear."""

    def __init__(self) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        channels = {"image": 1}
        for layer in LAYERS:
            read = sum(channels[name] for name in layer.inputs)
            channels[layer.name] = layer.channels or read
            if layer.kind != "Conv":
                continue
            groups, pad = (read if layer.depthwise else 1), layer.kernel // 2
            conv = nn.Conv2d(read, layer.channels, layer.kernel, layer.stride, pad, groups=groups, bias=layer.linear)
            self.convs[layer.name] = conv
            if not layer.linear:
                self.norms[layer.name] = nn.BatchNorm2d(layer.channels)
        for name in OUTPUTS:  # start from rare objects, and boxes of two strides
            nn.init.normal_(self.convs[name].weight, std=0.01)
            nn.init.constant_(self.convs[name].bias, -4.0 if name.startswith("cls") else 1.0)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The tensors of `OUTPUTS` for images (batch, 1, 96, 96) of 0 to 255 / 256; distances not below 0."""
        values = {"image": images}
        for layer in LAYERS:
            x = [values[name] for name in layer.inputs]
            if layer.kind == "Upsample":
                y = x[0].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            elif layer.kind == "Concat":
                y = torch.cat(x, dim=1)
            else:
                y = self.convs[layer.name](x[0])
                y = y if layer.linear else self.norms[layer.name](y)
                y = y if layer.residual is None else y + values[layer.residual]
                y = y if layer.name.startswith("cls") else torch.relu(y)
            values[layer.name] = y
        return tuple(values[name] for name in OUTPUTS)


def macs() -> int:
    """Multiplications of one image, padding counted."""
    size, channels, total = {"image": SIZE}, {"image": 1}, 0
    for layer in LAYERS:
        source = layer.inputs[0]
        read = sum(channels[name] for name in layer.inputs)
        channels[layer.name] = layer.channels or read
        size[layer.name] = size[source] * 2 if layer.kind == "Upsample" else size[source] // layer.stride
        taps = layer.kernel**2 * (1 if layer.depthwise else read)
        total += size[layer.name] ** 2 * layer.channels * taps
    return total


def folded(model: Detector, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution with its batch normalization in them."""
    conv = model.convs[name]
    weights = conv.weight.detach().double()
    if name not in model.norms:
        return weights.numpy(), conv.bias.detach().double().numpy()
    norm = model.norms[name]
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.detach().double() - norm.running_mean.double() * scale
    return (weights * scale[:, None, None, None]).numpy(), bias.numpy()


def to_onnx(model: Detector) -> onnx.ModelProto:
    """The network with batch normalization folded, for images of whole numbers 0 to 255."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}

    def add(operator: str, inputs: tuple[str, ...], name: str, output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    for layer in LAYERS:
        name = layer.name
        if layer.kind == "Upsample":
            constants["scales"] = np.array([1, 1, 2, 2], np.float32)
            asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            add("Resize", (*layer.inputs, "", "scales"), name, name, mode="nearest", **asymmetric)
        elif layer.kind == "Concat":
            add("Concat", layer.inputs, name, name, axis=1)
        else:
            weights, bias = folded(model, name)
            weights = weights / PIXEL if layer.inputs == ("image",) else weights
            constants |= {f"{name}_weights": weights.astype(np.float32), f"{name}_bias": bias.astype(np.float32)}
            window = {
                "kernel_shape": [layer.kernel] * 2,
                "strides": [layer.stride] * 2,
                "pads": [layer.kernel // 2] * 4,
            }
            groups = len(weights) if layer.depthwise else 1
            last = name.startswith("cls")
            read = (*layer.inputs, f"{name}_weights", f"{name}_bias")
            y = add("Conv", read, name, name if last else f"{name}_conv", group=groups, **window)
            if layer.residual is not None:
                y = add("Add", (y, layer.residual), f"{name}_add", f"{name}_sum")
            if not last:
                add("Relu", (y,), f"{name}_relu", name)
    return _model(nodes, constants)


def _model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    shapes = {name: CLASSES if name.startswith("cls") else 4 for name in OUTPUTS}
    cells = {name: SIZE // int(name[3:]) for name in OUTPUTS}
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", shapes[name], cells[name], cells[name]])
            for name in OUTPUTS
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="roundel-detector")
    result.ir_version = 8  # readable by every onnxruntime since 1.12
    onnx.checker.check_model(result, full_check=True)
    return result
