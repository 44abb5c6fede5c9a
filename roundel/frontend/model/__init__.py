"""A model as its file has it: loaded within limits, and brought to one form before any operator is read."""

from roundel.frontend.model.channels_last import FIRST, channels_first, has_channels_last
from roundel.frontend.model.cutting import cut, made_tensors
from roundel.frontend.model.input_sizes import declared_sizes, declared_text, network_input, set_input
from roundel.frontend.model.limits import MOST_IN_ALL, MOST_IN_WINDOWS, MOST_LAYERS, MOST_PADDING, MOST_VALUES, too_many
from roundel.frontend.model.loading import ONNX, LoadedModel, Model, first_line, load_model, owned, subgraphs
from roundel.frontend.model.opsets import opset_of
from roundel.frontend.model.preparation import prepare
from roundel.frontend.model.qoperators import to_qdq
from roundel.frontend.model.tensors import tensor_array

__all__ = [
    "FIRST",
    "MOST_IN_ALL",
    "MOST_IN_WINDOWS",
    "MOST_LAYERS",
    "MOST_PADDING",
    "MOST_VALUES",
    "ONNX",
    "LoadedModel",
    "Model",
    "channels_first",
    "cut",
    "declared_sizes",
    "declared_text",
    "first_line",
    "has_channels_last",
    "load_model",
    "made_tensors",
    "network_input",
    "opset_of",
    "owned",
    "prepare",
    "set_input",
    "subgraphs",
    "tensor_array",
    "to_qdq",
    "too_many",
]
