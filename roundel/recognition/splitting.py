"""A network that ends in its head convolutions, split by kind: at each scale outputs of logits and of boxes."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from roundel.frontend import LoadedModel, prepare
from roundel.recognition.assembly import Channel
from roundel.recognition.recognition import Recognised
from roundel.recognition.tail import HeadMap, NotRecognised, Tail


def split_model(found: Recognised) -> LoadedModel:
    """Return the network up to its head, whose outputs are those of the detector.

    Weights and biases of an output are those of its channels, times their factors.

    Raises
    ------
    NotRecognised
        Head convolutions in groups, with weights that are not constant, or of one output with different inputs.
    """
    tail = found.tail
    model = onnx.ModelProto()
    model.CopyFrom(tail.examination.model)
    taken = _tensors(model.graph)
    for name, channels in found.outputs.items():
        for own in (name, f"{name}_weights", f"{name}_bias"):
            if own in taken:
                raise NotRecognised(f"a tensor of the network is called {own}, as one of the split head would be")
        weights, bias = _weights(tail, name, channels)
        convolution = onnx.NodeProto()
        convolution.CopyFrom(tail.maps[channels[0].place].convolution)
        convolution.name = f"{name}_conv"
        del convolution.input[1:]
        convolution.input.extend([f"{name}_weights", f"{name}_bias"])
        convolution.output[0] = name
        for tensor, values in ((f"{name}_weights", weights), (f"{name}_bias", bias)):
            model.graph.initializer.append(numpy_helper.from_array(values, tensor))
        model.graph.node.append(convolution)
        model.graph.value_info.append(
            helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, (1, len(channels), *tail.maps[channels[0].place].grid)
            )
        )
    return prepare(LoadedModel(model, tail.examination.file, tail.examination.notes), outputs=list(found.outputs))


def _tensors(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors."""
    given = {item.name for item in (*graph.input, *graph.initializer)}
    return given.union(*(node.output for node in graph.node))


def _weights(tail: Tail, name: str, channels: Sequence[Channel]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights and biases of an output."""
    first = tail.maps[channels[0].place].convolution
    for place in {item.place for item in channels}:
        other = tail.maps[place].convolution
        same = [[*sorted(map(str, node.attribute)), node.input[0]] for node in (first, other)]
        if any(item.name == "group" and item.i != 1 for item in other.attribute):
            raise NotRecognised(f"output {name}: {other.name or other.output[0]} is a convolution in groups")
        if same[0] != same[1]:
            raise NotRecognised(f"output {name}: {other.name or other.output[0]} is a convolution of other inputs")
    pairs = {place: _constants(tail, tail.maps[place]) for place in {item.place for item in channels}}
    weights = [pairs[item.place][0][item.channel] * item.factor for item in channels]
    bias = [pairs[item.place][1][item.channel] * item.factor + item.shift for item in channels]
    return np.stack(weights).astype(np.float32), np.array(bias, np.float32)


def _constants(tail: Tail, item: HeadMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and bias of a head convolution."""
    known, names = tail.examination.scope.constants, list(item.convolution.input)
    if names[1] not in known or (len(names) > 2 and names[2] and names[2] not in known):
        raise NotRecognised(f"node {item.convolution.name}: its weights are no constants")
    weights = np.asarray(known[names[1]], np.float64)
    bias = known[names[2]] if len(names) > 2 and names[2] else np.zeros(len(weights))
    return weights, np.asarray(bias, np.float64)
