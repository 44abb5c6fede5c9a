"""From a model to a graph, checked against what the file declares and against onnxruntime."""

from roundel.frontend.importing.declared import check_declared
from roundel.frontend.importing.import_check import ImportCheck, against_onnxruntime, onnxruntime_results
from roundel.frontend.importing.importer import open_scope, read_node, read_onnx
from roundel.frontend.importing.reading import prepare_original, read_graph, read_original

__all__ = [
    "ImportCheck",
    "against_onnxruntime",
    "check_declared",
    "onnxruntime_results",
    "open_scope",
    "prepare_original",
    "read_graph",
    "read_node",
    "read_onnx",
    "read_original",
]
