"""Netlists as Yosys writes them: names and numbers of nets, black boxes, clocks, levels, the module that is taken."""

import json
from pathlib import Path

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.synth.cells import Library
from roundel.synth.mapping import NONE, ONE, ZERO, Netlist, read_netlist
from tests.support.toy import netlist, toy_library

VECTORS = {
    "ports": {
        "d": {"direction": "input", "bits": [9, 3, 8]},
        "clk": {"direction": "input", "bits": [2]},
        "q": {"direction": "output", "bits": [5, "1", 5]},
    },
    "netnames": {
        "clk": {"bits": [2]},
        "d": {"bits": [9, 3, 8]},
        "part": {"bits": [3, 8], "offset": 4},
        "none": {"bits": ["0", "x"]},
        "tied": {"bits": ["1"]},
        "inner": {"bits": [70]},
    },
    "cells": {
        "ram": {
            "type": "MEMORY",
            "port_directions": {"A": "input", "D": "input", "E": "input", "Q": "output", "R": "output"},
            "connections": {"A": [9, 3], "D": ["x", "z"], "E": ["z"], "Q": [70, "z", 71], "R": []},
        },
        "gate": {"type": "ND2", "connections": {"A1": [71], "A2": [70], "Z": [6]}},
        "kept": {"type": "DFF", "connections": {"D": [6], "CK": [2], "Q": [5], "QN": ["z"]}},
    },
}


def written(folder: Path, modules: dict) -> Path:
    path = folder / "netlist.json"
    path.write_text(json.dumps({"modules": modules}))
    return path


def test_bits_become_nets(tmp_path):
    net = read_netlist(written(tmp_path, {"unit": VECTORS}), toy_library(tmp_path))
    d0, d1, d2 = net.inputs["d"]
    (clk,) = net.inputs["clk"]
    q, *_ = net.outputs["q"]
    assert net.outputs["q"] == (q, ONE, q)
    inner, other = net.instances[0].outputs["Q"]
    nets = {d0, d1, d2, clk, q, inner, other, *net.instances[1].outputs["Z"]}
    assert nets == set(range(2, 10)), "numbers from 2 on, none twice, none left out"
    assert net.size == 10
    assert net.signals == {
        "clk": clk,
        "clk[0]": clk,
        **{"d[0]": d0, "d[1]": d1, "d[2]": d2},
        **{"part[4]": d1, "part[5]": d2},
        **{"none[0]": ZERO, "none[1]": ZERO},  # what may have any value is 0
        **{"tied": ONE, "tied[0]": ONE},
        **{"inner": inner, "inner[0]": inner},
    }
    assert net.top == "unit"


def test_what_pins_are_connected_to(tmp_path):
    net = read_netlist(written(tmp_path, {"unit": VECTORS}), toy_library(tmp_path))
    ram, gate, kept = net.instances
    assert (ram.cell, ram.type, ram.name) == (None, "MEMORY", "ram")
    assert ram.inputs == {"A": net.inputs["d"][:2], "D": (ZERO,)}, "pins without a net are absent"
    assert list(ram.outputs) == ["Q"]
    assert kept.outputs == {"Q": (net.outputs["q"][0],)}
    assert [(group.cell.name, group.members.tolist()) for group in net.groups] == [("ND2", [1]), ("DFF", [2])]
    assert net.groups[1].nets["QN"].tolist() == [NONE]
    assert net.groups[0].nets["A1"].tolist() == [ram.outputs["Q"][1]]
    driver = np.full(net.size, NONE)
    driver[list(ram.outputs["Q"])] = 0
    driver[gate.outputs["Z"][0]] = 1
    driver[net.outputs["q"][0]] = 2
    assert net.driver.tolist() == driver.tolist()
    load = dict.fromkeys(range(net.size), 0.0) | dict.fromkeys((*ram.outputs["Q"], *gate.outputs["Z"]), 0.01)
    load[net.inputs["clk"][0]] = 0.01
    assert net.load.tolist() == pytest.approx(list(load.values()))
    assert net.area == 2 + 6


