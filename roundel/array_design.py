"""Which MAC arrays an integer network needs, and each of them as Verilog, manifest and simulator."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from golden.errors import InputError
from golden.formats import signed_width
from golden.layers import Weighted
from golden.mac import MacParams
from golden.network import Network
from golden.requant import RequantParams
from golden.sparse_mac import SparseMacParams
from hw.emit import manifest, to_verilog
from hw.mac import MacArray
from hw.sparse_mac import SparseMac
from sim.runner import Design, build


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
    def mac(self) -> MacParams:
        """The array alone."""
        return self.params.mac if isinstance(self.params, SparseMacParams) else self.params

    @property
    def design(self) -> Design:
        """What is simulated: this very text. `optimize=3` because whole layers run through it."""
        return Design(sources=(self.verilog,), top=self.name, optimize=3)


def unsupported(layer: Weighted) -> str | None:
    """Why the array cannot run a layer, in a few words; None if it can. `bounds` clamp behind the array."""
    if layer.residual is not None:
        return "adds a residual, which the MAC array cannot do"
    if layer.leak:
        return "shifts by the sign (LeakyRelu), which the requantizer cannot do"
    wide = max(layer.x.width, layer.w.width)
    return f"has operands of {wide} bits, more than 8" if wide > 8 else None


def array_params(network: Network, *, lanes: int = 16, columns: int = 16, depth: int = 256) -> dict[str, MacParams]:
    """For each weighted layer that the array can run, by name, the array: equal for as many layers as possible.

    Accumulator and bias are as wide as the widest layer needs; what is fixed at generation and differs between layers
    (operand widths, signs, rounding, requantizer) makes arrays differ.

    Raises
    ------
    InputError
        The network has no weighted layer, or one whose sums are too wide; the message names it.
    """
    if not network.weighted:
        raise InputError("expected a network with at least one convolution or dense layer")
    able = [layer for layer in network.weighted if unsupported(layer) is None]
    reduction = max((len(layer.weights) for layer in able), default=1)
    biases = np.concatenate([[0], *(layer.aligned_bias for layer in able)])
    bias_width = max(2, signed_width(int(biases.min()), int(biases.max())))
    found = {}
    for layer in able:
        try:
            found[layer.name] = MacParams(
                lanes=lanes,
                columns=columns,
                depth=depth,
                act_width=layer.x.width,
                act_signed=layer.x.signed,
                weight_width=layer.w.width,
                reduction=reduction,
                bias_width=bias_width,
                per_channel=any(len(np.unique(values)) > 1 for values in layer.runtime().values()),
                requant=RequantParams(
                    scheme=layer.requant,
                    out_width=layer.output.width,
                    out_signed=layer.output.signed,
                    rounding=layer.rounding,
                ),
            )
        except ValueError as error:
            raise InputError(f"layer {layer.name}: {error}") from None
    return found


def generate_arrays(layers: Mapping[str, MacParams | SparseMacParams]) -> dict[str, Array]:
    """The array of each layer, by the layer's name; layers of equal parameters share one."""
    distinct: list[MacParams | SparseMacParams] = list(dict.fromkeys(layers.values()))
    arrays = {params: generate_array(_name(params, distinct), params) for params in distinct}
    return {name: arrays[params] for name, params in layers.items()}


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


def build_arrays(arrays: Iterable[Array]) -> None:
    """Compile the simulators of `arrays`, several at a time."""
    distinct = {array.name: array.design for array in arrays}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(build, distinct.values()))


def _name(params: MacParams | SparseMacParams, distinct: Sequence[MacParams | SparseMacParams]) -> str:
    """`mac`, or where there are several, with activations and outputs, `mac_u8_s8`, and a number if need be."""
    kind = "sparse_mac" if isinstance(params, SparseMacParams) else "mac"
    if len(distinct) == 1:
        return kind

    def label(each: MacParams | SparseMacParams) -> str:
        mac = each.mac if isinstance(each, SparseMacParams) else each
        operands = (mac.act_signed, mac.act_width), (mac.requant.out_signed, mac.requant.out_width)
        return "_".join([kind, *(f"{'s' if signed else 'u'}{width}" for signed, width in operands)])

    twins = [each for each in distinct if label(each) == label(params)]
    return label(params) if len(twins) == 1 else f"{label(params)}_{twins.index(params)}"
