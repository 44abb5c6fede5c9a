"""A trained network to an integer network: prune, tune, quantize, pack."""

from roundel.compression.compressed_network import CompressedNetwork, compress, packed
from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.pipeline import Compressed, CompressOptions, opq_params, run_passes
from roundel.compression.report import size

__all__ = [
    "CompressOptions",
    "Compressed",
    "CompressedNetwork",
    "FinetuneOptions",
    "compress",
    "opq_params",
    "packed",
    "run_passes",
    "size",
]
