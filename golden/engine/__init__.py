"""What compiler, interpreter, RTL and drivers agree on: parameters, program, registers, records."""

from roundel.golden.engine.boxes import RECORD
from roundel.golden.engine.fields import COMMON, FIELDS, UNIT_OF, UNITS, Opcode
from roundel.golden.engine.interpreter import Engine
from roundel.golden.engine.params import CONFIGS, RESULT_WIDTH, EngineParams
from roundel.golden.engine.program import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    MAGIC,
    STEP_BYTES,
    TERMINATOR,
    VERSION,
    Descriptor,
    ErrorCode,
    Program,
    ProgramError,
    Region,
    WeightStep,
    column_bytes,
    pack_column,
)

__all__ = [
    "COMMON",
    "CONFIGS",
    "DESCRIPTOR_BYTES",
    "FIELDS",
    "HEADER_BYTES",
    "MAGIC",
    "RECORD",
    "RESULT_WIDTH",
    "STEP_BYTES",
    "TERMINATOR",
    "UNITS",
    "UNIT_OF",
    "VERSION",
    "Descriptor",
    "Engine",
    "EngineParams",
    "ErrorCode",
    "Opcode",
    "Program",
    "ProgramError",
    "Region",
    "WeightStep",
    "column_bytes",
    "pack_column",
]
