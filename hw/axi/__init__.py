"""AXI4 and AXI4-Lite, of use to any design."""

from roundel.golden.registers import Access, Register
from roundel.hw.axi.read import ReadMaster
from roundel.hw.axi.registers import RegisterFile
from roundel.hw.axi.signatures import (
    attach,
    command_layout,
    lite_signature,
    ports,
    read_layout,
    read_signature,
    write_layout,
    write_signature,
)
from roundel.hw.axi.write import WriteMaster

__all__ = [
    "Access",
    "ReadMaster",
    "Register",
    "RegisterFile",
    "WriteMaster",
    "attach",
    "command_layout",
    "lite_signature",
    "ports",
    "read_layout",
    "read_signature",
    "write_layout",
    "write_signature",
]
