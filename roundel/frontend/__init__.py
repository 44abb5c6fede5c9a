"""ONNX files in and out: the only place that imports onnx."""

from roundel.frontend.exporter import export_onnx
from roundel.frontend.importing import (
    ImportCheck,
    against_onnxruntime,
    onnxruntime_results,
    prepare_original,
    read_graph,
    read_onnx,
    read_original,
)
from roundel.frontend.model import LoadedModel, Model, prepare
from roundel.frontend.parts import (
    MOVES,
    Examination,
    Host,
    HostModel,
    NetworkPart,
    Partition,
    Verdict,
    divide,
    examine,
    extract,
    host_note,
)

__all__ = [
    "MOVES",
    "Examination",
    "Host",
    "HostModel",
    "ImportCheck",
    "LoadedModel",
    "Model",
    "NetworkPart",
    "Partition",
    "Verdict",
    "against_onnxruntime",
    "divide",
    "examine",
    "export_onnx",
    "extract",
    "host_note",
    "onnxruntime_results",
    "prepare",
    "prepare_original",
    "read_graph",
    "read_onnx",
    "read_original",
]
