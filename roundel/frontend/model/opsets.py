"""Files of ONNX's opsets 7 to 10, brought to opset 11: attributes that became inputs, and operators that were renamed.

[R] `onnx.version_converter` 1.23 is not used: it makes linear `Upsample` and `Resize` sample other positions without a
word (`half_pixel` for what was `asymmetric`), adds constants that a file of IR version 3 may not have, and works on a
second copy of the whole model. Between these versions nine operators changed, so that the rules are few. From opset 11
on every operator is read in all its versions.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from roundel.frontend.model.loading import ONNX, subgraphs
from roundel.frontend.model.names import NewNames
from roundel.frontend.model.tensors import constant_tensors, tensor_array
from roundel.golden.errors import InputError

OLDEST = 7  # opset: before it, arithmetic on tensors broadcast in another way
NEWER = 11  # the opset that older files become
NAMED_CONSTANTS_IR = 4  # version of the file's format since which constants need not be inputs as well


def modernize(model: onnx.ModelProto, file: str) -> None:
    """Bring a model to opset 11 or newer: it computes the same. Newer ones stay as they are.

    Names of tensors stay, operators are as many as before.

    Parameters
    ----------
    model
        Checked, and without functions; is changed.
    file
        Its name, for messages.

    Raises
    ------
    InputError
        An opset before 7, or an operator that newer versions have no equivalent of.
    """
    opset = opset_of(model)
    if opset >= NEWER:
        return
    if opset < OLDEST:
        raise InputError(f"{file}: expected ONNX opset {OLDEST} or newer, not {opset}: export it again, or convert it")
    _Rewriter(model.graph, file, opset).graph(model.graph)
    model.ir_version = max(model.ir_version, NAMED_CONSTANTS_IR)
    for item in model.opset_import:
        item.version = NEWER if item.domain in ONNX else item.version


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a model names, 0 if none."""
    return next((item.version for item in model.opset_import if item.domain in ONNX), 0)


class _Rewriter:
    """What rewrites operators in place: constants that they need are added to the graph that they stand in."""

    def __init__(self, graph: onnx.GraphProto, file: str, opset: int) -> None:
        self.opset = opset
        self._file, self._names = file, NewNames(graph)
        self._known = constant_tensors(graph)
        self._constants: list[onnx.TensorProto] = []

    def graph(self, graph: onnx.GraphProto) -> None:
        """Rewrite the operators of a graph, and of the graphs in them."""
        outer, self._constants = self._constants, []
        for node in graph.node:
            for inner in subgraphs(node):
                self.graph(inner)
            if node.domain in ONNX and node.op_type in RULES:
                RULES[node.op_type](self, node)
        graph.initializer.extend(self._constants)
        self._constants = outer

    def fail(self, node: onnx.NodeProto, why: str) -> NoReturn:
        """Raise an InputError that names file, node and operator."""
        name = node.name or ", ".join(node.output)
        raise InputError(f"{self._file}: node {name} ({node.op_type}): {why}")

    def values(self, name: str) -> NDArray[Any]:
        """Return a constant of the file; no values if there is none of that name."""
        item = self._known.get(name)
        return np.empty(0) if item is None else tensor_array(f"{self._file}: constant {name}", item)

    def constant(self, node: onnx.NodeProto, part: str, values: NDArray[Any]) -> str:
        """Add a constant that is named for the node's first output; return its name."""
        name = self._names.new(f"{node.output[0]}.{part}")
        self._constants.append(numpy_helper.from_array(values, name))
        self._known[name] = self._constants[-1]
        return name


def _taken(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Remove an attribute from a node and return its value, the default where there is none."""
    for index, item in enumerate(node.attribute):
        if item.name == name:
            value = helper.get_attribute_value(item)
            del node.attribute[index]
            return value
    return default


def _clip(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """Make `min` and `max` inputs; the least and the greatest float32, which were their defaults, mean none."""
    bounds = [_taken(node, name) for name in ("min", "max")]
    names = [
        "" if bound is None else rewriter.constant(node, part, np.asarray(bound, np.float32))
        for part, bound in zip(("min", "max"), bounds, strict=True)
    ]
    node.input.extend(names)
    while len(node.input) > 1 and not node.input[-1]:
        del node.input[-1]


def _pad(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """Make `pads` and `value` inputs."""
    pads, value = _taken(node, "pads", []), _taken(node, "value", 0.0)
    node.input.append(rewriter.constant(node, "pads", np.asarray(pads, np.int64)))
    node.input.append(rewriter.constant(node, "value", np.asarray(value, np.float32)))


def _slice(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """Make `starts`, `ends` and `axes` inputs, as they are in opset 10 already."""
    given = {name: _taken(node, name) for name in ("starts", "ends", "axes")}
    for name, values in given.items():
        if values is not None:
            node.input.append(rewriter.constant(node, name, np.asarray(values, np.int64)))


def _upsample(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """`Upsample` is `Resize`; its scales are an attribute before opset 9."""
    scales = _taken(node, "scales")
    if scales is not None:
        node.input.append(rewriter.constant(node, "scales", np.asarray(scales, np.float32)))
    _resize(rewriter, node)
    node.op_type = "Resize"


def _resize(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """State that result i lies at i / scale, and takes the value before it: newer versions have names for both.

    [S] onnxruntime: along an axis that becomes smaller it takes the value behind it.
    """
    if len(node.input) != 2:
        rewriter.fail(node, f"expected a map and scales, not {len(node.input)} inputs")
    x, scales = node.input
    known = rewriter.values(scales)
    less, more = (known < 1).any(), (known > 1).any()
    if less and more:
        rewriter.fail(node, f"expected scales above 1, or below 1, not {known.tolist()}")
    del node.input[:]
    node.input.extend([x, rewriter.constant(node, "roi", np.empty(0, np.float32)), scales])
    way = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil" if less else "floor"}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in way.items())


def _batch_normalization(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """`spatial` says in opsets 7 and 8 whether there is one factor a channel, or one for each value of an image."""
    if not _taken(node, "spatial", 1):
        rewriter.fail(node, "spatial must be 1, as in all newer versions, not 0")


def _top_k(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """Make `k` an input, as it is in opset 10 already."""
    k = _taken(node, "k")
    if k is not None:
        node.input.append(rewriter.constant(node, "k", np.asarray([k], np.int64)))


def _scatter(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    node.op_type = "ScatterElements"


def _scan(rewriter: _Rewriter, node: onnx.NodeProto) -> None:
    """Opset 8 loops over batches and knows lengths of sequences: no newer version does."""
    if rewriter.opset < 9:
        rewriter.fail(node, "expected the Scan of opset 9 or newer")


RULES: dict[str, Callable[[_Rewriter, onnx.NodeProto], None]] = {
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Pad": _pad,
    "Resize": _resize,
    "Scan": _scan,
    "Scatter": _scatter,
    "Slice": _slice,
    "TopK": _top_k,
    "Upsample": _upsample,
}
