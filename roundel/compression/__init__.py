"""ONNX file to a folder: prune, tune, quantize, pack."""

from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.folder import Stored, read_compressed, write_compressed
from roundel.compression.pipeline import Compressed, CompressOptions, compress, opq_params
from roundel.compression.report import MODULES, STREAMS, cells, size, summary

__all__ = [
    "MODULES",
    "STREAMS",
    "CompressOptions",
    "Compressed",
    "FinetuneOptions",
    "Stored",
    "cells",
    "compress",
    "opq_params",
    "read_compressed",
    "size",
    "summary",
    "write_compressed",
]
