"""ONNX models made by hand for tests, and what onnxruntime computes of them."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from roundel.frontend import read_onnx

OLDEST, NEWEST = 7, 26  # NEWEST is the newest that both onnx and onnxruntime know


def model(nodes, shape, weights=None, outputs=("y",), batch="batch", kind=TensorProto.FLOAT, opset=17, domains=()):
    """An ONNX model of input `x` (batch, *shape) from (operator, inputs, output, attributes) rows.

    An operator may be written `domain:Operator`; `domains` are those that the model names beside ONNX's own.
    """
    protos = []
    for operator, inputs, output, attributes in nodes:
        domain, _, kind_of_node = operator.rpartition(":")
        name = f"{kind_of_node.lower()}_{output}"
        protos.append(helper.make_node(kind_of_node, inputs, [output], name=name, domain=domain, **attributes))
    x = helper.make_tensor_value_info("x", kind, [batch, *shape])
    results = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(protos, "g", [x], results, initializers)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 20 else 11)
    inferred = onnx.shape_inference.infer_shapes(proto).graph.output
    for item, found in zip(proto.graph.output, inferred, strict=True):
        item.CopyFrom(found)
        item.type.tensor_type.shape.SetInParent()  # the checker wants one, even for a faulty network
    return proto


def saved(tmp_path, proto):
    """The path of `proto` as a file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def reference(proto, x):
    """What onnxruntime computes of the input, or of several by name, operator by operator: nothing merged or left out.

    In the order of the outputs.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, x if isinstance(x, dict) else {session.get_inputs()[0].name: x})


def check(tmp_path, proto, shape, seed=12, batch=3):
    """Import, and compare every output with onnxruntime on random images; returns the graph."""
    graph = read_onnx(saved(tmp_path, proto))
    x = np.random.default_rng(seed).normal(size=(batch, *shape)).astype(np.float32)
    expected, got = reference(proto, x), graph.outputs(x)
    assert len(expected) == len(graph.results)
    for name, values in zip(graph.results, expected, strict=True):
        assert graph.shapes[name] == values.shape[1:]
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], values, rtol=1e-4, atol=1e-4)
    return graph
