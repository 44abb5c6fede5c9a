"""A MAC array as Verilog, manifest and simulator."""

from dataclasses import dataclass, field
from typing import Any

from golden.mac import MacParams
from golden.sparse_mac import SparseMacParams
from hw.emit import manifest, to_verilog
from hw.mac import MacArray
from hw.sparse_mac import SparseMac
from sim.runner import Design


@dataclass(frozen=True, kw_only=True)
class Array:
    """A generated array.

    Attributes
    ----------
    name
        Of the Verilog module.
    params
        What it was generated from: with a decoder before its weight port or without.
    latency
        Cycles from a beat to its result.
    verilog, manifest
        Its text, and what a user needs beside it.
    """

    name: str
    params: MacParams | SparseMacParams
    latency: int
    verilog: str = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)

    @property
    def design(self) -> Design:
        """What is simulated: this very text. `optimize=3` because whole layers run through it."""
        return Design(sources=(self.verilog,), top=self.name, optimize=3)


def generate_array(name: str, params: MacParams | SparseMacParams) -> Array:
    """An array as Verilog, behind its decoder where there is one."""
    component = SparseMac(params) if isinstance(params, SparseMacParams) else MacArray(params)
    return Array(
        name=name,
        params=params,
        latency=component.latency,
        verilog=to_verilog(component, name),
        manifest=manifest(name, component, params),
    )
