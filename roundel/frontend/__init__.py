"""ONNX files in and out: the only place that imports onnx."""

from roundel.frontend.exporter import export_onnx
from roundel.frontend.import_check import ImportCheck, against_onnxruntime
from roundel.frontend.importer import read_onnx
from roundel.frontend.model_file import Model

__all__ = [
    "ImportCheck",
    "Model",
    "against_onnxruntime",
    "export_onnx",
    "read_onnx",
]
