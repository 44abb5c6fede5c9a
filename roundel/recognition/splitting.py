"""A network that ends in its head convolutions, split by kind: at each scale outputs of logits and of boxes."""

from collections.abc import Sequence
from math import inf, log

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from roundel.detection import Detector
from roundel.frontend import LoadedModel, prepare
from roundel.golden.head import Score
from roundel.recognition.constants import Channel
from roundel.recognition.recognition import Recognised
from roundel.recognition.tail import HeadMap, NotRecognised, Tail

PARTS = ("inputs", "weights", "bias", "uncut", "least")  # tensors of an output beside itself
LEAST_LOGIT, MARGIN = -8.0, 1.0
"""The probability of -8 is 0.0003; with a threshold less than the margin above it nothing is cut."""


def split_model(found: Recognised) -> LoadedModel:
    """Return the network up to its head, whose outputs are those of the detector.

    Weights and biases of an output are those of its channels, times their factors; where these come from convolutions
    of different inputs, the output's reads all of these inputs, with zeros between. Maps that are outputs of the
    network and no part of boxes, such as landmarks, stay beside. Logits that decide by themselves whether there is a
    box are cut at `LEAST_LOGIT`, so that those of the background take no bits from the others.

    Raises
    ------
    NotRecognised
        Head convolutions in groups, with weights that are not constant, or of one output and different kinds.
    """
    tail = found.tail
    model = onnx.ModelProto()
    model.CopyFrom(tail.examination.model)
    taken, cut = _tensors(model.graph), _cut(found.detector)
    for name, channels in found.outputs.items():
        for own in (name, *(f"{name}_{part}" for part in PARTS)):
            if own in taken:
                raise NotRecognised(f"a tensor of the network is called {own}, as one of the split head would be")
        weights, bias, inputs = _weights(tail, name, channels)
        convolution = onnx.NodeProto()
        convolution.CopyFrom(tail.maps[channels[0].place].convolution)
        convolution.name = f"{name}_conv"
        del convolution.input[:]
        convolution.input.extend([_joined(model.graph, name, inputs), f"{name}_weights", f"{name}_bias"])
        convolution.output[0] = f"{name}_uncut" if name in cut else name
        for tensor, values in ((f"{name}_weights", weights), (f"{name}_bias", bias)):
            model.graph.initializer.append(numpy_helper.from_array(values, tensor))
        model.graph.node.append(convolution)
        if name in cut:
            least = numpy_helper.from_array(np.array(LEAST_LOGIT, np.float32), f"{name}_least")
            model.graph.initializer.append(least)
            model.graph.node.append(helper.make_node("Clip", [f"{name}_uncut", least.name], [name], f"{name}_cut"))
        model.graph.value_info.append(
            helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, (1, len(channels), *tail.maps[channels[0].place].grid)
            )
        )
    outputs = [*found.outputs, *_beside(found)]
    return prepare(LoadedModel(model, tail.examination.file, tail.examination.notes), outputs=outputs)


def _cut(detector: Detector) -> set[str]:
    """Return the outputs that are cut: logits, and both factors of products, of which neither may be below either."""
    form, least = detector.form, detector.threshold
    if form.score is Score.SOFTMAX:
        return set()
    if form.score is Score.PRODUCT:
        least = least**2 if form.root else least
        least = log(least / (1 - least)) if 0 < least < 1 else -inf
    names = {name for scale in detector.scales for name in (scale.cls, scale.objectness) if name}
    return names if least > LEAST_LOGIT + MARGIN else set()


def _beside(found: Recognised) -> list[str]:
    """Return the outputs of the network that are maps and no part of boxes: landmarks, or factors of masks."""
    tail = found.tail
    taken = {(item.place, item.channel) for channels in found.outputs.values() for item in channels}
    free = {
        item.tensor
        for place, item in enumerate(tail.maps)
        if taken.isdisjoint((place, channel) for channel in range(item.shape[0]))
    }
    return [item.name for item in tail.examination.model.graph.output if item.name in free]


def _joined(graph: onnx.GraphProto, name: str, inputs: Sequence[str]) -> str:
    """Return the tensor that an output's convolution reads: its input, or several of them one behind the other."""
    if len(inputs) == 1:
        return inputs[0]
    joined = f"{name}_inputs"
    graph.node.append(helper.make_node("Concat", inputs, [joined], name=f"{name}_concat", axis=1))
    return joined


def _tensors(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors."""
    given = {item.name for item in (*graph.input, *graph.initializer)}
    return given.union(*(node.output for node in graph.node))


def _weights(
    tail: Tail, name: str, channels: Sequence[Channel]
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
    """Return weights and biases of an output, and the inputs that its convolution reads, one behind the other."""
    places = sorted({item.place for item in channels})
    first = tail.maps[places[0]].convolution
    for place in places:
        other = tail.maps[place].convolution
        if any(item.name == "group" and item.i != 1 for item in other.attribute):
            raise NotRecognised(f"output {name}: {other.name or other.output[0]} is a convolution in groups")
        if sorted(map(str, first.attribute)) != sorted(map(str, other.attribute)):
            raise NotRecognised(f"output {name}: {other.name or other.output[0]} is a convolution of another kind")
    pairs = {place: _constants(tail, tail.maps[place]) for place in places}
    depths = {tail.maps[place].convolution.input[0]: pairs[place][0].shape[1] for place in places}
    starts = dict(zip(depths, np.cumsum([0, *depths.values()]).tolist(), strict=False))
    weights = np.zeros((len(channels), sum(depths.values()), *pairs[places[0]][0].shape[2:]))
    bias = np.zeros(len(channels))
    for row, item in enumerate(channels):
        source = tail.maps[item.place].convolution.input[0]
        own, constant = pairs[item.place]
        weights[row, starts[source] : starts[source] + depths[source]] = own[item.channel] * item.factor
        bias[row] = constant[item.channel] * item.factor + item.shift
    return weights.astype(np.float32), bias.astype(np.float32), list(depths)


def _constants(tail: Tail, item: HeadMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and bias of a head convolution."""
    known, names = tail.examination.scope.constants, list(item.convolution.input)
    if names[1] not in known or (len(names) > 2 and names[2] and names[2] not in known):
        raise NotRecognised(f"node {item.convolution.name}: its weights are no constants")
    weights = np.asarray(known[names[1]], np.float64)
    bias = known[names[2]] if len(names) > 2 and names[2] else np.zeros(len(weights))
    return weights, np.asarray(bias, np.float64)
