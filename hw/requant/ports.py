"""The ports that every requantizer core has, derived from its parameter object."""

from amaranth.hdl import Shape, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from roundel.golden.requant import RequantParams, Scheme


def runtime_layout(params: RequantParams) -> data.StructLayout | None:
    """The scheme's run-time parameters as one packed vector, in the order of `runtime_fields`; None without any."""
    members = {}
    for field in params.runtime_fields:
        shape = Shape(field.width, field.signed)
        members[field.name] = data.ArrayLayout(shape, field.count) if field.count else shape
    return data.StructLayout(members) if members else None


def result_layout(params: RequantParams) -> data.StructLayout:
    """What comes out: `data`, and `index` for a codebook."""
    members = {"data": Shape(params.out_width, params.out_signed)}
    if params.scheme is Scheme.CODEBOOK:
        members["index"] = Shape(params.index_width)
    return data.StructLayout(members)


def core_ports(params: RequantParams) -> dict:
    """Ports of a core: `acc` and `params` in, `data` (and `index`) out, `en` where the core holds registers."""
    ports = {"acc": In(signed(params.acc_width))}
    if (layout := runtime_layout(params)) is not None:
        ports["params"] = In(layout)
    if params.pipeline:
        ports["en"] = In(1)
    ports |= {name: Out(shape) for name, shape in result_layout(params).members.items()}
    return ports
