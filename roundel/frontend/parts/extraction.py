"""A part of a network as an ONNX model of its own."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend.model import MOST_VALUES
from roundel.frontend.operators import BATCH
from roundel.frontend.parts.division import NetworkPart
from roundel.frontend.parts.examination import Examination, Verdict, outer_reads
from roundel.frontend.parts.host_model import has_loops
from roundel.frontend.parts.sizes import Sizes
from roundel.golden.errors import InputError


def extract(examination: Examination, part: NetworkPart) -> onnx.ModelProto:
    """Take a part out of its network.

    Parameters
    ----------
    examination, part
        The network, and what to take out of it.

    Returns
    -------
    onnx.ModelProto
        A model of the part's inputs and outputs, for the file's batch or else for one image. Weights, and constants
        that are worked out from weights alone, are as in the file; those that come from shapes are numbers.

    Raises
    ------
    InputError
        A host's part that may run for any time, or whose tensors are too large.
    """
    if not part.engine:
        _check_bounded(examination, part)
    constants = _Constants(examination)
    aliases = examination.scope.aliases
    nodes: list[onnx.NodeProto] = []
    for item in part.verdicts:
        nodes += constants.needed(item.proto)
        names = dict.fromkeys(outer_reads(item.proto))
        inner = [name for name in names if name in aliases and name not in item.proto.input]
        nodes += [helper.make_node("Identity", [aliases[name]], [name]) for name in inner]
        nodes.append(_renamed(item.proto, aliases))
    nodes += [helper.make_node("Identity", [aliases[name]], [name]) for name in part.outputs if name in aliases]
    graph = helper.make_graph(
        nodes,
        "part",
        [_value(examination, name) for name in part.inputs],
        [_value(examination, name) for name in part.outputs],
        list(constants.initializers.values()),
    )
    model = examination.model
    return helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version, producer_name="roundel"
    )


class _Constants:
    """The constants that a part needs: tensors of the file, operators that make some of them, and worked out sizes."""

    def __init__(self, examination: Examination) -> None:
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._examination = examination
        self._file = {item.name: item for item in examination.model.graph.initializer}
        self._makers = {name: item for item in examination.verdicts if item.constant for name in item.makes}
        self._made: set[str] = set()
        self._sizes: set[str] = set()  # that come from shapes of what depends on the image
        for item in examination.verdicts:
            if item.constant and (item.reads or not self._sizes.isdisjoint(item.proto.input)):
                self._sizes.update(item.makes)

    def needed(self, proto: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Give the operators that make the constants that a node reads, those of other nodes not again."""
        stack = [(proto, iter(list(outer_reads(proto))))]
        while stack:  # chains of constants may be long
            node, names = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                if stack:
                    yield node
            elif maker := self._maker(name):
                self._made.update(maker.makes)
                stack.append((maker.proto, iter(list(outer_reads(maker.proto)))))

    def _maker(self, name: str) -> Verdict | None:
        """Return what makes a constant, if that has to be copied; other constants become tensors of the part."""
        scope = self._examination.scope
        if name in self._file:
            self.initializers[name] = self._file[name]
        elif name in self._sizes and name in scope.constants:
            values = scope.constants[name]
            if name in scope.batched:
                values = np.where(values == BATCH, scope.batch or 1, values).astype(values.dtype)
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        elif name in self._makers and name not in self._made:
            if name not in scope.constants:  # those that the import worked out are within its limits
                _check_size(self._examination, self._makers[name])
            return self._makers[name]
        return None


def _check_bounded(examination: Examination, part: NetworkPart) -> None:
    """Raise InputError for a host's part that nobody can tell the time or the memory of."""
    for item in part.verdicts:
        if has_loops([item.proto]):
            where = f"{examination.file}: node {item.name} ({item.operator})"
            raise InputError(f"{where}: the host runs no loops: end the network before it (--outputs)")
        _check_size(examination, item)


def _check_size(examination: Examination, item: Verdict) -> None:
    """Raise InputError for a result of more values than any is allowed to have."""
    for name in item.makes:
        size = _count(examination.shape(name))
        if size > MOST_VALUES:
            where = f"{examination.file}: node {item.name} ({item.operator})"
            raise InputError(f"{where}: expected at most {MOST_VALUES} values an image, not {size}")


def _count(shape: Sizes | None) -> int:
    count = 1
    for size in shape or (0,):
        count *= size or 0
    return count


def _renamed(proto: onnx.NodeProto, aliases: Mapping[str, str]) -> onnx.NodeProto:
    """Return a node that reads every tensor by its first name."""
    node = onnx.NodeProto()
    node.CopyFrom(proto)
    for place, name in enumerate(proto.input):
        node.input[place] = aliases.get(name, name)
    return node


def _value(examination: Examination, name: str) -> onnx.ValueInfoProto:
    """Describe an input or output of a part as far as it is known."""
    scope = examination.scope
    first = scope.aliases.get(name, name)
    if first in scope.shapes:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, (scope.batch or 1, *scope.shapes[first]))
    kind, sizes = examination.types.get(first, TensorProto.FLOAT), examination.sizes.get(first)
    return helper.make_tensor_value_info(name, kind, sizes)
