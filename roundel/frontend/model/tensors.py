"""Constants of an ONNX file as arrays: nothing is taken from a tensor whose data does not fill its shape."""

from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from roundel.golden.errors import InputError

BITS = {"FLOAT4E2M1": 4, "INT2": 2, "INT4": 4, "UINT2": 2, "UINT4": 4}  # types of which a byte holds several values
FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def constant_tensors(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the initializers of a graph, and the values of its operators `Constant`, by name."""
    made = {
        node.output[0]: item.t
        for node in graph.node
        for item in node.attribute
        if (node.op_type, item.name) == ("Constant", "value")
    }
    return {item.name: item for item in graph.initializer} | made


def tensor_array(where: str, tensor: onnx.TensorProto) -> NDArray[Any]:
    """Return the values of a tensor.

    Parameters
    ----------
    where
        File and name, for messages.
    tensor
        An initializer, or the value of a Constant.

    Raises
    ------
    InputError
        A type that ONNX does not have, sizes below 0, or data that is more or less than the shape says.
    """
    if tensor.data_type not in onnx.TensorProto.DataType.values() or tensor.data_type == onnx.TensorProto.UNDEFINED:
        raise InputError(f"{where}: expected a type of ONNX, not data_type {tensor.data_type}")
    kind, shape = onnx.TensorProto.DataType.Name(tensor.data_type), tuple(tensor.dims)
    if min(shape, default=0) < 0:
        raise InputError(f"{where}: expected sizes of at least 0, not {shape}")
    count = prod(shape)
    if tensor.HasField("raw_data"):
        given, needed, unit = len(tensor.raw_data), _bytes(tensor.data_type, kind, count), "bytes"
    else:
        given, needed, unit = sum(len(getattr(tensor, field)) for field in FIELDS), _entries(kind, count), "entries"
    if given != needed:
        raise InputError(f"{where}: expected {needed} {unit} of {kind} for shape {shape}, not {given}")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # fields of the wrong type, texts that are no UTF-8
        raise InputError(f"{where}: cannot be read: {error}") from error


def _bytes(data_type: int, kind: str, count: int) -> int:
    """Return how many bytes of raw data hold `count` values."""
    if kind in BITS:
        return -(-count * BITS[kind] // 8)
    return count * int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize)


def _entries(kind: str, count: int) -> int:
    """Return how many entries of the fields for single types hold `count` values."""
    if kind in BITS:
        return -(-count * BITS[kind] // 8)
    return 2 * count if kind.startswith("COMPLEX") else count
