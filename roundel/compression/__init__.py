"""A trained network to an integer network: prune, tune, quantize, pack."""

from roundel.compression.compressed_network import CompressedNetwork, read_calibration
from roundel.compression.compressor import compress, packed
from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.options import CompressOptions, opq_params
from roundel.compression.passes import PASSES, Compression
from roundel.compression.pipeline import Compressed, run_passes
from roundel.compression.report import size

__all__ = [
    "PASSES",
    "CompressOptions",
    "Compressed",
    "CompressedNetwork",
    "Compression",
    "FinetuneOptions",
    "compress",
    "opq_params",
    "packed",
    "read_calibration",
    "run_passes",
    "size",
]
