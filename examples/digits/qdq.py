"""Quantize `digits.onnx` with onnxruntime: `python examples/digits/qdq.py` writes digits_qdq.onnx.

8 bits, a step for each channel of weights, scales and zero points by the range on `calibration.npz`: what any user of
onnxruntime gets. `roundel advise` says what its scales cost as powers of two.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from roundel.data import DIGITS


class Digits(CalibrationDataReader):
    """The calibration images, one batch."""

    def __init__(self, name: str, images: np.ndarray[Any, Any]) -> None:
        self.left = [{name: images.astype(np.float32)}]

    def get_next(self) -> dict[str, Any] | None:
        return self.left.pop() if self.left else None


def main(target: Path = DIGITS / "digits_qdq.onnx") -> None:
    with np.load(DIGITS / "calibration.npz") as archive:
        images = archive["images"]
    with TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"  # batch normalization in the weights, as onnxruntime recommends
        quant_pre_process(DIGITS / "digits.onnx", folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            target,
            Digits("image", images),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


if __name__ == "__main__":
    main()
