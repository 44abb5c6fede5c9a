"""AXI4 and AXI4-Lite: signatures, layouts of what goes in and out of the masters, and ports under the standard names.

[P] AMBA AXI and ACE Protocol Specification, ARM IHI 0022. All bursts are INCR with whole beats; one ID, so that
responses come in order from any slave; no locks, regions, QOS or user signals, whose defaults are zero.
"""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from roundel.hw.lib import Port

ADDRESS = 32  # bits
BYTES = 24  # bits of the size of a transfer
ID = 1  # bits; the ID is always 0
LONGEST = 256  # beats of a burst
PAGE = 4096  # bytes; no burst crosses from one to the next
LITE_DATA = 32  # bits

INCR = 0b01
CACHE = 0b0011  # normal memory, not cached, may be buffered
OKAY, SLVERR = 0b00, 0b10


def _address(prefix: str) -> dict[str, wiring.Member]:
    widths = {"id": ID, "addr": ADDRESS, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3, "valid": 1}
    return {f"{prefix}{name}": Out(width) for name, width in widths.items()} | {f"{prefix}ready": In(1)}


def read_signature(data_width: int) -> wiring.Signature:
    """Channels AR and R of an AXI4 master."""
    answer = {"rid": ID, "rdata": data_width, "rresp": 2, "rlast": 1, "rvalid": 1}
    return wiring.Signature(
        _address("ar") | {name: In(width) for name, width in answer.items()} | {"rready": Out(1)},
    )


def write_signature(data_width: int) -> wiring.Signature:
    """Channels AW, W and B of an AXI4 master."""
    beat = {"wdata": data_width, "wstrb": data_width // 8, "wlast": 1, "wvalid": 1}
    answer = {"bid": ID, "bresp": 2, "bvalid": 1}
    return wiring.Signature(
        _address("aw")
        | {name: Out(width) for name, width in beat.items()}
        | {"wready": In(1)}
        | {name: In(width) for name, width in answer.items()}
        | {"bready": Out(1)},
    )


def lite_signature(address_width: int) -> wiring.Signature:
    """All channels of an AXI4-Lite master with 32 bits of data; a slave has it as `In`."""
    there = {
        "awaddr": address_width,
        "awprot": 3,
        "awvalid": 1,
        "wdata": LITE_DATA,
        "wstrb": LITE_DATA // 8,
        "wvalid": 1,
        "bready": 1,
        "araddr": address_width,
        "arprot": 3,
        "arvalid": 1,
        "rready": 1,
    }
    back = {"awready": 1, "wready": 1, "bresp": 2, "bvalid": 1, "arready": 1, "rdata": LITE_DATA, "rresp": 2}
    return wiring.Signature(
        {name: Out(width) for name, width in there.items()}
        | {name: In(width) for name, width in back.items()}
        | {"rvalid": In(1)},
    )


def command_layout() -> data.StructLayout:
    """Return a transfer to read: its address, a multiple of the bytes of a beat, and its bytes (0 counts as 1)."""
    return data.StructLayout({"address": ADDRESS, "bytes": BYTES})


def read_layout(data_width: int) -> data.StructLayout:
    """Return a beat that was read: `keep` has ones for the bytes of the transfer, all of them but in the last beat."""
    return data.StructLayout({"data": data_width, "keep": data_width // 8, "last": 1})


def write_layout(data_width: int) -> data.StructLayout:
    """Return a beat to write: `strb` has ones for the bytes to write; `last` ends the transfer."""
    return data.StructLayout({"data": data_width, "strb": data_width // 8, "last": 1})


def ports(prefix: str, signature: wiring.Signature) -> dict[str, Port]:
    """Return ports `prefix_awvalid` and so on for the top of a design; those of a nested interface have a `__`.

    Vivado, Quartus and cocotbext-axi find an interface by such names.
    """
    return {
        f"{prefix}_{name}": Port(member, f"Signal {name.upper()} of `{prefix}`, see AMBA AXI (ARM IHI 0022).")
        for name, member in signature.members.items()
    }


def attach(m: Module, top: wiring.Component, prefix: str, inner: wiring.PureInterface) -> None:
    """Connect the interface of a submodule of `top` to the members that `ports` made of the same signature."""
    for name, member in inner.signature.members.items():
        port, wire = getattr(top, f"{prefix}_{name}"), getattr(inner, name)
        m.d.comb += port.eq(wire) if member.flow is Out else wire.eq(port)


def check_master(*, data_width: int, burst: int, outstanding: int, fifo: int, channels: int = 1) -> None:
    """Raise `ValueError` unless a master can be made with these parameters."""
    if data_width not in (32, 64, 128):
        raise ValueError(f"data_width must be one of 32, 64, 128, not {data_width}")
    if burst not in [1 << bits for bits in range(LONGEST.bit_length())]:
        raise ValueError(f"burst must be a power of two from 1 to {LONGEST}, not {burst}")
    if outstanding < 2:
        raise ValueError(f"outstanding must be at least 2, not {outstanding}")
    if fifo < max(burst, 2) or fifo.bit_count() != 1:
        raise ValueError(f"fifo must be a power of two from {max(burst, 2)}, not {fifo}")
    if channels < 1:
        raise ValueError(f"channels must be at least 1, not {channels}")
