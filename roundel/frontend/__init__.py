"""ONNX files in and out: the only place that imports onnx."""

from roundel.frontend.exporter import export_onnx
from roundel.frontend.importer import read_onnx
from roundel.frontend.model_file import Model

__all__ = [
    "Model",
    "export_onnx",
    "read_onnx",
]
