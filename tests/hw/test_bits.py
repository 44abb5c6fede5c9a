"""The ports of every component, each component by itself: no bit that nobody reads, and none that never changes."""

from collections.abc import Iterator

import pytest
from amaranth.hdl import Fragment, Signal, ValueCastable, _nir
from amaranth.hdl._ir import PortDirection, build_netlist
from amaranth.lib import wiring

from roundel.hw.units import UNITS

CONFIGS = {
    "requant": ("shift_floor", "fixed16_pipelined", "float32"),
    "nms": ("psrr_2_lanes", "guarded_by_class_worn_epochs_centre"),
    "exact_nms": (
        "8_bits_8_comparators",
        "centre_256_classes",
        "4096_square",
        "640x640_single_class",
        "best_of_many_tagged",
    ),
    "topk": ("200x120_8_bits", "three_digits_centre_tagged", "all_that_may_come"),
    "greedy_nms": ("50x41_any_overlap_2_lanes",),
    "decoder": ("mask_16_table_of_32", "relative_16_table_of_16", "rice_8_2_slices_table_of_8"),
    "sparse_mac": ("mask_8x4",),
    "engine": ("tiny_with_units", "tiny_heads"),
}
WHOLE = {"Engine", "EngineCore", "MacArray", "SparseMac"}  # of parts that are looked at, and of large netlists
OTHERS = ("bus__", "read__", "write__", "clk", "rst")  # AXI has ports that no single device needs
SPARE = {
    "ActivationMemory.feed__request__ready": "the feeder goes before all others",
    "ActivationMemory.target__request__ready": "results are never kept waiting",
    "Compute.feed__valid": "an answer comes a fixed number of cycles after its request",
    "FeedReader.feed__request__ready": "as of `ActivationMemory`",
    "Feeder.memory__valid": "as of `Compute`",
    "ReadChannel.length": "AXI's field of eight bits; bursts are shorter",
    "RelativeCore.refused": "only `mask` offers a beat before it knows",
    "RiceCore.refused": "as of `RelativeCore`",
}
"""What may stay: a component's port, and why."""


def components(fragment: Fragment) -> Iterator[wiring.Component]:
    """All components within an elaborated design."""
    for origin in fragment.origins or ():
        if type(origin).__module__.startswith("roundel.hw"):
            yield origin
    for part, *_ in fragment.subfragments:
        yield from components(part)


def netlist(component: wiring.Component) -> tuple[_nir.Netlist, dict[str, int]]:
    """A component's netlist, and the bits of those ports that are numbers."""
    ports, widths = {}, {}
    for path, member, value in component.signature.flatten(component):
        signal = value.as_value() if isinstance(value, ValueCastable) else value
        if isinstance(signal, Signal):
            name = "__".join(map(str, path))
            direction = PortDirection.Input if member.flow is wiring.In else PortDirection.Output
            ports[name] = (signal, direction)
            if signal is value:  # else it has fields, some of which are for others
                widths[name] = len(signal)
    triples = tuple((name, signal, direction) for name, (signal, direction) in ports.items() if len(signal))
    return build_netlist(Fragment.get(component, None), ports=triples), widths


def values(made: _nir.Netlist, net: _nir.Net, seen: set[_nir.Net]) -> Iterator[_nir.Net]:
    """What a bit may be: constants, and bits of cells that are no choices and no registers."""
    if net in seen:
        return
    seen.add(net)
    cell = None if net.is_const else made.cells[net.cell]
    if isinstance(cell, _nir.FlipFlop):
        yield _nir.Net.from_const(cell.init >> net.bit & 1)
        yield from values(made, cell.data[net.bit], seen)
    elif isinstance(cell, _nir.AssignmentList):
        yield from values(made, cell.default[net.bit], seen)
        for given in cell.assignments:
            if given.start <= net.bit < given.start + len(given.value):
                yield from values(made, given.value[net.bit - given.start], seen)
    else:
        yield net


def reads(cell: _nir.Cell) -> set[_nir.Net]:
    """Bits that a cell reads, but for `If` of several bits, which asks whether any is set: a flag has one."""
    whole = isinstance(cell, _nir.Top) or (isinstance(cell, _nir.Operator) and cell.operator == "b")
    return set() if whole else set(cell.input_nets())


def idle(component: wiring.Component) -> Iterator[str]:
    """Ports whose highest bit nobody reads, or can have one value only."""
    made, widths = netlist(component)
    read = set().union(*(reads(cell) for cell in made.cells), *made.top.ports_o.values())
    for name, (start, width) in made.top.ports_i.items():
        if name in widths and _nir.Net.from_cell(0, start + width - 1) not in read:
            yield name
    for name, nets in made.top.ports_o.items():
        found = set(values(made, nets[-1], set()))
        if name in widths and len(found) == 1 and next(iter(found)).is_const:
            yield name


@pytest.fixture(scope="module")
def parts() -> dict[str, list[wiring.Component]]:
    """Components of some units, one for each class and configuration."""
    collected: dict[str, dict[str, wiring.Component]] = {}
    for unit, configs in CONFIGS.items():
        for config in configs:
            made = UNITS[unit].component(UNITS[unit].params.from_dict(UNITS[unit].configs[config]))
            for part in components(Fragment.get(made, None)):
                collected.setdefault(type(part).__name__, {}).setdefault(config, part)
    return {name: list(made.values()) for name, made in collected.items() if name not in WHOLE}


def test_the_highest_bit_of_every_port_is_of_use(parts):
    """In one configuration at least."""
    assert len(parts) > 65
    found = set()
    for name, made in parts.items():
        left: set[str] | None = None
        for part in made:
            if left != set():
                ports = set(idle(part))
                left = ports if left is None else left & ports
        found |= {f"{name}.{port}" for port in left or () if not port.startswith(OTHERS)}
    assert "\n".join(sorted(found)) == "\n".join(sorted(SPARE))
