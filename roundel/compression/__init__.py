"""A trained network to an integer network: prune, tune, quantize, pack."""

from roundel.compression.chain import MAIN, PARTS, Chain, ChainPart, chain_lines
from roundel.compression.chain_file import other_folders, read_chain
from roundel.compression.compressed_network import CompressedNetwork, read_calibration
from roundel.compression.compressor import compress
from roundel.compression.division import left_functions, network_parts, part_graph, part_model
from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.head import HEAD, head_lines, with_split_head
from roundel.compression.options import CompressOptions, opq_params
from roundel.compression.passes import PASSES, Compression
from roundel.compression.pipeline import Compressed, run_passes
from roundel.compression.report import size

__all__ = [
    "HEAD",
    "MAIN",
    "PARTS",
    "PASSES",
    "Chain",
    "ChainPart",
    "CompressOptions",
    "Compressed",
    "CompressedNetwork",
    "Compression",
    "FinetuneOptions",
    "chain_lines",
    "compress",
    "head_lines",
    "left_functions",
    "network_parts",
    "opq_params",
    "other_folders",
    "part_graph",
    "part_model",
    "read_calibration",
    "read_chain",
    "run_passes",
    "size",
    "with_split_head",
]
