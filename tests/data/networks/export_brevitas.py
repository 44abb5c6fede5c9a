"""Writes the files brevitas_*.onnx beside it, and what brevitas itself computes: networks trained for few bits.

`python tests/data/networks/export_brevitas.py [FOLDER]` needs torch and brevitas; the tests only read the files.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int16Bias,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)
from torch import Tensor, nn

SHAPE = (3, 8, 8)
KINDS = {
    "shift": (Int8WeightPerTensorFixedPoint, Int8ActPerTensorFixedPoint, Uint8ActPerTensorFixedPoint, Int16Bias),
    "scale": (Int8WeightPerChannelFloat, Int8ActPerTensorFloat, Uint8ActPerTensorFloat, Int32Bias),
}  # scales that are powers of two, and any with one for each output
DIALECTS = {"qonnx": export_qonnx, "qdq": export_onnx_qcdq}


class FewBits(nn.Module):
    """Weights and activations of 4 bits: a convolution, a depthwise one, a matrix product."""

    def __init__(self, weight: Any, signed: Any, unsigned: Any, bias: Any) -> None:
        super().__init__()
        common = {"weight_quant": weight, "weight_bit_width": 4, "return_quant_tensor": True}
        relu = {"act_quant": unsigned, "bit_width": 4, "return_quant_tensor": True}
        self.body = nn.Sequential(
            qnn.QuantIdentity(act_quant=signed, return_quant_tensor=True),
            qnn.QuantConv2d(3, 8, 3, padding=1, bias=True, bias_quant=bias, **common),
            qnn.QuantReLU(**relu),
            nn.MaxPool2d(2),
            qnn.QuantConv2d(8, 8, 3, padding=1, groups=8, bias=False, **common),
            qnn.QuantReLU(**relu),
        )
        self.head = qnn.QuantLinear(128, 10, bias=True, bias_quant=bias, weight_quant=weight, weight_bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


def export(folder: Path) -> None:
    """Every kind of scale in every dialect, and the results of brevitas on the images beside them."""
    torch.manual_seed(1)
    results = {"images": torch.randn(8, *SHAPE)}
    for kind, quantizers in KINDS.items():
        network = FewBits(*quantizers).train()
        for _ in range(4):
            network(torch.randn(8, *SHAPE))  # scales of activations come from what passes
        with torch.no_grad():
            results[kind] = network.eval()(results["images"])
        for dialect, write in DIALECTS.items():
            path = folder / f"brevitas_{kind}_{dialect}.onnx"
            write(network, args=torch.zeros(1, *SHAPE), export_path=str(path), opset_version=13, dynamo=False)
    np.savez_compressed(folder / "brevitas.npz", **{name: values.numpy() for name, values in results.items()})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    export(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
