"""Writes the ONNX files beside it: small networks with random weights, by both exporters of torch and a quantizer.

`python tests/data/networks/export.py [FOLDER]` needs torch, onnxscript and onnxruntime; the tests only read the files.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor, nn
from torch.nn import functional

SHAPE = (3, 32, 32)


class Block(nn.Module):
    """Two convolutions around which the input goes, shrunk if they shrink."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        shrink = nn.Sequential(nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.around = nn.Identity() if (channels, stride) == (outputs, 1) else shrink

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.around(x))


class Residual(nn.Module):
    """As ResNet, flattened by `view`, which computes a shape; probabilities at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1)
        return torch.softmax(self.head(x.view(x.size(0), -1)), 1)


class Separable(nn.Module):
    """As MobileNet: depthwise and pointwise convolutions with ReLU6, an inverted residual, dropout."""

    def __init__(self) -> None:
        super().__init__()

        def step(channels: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
            conv = nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())

        self.stem = step(3, 8, 3, 2)
        self.first = nn.Sequential(step(8, 8, 3, 1, 8), nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12))
        self.second = nn.Sequential(
            step(12, 48), step(48, 48, 3, 1, 48), nn.Conv2d(48, 12, 1, bias=False), nn.BatchNorm2d(12)
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.stem(x))
        x = functional.avg_pool2d(x + self.second(x), 2, ceil_mode=True)
        return self.head(x.mean([2, 3]))


class TwoScales(nn.Module):
    """As the small YOLO: the coarse map is enlarged to the size of the fine one and joined with it; raw boxes."""

    def __init__(self) -> None:
        super().__init__()

        def step(channels: int, outputs: int, kernel: int = 3) -> nn.Sequential:
            conv = nn.Conv2d(channels, outputs, kernel, 1, kernel // 2, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.125))

        self.fine = nn.Sequential(step(3, 8), nn.MaxPool2d(2), step(8, 16), nn.MaxPool2d(2))
        self.coarse = nn.Sequential(nn.MaxPool2d(2), step(16, 24))
        self.middle = step(24, 12, 1)
        self.heads = nn.ModuleList([nn.Conv2d(24, 18, 1), nn.Conv2d(28, 18, 1)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        enlarged = functional.interpolate(self.middle(coarse), size=fine.shape[2:])
        both = torch.cat([enlarged, fine], 1) + torch.cat(
            [functional.interpolate(self.middle(coarse), scale_factor=2), fine], 1
        )
        return self.heads[0](coarse), torch.sigmoid(self.heads[1](both))


NETWORKS = {"residual": Residual, "separable": Separable, "two_scales": TwoScales}


def random_network(name: str) -> nn.Module:
    """A network with random weights, and random statistics in its batch normalizations."""
    torch.manual_seed(1)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def export(name: str, folder: Path) -> None:
    """By both exporters, for any batch. The older one leaves BatchNormalization and shapes of one network alone."""
    network, image = random_network(name), torch.zeros(2, *SHAPE)
    plain = name == "residual"
    torch.onnx.export(
        network,
        (image,),
        folder / f"{name}_script.onnx",
        dynamo=False,
        opset_version=13,
        input_names=["image"],
        dynamic_axes={"image": {0: "batch"}},
        training=torch.onnx.TrainingMode.PRESERVE if plain else torch.onnx.TrainingMode.EVAL,
        do_constant_folding=not plain,
    )
    shapes = {"x": {0: torch.export.Dim("batch")}}
    program = torch.onnx.export(network, (image,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    onnx.save(without_traces(program.model_proto), folder / f"{name}_dynamo.onnx")


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the lines of source code, and the folders of the machine, that the newer exporter writes down."""
    for item in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        model.graph,
        model,
    ):
        item.ClearField("metadata_props")
    return model


class Images(CalibrationDataReader):
    """Random images to calibrate with."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.left = [{"image": rng.normal(size=(1, *SHAPE)).astype(np.float32)} for _ in range(8)]

    def get_next(self) -> dict[str, Any] | None:
        return self.left.pop() if self.left else None


def quantize(name: str, folder: Path, **options: Any) -> None:
    """As onnxruntime writes it: QuantizeLinear and DequantizeLinear around every tensor."""
    source = folder / f"{name}_script.onnx"
    quantize_static(source, folder / f"{name}_qdq.onnx", Images(), **options)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for one in NETWORKS:
        export(one, target)
    quantize("separable", target, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, per_channel=True)
    quantize("two_scales", target, activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8)
