"""The same network in onnxruntime: as it is, and in its own integers of 8 bits."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.utils import Extractor

from roundel.quantization import tensor_sqnr_db
from roundel.ui import seconds

QUANTIZABLE = 13  # the first opset with a scale for each channel
METHODS = ("MinMax", "Entropy", "Percentile")
"""Ways of onnxruntime to choose the range of an activation."""
Arrays = dict[str, NDArray[Any]]


def prepared(file: Path, model_shape: Iterable[int], outputs: Iterable[str]) -> onnx.ModelProto:
    """Return the file's network for one image of a shape, up to other tensors if there are any.

    Parameters
    ----------
    file
        ONNX.
    model_shape
        (channels, rows, columns).
    outputs
        Tensors to end in; none: the file's own.
    """
    model = onnx.load(file)
    constants = {item.name for item in model.graph.initializer}
    for item in [item for item in model.graph.input if item.name in constants]:  # as files of format 3 have them
        model.graph.input.remove(item)
    model.ir_version = max(model.ir_version, 4)
    [source] = model.graph.input
    del source.type.tensor_type.shape.dim[:]
    for size in (1, *model_shape):
        source.type.tensor_type.shape.dim.add().dim_value = size
    for output in model.graph.output:  # declared for other sizes
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    wanted = list(outputs)
    if not wanted:
        return model
    inferred = onnx.shape_inference.infer_shapes(model)
    return Extractor(inferred).extract_model([source.name], wanted)


class Float:
    """A network in onnxruntime, one image at a time.

    Parameters
    ----------
    model
        What `prepared` gave, or the path of a file.
    exact
        Whether to run operators as they stand, none merged: so integers of a quantized network are simulated in
        float and saturate nowhere but where the file says so.
    threads
        That an operator may take.
    """

    def __init__(self, model: onnx.ModelProto | Path, *, exact: bool = False, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        if exact:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        data = str(model) if isinstance(model, Path) else model.SerializeToString()
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.source = self._session.get_inputs()[0].name
        self.names = [item.name for item in self._session.get_outputs()]

    def run(self, images: NDArray[Any]) -> Arrays:
        """Outputs by name for images (count, ...), each stacked along its first axis."""
        rows = [self._session.run(None, {self.source: image[None]}) for image in images]
        return {name: np.concatenate(parts) for name, parts in zip(self.names, zip(*rows, strict=True), strict=True)}

    def seconds(self, image: NDArray[Any]) -> float:
        """Time of an image, the better of three."""
        return seconds(lambda: self._session.run(None, {self.source: image[None]}), repeats=3)


def quantized(
    model: onnx.ModelProto, images: NDArray[Any], folder: Path, *, per_channel: bool, method: str = "MinMax"
) -> Path:
    """Write the network as onnxruntime quantizes it, weights and activations of 8 signed bits, and return its path.

    Parameters
    ----------
    model
        What `prepared` gave.
    images
        To calibrate with.
    folder
        For the file, and others beside it.
    per_channel
        A scale for each channel of weights, or one for a tensor.
    method
        How ranges of activations follow from the images: a name of `METHODS`.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.disable(logging.WARNING)
    plain, ready = folder / "plain.onnx", folder / "ready.onnx"
    target = folder / f"int8_{'channel' if per_channel else 'tensor'}_{method.lower()}.onnx"
    if not ready.is_file():
        version = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
        if version < QUANTIZABLE:
            model = onnx.version_converter.convert_version(model, QUANTIZABLE)
        onnx.save(model, plain)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
    session = Float(model)
    quantize_static(
        ready,
        target,
        _Reader(session.source, images),
        per_channel=per_channel,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[method],
    )
    return target


class _Reader:
    """Gives images one by one, as onnxruntime's calibration asks for them."""

    def __init__(self, source: str, images: NDArray[Any]) -> None:
        self._source, self._left = source, iter(images)

    def get_next(self) -> Mapping[str, NDArray[Any]] | None:
        image = next(self._left, None)
        return None if image is None else {self._source: image[None]}


def ratios(wanted: Arrays, given: Arrays) -> dict[str, float]:
    """SQNR of every output, in dB.

    Raises
    ------
    ValueError
        An output is missing, or has another shape.
    """
    for name, values in wanted.items():
        if name not in given:
            raise ValueError(f"output {name} is missing: {', '.join(given)}")
        if given[name].shape != values.shape:
            raise ValueError(f"output {name}: expected shape {values.shape}, not {given[name].shape}")
    return {name: tensor_sqnr_db(values, given[name]) for name, values in wanted.items()}
