"""A part of a network that a host computes, through onnxruntime, or without it through ONNX's own reference."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel.frontend.model import first_line, subgraphs
from roundel.golden.errors import InputError

WRONG = "Pad_Fusion"  # of onnxruntime: it makes a border of zeros before a MaxPool padding, which is less than all
QUIET = 4  # errors of onnxruntime are raised, too
SLOW = "the host's part runs in ONNX's reference, slowly: pip install 'roundel[host]' brings onnxruntime"

MOVES = frozenset(
    ("Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
)
"""Operators that only move values: NumPy does them as fast as anything."""
ENDLESS = ("Loop", "Scan", "SequenceMap")
"""Operators that may run for any time."""

Tensors = dict[str, NDArray[Any]]


class HostModel:
    """An ONNX model that runs on the host.

    Parameters
    ----------
    data
        The model's bytes.
    file
        Name of its file, for messages.

    Raises
    ------
    InputError
        No ONNX model, or one that neither onnxruntime nor ONNX's reference can run: one line.
    """

    def __init__(self, data: bytes, file: str) -> None:
        self.file = file
        try:
            proto = onnx.load_model_from_string(data)
        except Exception as error:  # kinds of protobuf's own
            raise InputError(f"{file}: not a valid ONNX model: {first_line(error)}") from None
        if has_loops([*proto.graph.node, *(node for function in proto.functions for node in function.node)]):
            raise InputError(f"{file}: the host runs no loops ({', '.join(ENDLESS)})")
        self.inputs = tuple(item.name for item in proto.graph.input)
        self.outputs = tuple(item.name for item in proto.graph.output)
        self._types = {item.name: item.type.tensor_type.elem_type for item in proto.graph.input}
        self._session = _session(proto, file)

    def run(self, tensors: Mapping[str, NDArray[Any]]) -> Tensors:
        """Compute the outputs, by name, of inputs by name; InputError where the model does not take them."""
        given = {name: tensors[name].astype(self._type(name), copy=False) for name in self.inputs}
        try:
            with np.errstate(all="ignore"):
                values = self._session.run(list(self.outputs), given)
        except Exception as error:  # onnxruntime and the reference raise whatever they like
            raise InputError(f"{self.file}: the host cannot run it: {_told(error)}") from None
        return {name: np.asarray(value) for name, value in zip(self.outputs, values, strict=True)}

    def _type(self, name: str) -> Any:
        return onnx.helper.tensor_dtype_to_np_dtype(self._types[name])


def has_loops(nodes: Iterable[onnx.NodeProto]) -> bool:
    """Whether operators, or those of their branches, may run for any time."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.op_type in ENDLESS:
            return True
        stack += [inner for graph in subgraphs(node) for inner in graph.node]
    return False


def host_note(kinds: Collection[str]) -> str | None:
    """Return what to know about the host here: that onnxruntime is missing; None if it is there, or no matter.

    Parameters
    ----------
    kinds
        Operators that the host computes.
    """
    if MOVES.issuperset(kinds):
        return None
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return SLOW
    return None


def _session(proto: onnx.ModelProto, file: str) -> Any:
    """Return what runs a model, by names and arrays."""
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None
    try:
        if onnxruntime is None:
            from onnx.reference import ReferenceEvaluator

            return ReferenceEvaluator(proto)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = QUIET
        data, places = proto.SerializeToString(), ["CPUExecutionProvider"]
        return onnxruntime.InferenceSession(data, options, places, disabled_optimizers=[WRONG])
    except Exception as error:  # kinds of their own: operators, versions and types that they do not have
        missing = "" if onnxruntime is not None else "; pip install 'roundel[host]' brings onnxruntime"
        raise InputError(f"{file}: the host cannot run it: {_told(error)}{missing}") from None


def _told(error: Exception) -> str:
    """Return what onnxruntime says, without its own name, codes and the rest of several lines."""
    return first_line(error).rpartition("[ONNXRuntimeError] : ")[2][:300]
