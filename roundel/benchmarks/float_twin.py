"""The float network of an integer network's shapes, as an ONNX file: its results mean nothing, its speed does."""

from typing import Any

import numpy as np

from roundel.golden.network import AveragePool, Concat, Flatten, Layer, MaxPool, Network, Upsample, Weighted, Window

OPSET, IR = 13, 8


class _Nodes:
    """Nodes and constants of the file."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any) -> str:
        """Add a constant, float32, and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return the name of its result."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weighted(self, layer: Weighted) -> None:
        """Convolution or matrix product, residual and, of results that are never negative, ReLU."""
        steps = ["product", *(["sum"] if layer.residual else []), *([] if layer.output.signed else ["relu"])]
        names = [*(f"{layer.name}.{step}" for step in steps[:-1]), layer.name]
        scale, bias = 2.0**-layer.weight_fractions, self.constant(layer.bias * 2.0**-layer.b.fraction)
        if layer.window is None:
            self.add("Gemm", [layer.sources[0], self.constant(layer.weights * scale), bias], names[0])
        else:
            rows, columns = layer.window.kernel
            held = (layer.weights * scale).reshape(rows, columns, -1, len(layer.bias)).transpose(3, 2, 0, 1)
            about = _attributes(layer.window) | {"group": layer.groups, "dilations": list(layer.window.dilation)}
            self.add("Conv", [layer.sources[0], self.constant(held), bias], names[0], **about)
        for before, name, step in zip(names, names[1:], steps[1:], strict=False):
            second = {"sum": [layer.sources[-1]], "relu": []}[step]
            self.add({"sum": "Add", "relu": "Relu"}[step], [before, *second], name)

    def other(self, layer: Layer) -> None:
        """Any other layer."""
        sources = list(layer.sources)
        match layer:
            case MaxPool():
                self.add("MaxPool", sources, layer.name, **_attributes(layer.window))
            case AveragePool():
                about = _attributes(layer.window) | {"count_include_pad": int(layer.count_padding)}
                self.add("AveragePool", sources, layer.name, **about)
            case Upsample():
                sizes = self.constant([1, 1, layer.factor, layer.factor])
                how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
                self.add("Resize", [*sources, "", sizes], layer.name, **how)
            case Concat():
                self.add("Concat", sources, layer.name, axis=1)
            case Flatten():
                self.add("Flatten", sources, layer.name)
            case _:
                raise TypeError(f"{layer.name}: there is no float twin of {type(layer).__name__}")


def float_twin(network: Network, shape: tuple[int, int, int]) -> bytes:
    """Return the file; its input is (1, channels, rows, columns).

    Parameters
    ----------
    network
        Of layers that `roundel.benchmarks.shapes.Builder` makes.
    shape
        (rows, columns, channels) of an image.
    """
    from onnx import TensorProto, helper

    made = _Nodes()
    for layer in network.layers:
        made.weighted(layer) if isinstance(layer, Weighted) else made.other(layer)
    rows, columns, channels = shape
    source = helper.make_tensor_value_info(network.source, TensorProto.FLOAT, [1, channels, rows, columns])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in network.output_names]
    graph = helper.make_graph(made.nodes, "twin", [source], results, made.constants)
    opsets = [helper.make_opsetid("", OPSET)]
    file: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR).SerializeToString()
    return file


def _attributes(window: Window) -> dict[str, Any]:
    return {"kernel_shape": list(window.kernel), "strides": list(window.stride), "pads": list(window.pad)}
