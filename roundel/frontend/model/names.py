"""Names of tensors: which a model has, and further ones that it does not have."""

import onnx

from roundel.frontend.model.loading import subgraphs


def tensor_names(graph: onnx.GraphProto) -> set[str]:
    """Return all names of tensors in a graph and in the graphs of its operators."""
    names = {item.name for item in (*graph.input, *graph.initializer)}
    for node in graph.node:
        names.update(node.input, node.output, *(tensor_names(inner) for inner in subgraphs(node)))
    return names


class NewNames:
    """Names that no tensor of a graph has, each given once."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken = tensor_names(graph)

    def new(self, wanted: str) -> str:
        """Return `wanted`, with as many `_` behind it as make it a name that nothing has."""
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted
