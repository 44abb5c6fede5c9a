"""ONNX files in and out: the only place that imports onnx."""

from roundel.frontend.exporter import export_onnx
from roundel.frontend.importer import import_onnx

__all__ = [
    "export_onnx",
    "import_onnx",
]
