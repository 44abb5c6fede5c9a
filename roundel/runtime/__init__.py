"""A compiled network on golden or RTL, and what differs."""

from roundel.runtime.against_float import FloatRow, float_rows
from roundel.runtime.cycles import layer_cycles
from roundel.runtime.differences import Difference, golden_records, record_differences, rtl_records, tensor_differences
from roundel.runtime.engine_source import ChosenEngine, EngineSource, engine_choice, read_engine
from roundel.runtime.frames import Frame, batches, run_frames
from roundel.runtime.outcome import Run, run
from roundel.runtime.pictures import Pictures
from roundel.runtime.program import EngineProgram, compile
from roundel.runtime.proof import PROVERS
from roundel.runtime.verification import Verification, verify

__all__ = [
    "PROVERS",
    "ChosenEngine",
    "Difference",
    "EngineProgram",
    "EngineSource",
    "FloatRow",
    "Frame",
    "Pictures",
    "Run",
    "Verification",
    "batches",
    "compile",
    "engine_choice",
    "float_rows",
    "golden_records",
    "layer_cycles",
    "read_engine",
    "record_differences",
    "rtl_records",
    "run",
    "run_frames",
    "tensor_differences",
    "verify",
]
