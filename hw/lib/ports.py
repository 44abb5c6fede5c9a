"""Ports of components, each declared once: direction, shape and documentation in one place."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring


@dataclass(frozen=True)
class Port:
    """A port as `Component` declares it; `In` and `Out` make one.

    Attributes
    ----------
    member
        Direction and shape, as a member of the component's signature.
    doc
        What the port carries, and when.
    """

    member: wiring.Member
    doc: str

    def array(self, *dimensions: int) -> "Port":
        """Return an array of such ports, under the same documentation."""
        return Port(self.member.array(*dimensions), self.doc)


def In(shape: Any, doc: str) -> Port:
    """Return an input: `shape` is a shape of Amaranth or a signature, whose members turn round."""
    return Port(wiring.In(shape), doc)


def Out(shape: Any, doc: str, *, init: Any = None) -> Port:
    """Return an output: `shape` is a shape of Amaranth or a signature; a register behind it starts with `init`."""
    return Port(wiring.Out(shape, init=init), doc)


class Component(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """A component of Amaranth whose ports are keyword arguments, each with its documentation.

    `super().__init__(start=In(1, "Begin a run."), ...)` stands at the end of a component's own `__init__`.

    Attributes
    ----------
    ports
        The declarations by name, in their order.
    """

    def __init__(self, **ports: Port):
        super().__init__({name: port.member for name, port in ports.items()})
        self.ports = ports

    def elaborate(self, platform: Any) -> Module:
        """Return the circuit; the class docstring says what it does, and when."""
        raise NotImplementedError


def members_section(component: type[Component]) -> str:
    """Return the ports of a class as a `Members` section for its docstring, with shapes as the source spells them.

    Ports that a function adds (`**core_ports(params)`) are named by the call. A class without an `__init__` has the
    ports of its base; the section of `Component` itself is empty.
    """
    if component.__init__ is Component.__init__:
        return ""
    tree = ast.parse(textwrap.dedent(inspect.getsource(component.__init__)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    declaration = next(call for call in calls if ast.unparse(call.func) == "super().__init__")
    lines = ["Members", "-------"]
    for keyword in declaration.keywords:
        if keyword.arg is None:
            lines.append(f"**{ast.unparse(keyword.value)}")
            continue
        port = next(
            node
            for node in ast.walk(keyword.value)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("In", "Out")
        )
        doc = ast.literal_eval(port.args.pop(1))  # only the shape stays
        lines += [f"{keyword.arg} : {ast.unparse(keyword.value)}", f"    {doc}"]
    return "\n".join(lines)
