"""The ports that every requantizer core has, derived from its parameter object."""

from amaranth.hdl import Shape, signed
from amaranth.lib import data

from roundel.golden.requant import RequantParams, Scheme
from roundel.hw.lib import In, Out, Port


def runtime_layout(params: RequantParams) -> data.StructLayout | None:
    """Return the run-time parameters as one packed vector, in the order of `runtime_fields`; None without any."""
    members = {}
    for field in params.runtime_fields:
        shape = Shape(field.width, field.signed)
        members[field.name] = data.ArrayLayout(shape, field.count) if field.count else shape
    return data.StructLayout(members) if members else None


def result_layout(params: RequantParams) -> data.StructLayout:
    """Return the result: `data`, and `index` for a codebook."""
    members = {"data": Shape(params.out_width, params.out_signed)}
    if params.scheme is Scheme.CODEBOOK:
        members["index"] = Shape(params.index_width)
    return data.StructLayout(members)


RUNTIME = {
    Scheme.SHIFT: "`shift`, of bits enough to count to `acc_width - 1`; every value is exact, larger ones too.",
    Scheme.FIXED8: "`multiplier`, `shift`, `zero_point`; every value is exact.",
    Scheme.FIXED16: "`multiplier`, `shift`, `zero_point`; every value is exact.",
    Scheme.FIXED32: "`multiplier`, signed 32 bits; `shift`, 0 to 31; `zero_point`. Every value is exact.",
    Scheme.FLOAT32: "`scale`, the bits of a finite binary32; `zero_point`. Infinities and NaNs count as large numbers.",
    Scheme.THRESHOLD: "`thresholds`, ascending.",
    Scheme.CODEBOOK: "`boundaries`, ascending, and `levels`.",
}
"""Run-time parameters of the schemes that have some."""

RESULT = {
    Scheme.THRESHOLD: "The index plus the least output, in the same cycle.",
    Scheme.CODEBOOK: "The level at the index, in the same cycle.",
}
"""Results of the schemes that do not scale."""


def core_ports(params: RequantParams) -> dict[str, Port]:
    """Return the ports of a core: `acc` and `params` in, `data` (and `index`) out, `en` where it holds registers."""
    ports = {"acc": In(signed(params.acc_width), "The accumulator.")}
    if (layout := runtime_layout(params)) is not None:
        ports["params"] = In(layout, RUNTIME[params.scheme])
    if params.pipeline:
        ports["en"] = In(1, "Clock enable of all registers.")
    docs = {
        "data": RESULT.get(params.scheme, "The result, `LATENCY` cycles later."),
        "index": "Number of the level, in the same cycle.",
    }
    return ports | {name: Out(shape, docs[name]) for name, shape in result_layout(params).members.items()}
