"""A compiled network on golden or RTL, and what differs."""

from roundel.runtime.against_float import FloatRow, float_rows
from roundel.runtime.cycles import layer_cycles, predicted_cycles, predicted_layers, total
from roundel.runtime.differences import Difference, golden_records, record_differences, rtl_records, tensor_differences
from roundel.runtime.frames import Frame, batches, run_frames
from roundel.runtime.proof import PROVERS
from roundel.runtime.report import summary, tables, write_run

__all__ = [
    "PROVERS",
    "Difference",
    "FloatRow",
    "Frame",
    "batches",
    "float_rows",
    "golden_records",
    "layer_cycles",
    "predicted_cycles",
    "predicted_layers",
    "record_differences",
    "rtl_records",
    "run_frames",
    "summary",
    "tables",
    "tensor_differences",
    "total",
    "write_run",
]
