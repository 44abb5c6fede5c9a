"""ONNX files in and out: the only place that imports onnx."""

from roundel.frontend.examination import Examination, Verdict, examine
from roundel.frontend.exporter import export_onnx
from roundel.frontend.extraction import extract
from roundel.frontend.host_model import HostModel, host_note
from roundel.frontend.import_check import ImportCheck, against_onnxruntime
from roundel.frontend.importer import read_onnx
from roundel.frontend.model_file import LoadedModel, Model
from roundel.frontend.parts import Host, NetworkPart, Partition, divide
from roundel.frontend.prepared import prepare
from roundel.frontend.reading import prepare_original, read_graph, read_original

__all__ = [
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
    "prepare",
    "prepare_original",
    "read_graph",
    "read_onnx",
    "read_original",
]