def test_the_module_that_is_taken(tmp_path):
    library = toy_library(tmp_path)
    empty = {"ports": {}, "netnames": {}, "cells": {}}
    marked = empty | {"attributes": {"top": "1"}}
    assert read_netlist(written(tmp_path, {"only": empty}), library).top == "only"
    assert read_netlist(written(tmp_path, {"memory": empty, "unit": marked}), library).top == "unit"
    assert read_netlist(written(tmp_path, {"unit": marked, "memory": empty}), library).top == "unit"
    assert read_netlist(written(tmp_path, {"memory": empty, "unit": marked}), library, "memory").top == "memory"
    with pytest.raises(InputError, match=r"netlist\.json: not a JSON netlist of Yosys with a module 'other'"):
        read_netlist(written(tmp_path, {"unit": marked}), library, "other")


def clocks(net: Netlist) -> set[str]:
    return {name for name, number in net.signals.items() if number in net.clock_nets and "[" not in name}


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ({"f": "DFF D=a CK=clk Q=q"}, "clk"),
        ({"f": "DFF D=a CK=n Q=q", "i": "INV A=m Y=n", "j": "INV A=clk Y=m"}, "clk m n"),
        ({"f": "DFF D=a CK=n Q=q", "g": "ND2 A1=clk A2=a Z=n"}, "n"),  # logic, not a clock's way
        ({"f": "DFF D=a CK=n Q=q", "r": "RAM A=clk O=n"}, "n"),
        ({"f": "DFF D=a CK=n Q=q", "g": "DFF D=n CK=clk Q=n"}, "n clk"),
        ({"f": "DFF D=a CK=clk", "g": "DFF D=a CK=n", "h": "DFF D=a CK=n", "k": "DFF D=a CK=1"}, "clk n"),
        ({"f": "DFF D=a CK=n", "i": "INV A=n Y=n"}, "n"),  # a ring ends
        ({"i": "INV A=clk Y=q"}, ""),
    ],
)
def test_nets_that_carry_a_clock(cells, wanted, tmp_path):
    net = netlist(tmp_path, toy_library(tmp_path), "clk a n" if "A=n" not in str(cells) else "clk a", "q", cells)
    assert clocks(net) == set(wanted.split())


def levels(library: Library, folder: Path, cells: dict[str, str]) -> list[list[str]]:
    net = netlist(folder, library, "a b clk", "y", cells)
    return [[net.instances[number].name for number in level] for level in net.levels()]


def test_levels(tmp_path):
    cells = {
        "last": "ND2 A1=x A2=p Z=y",
        "third": "ND2 A1=w A2=x Z=p",
        "second": "INV A=v Y=w",
        "first": "INV A=a Y=v",
        "apart": "ND2 A1=s A2=b Z=x",
        "f": "DFF D=y CK=clk Q=s",
        "r": "RAM A=y O=t",
        "behind": "INV A=t Y=u",
    }
    assert levels(toy_library(tmp_path), tmp_path, cells) == [
        ["first", "apart", "behind"],
        ["second"],
        ["third"],
        ["last"],
    ]
    assert levels(toy_library(tmp_path), tmp_path, {"f": "DFF D=a CK=clk Q=y"}) == []


def test_subsets_of_a_group(tmp_path):
    cells = {f"u{number}": f"INV A=a Y=y{number}" for number in range(4)}
    net = netlist(tmp_path, toy_library(tmp_path), "a", "y0 y1 y2 y3", cells)
    (group,) = net.groups
    part = group.subset(np.array([3, 1]))
    assert part.members.tolist() == [3, 1]
    assert part.nets["Y"].tolist() == [net.signals["y3"], net.signals["y1"]]
    assert part.nets["A"].tolist() == [net.signals["a"]] * 2
