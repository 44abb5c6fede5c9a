"""Static timing: paths computed by hand on the toy library, and OpenSTA on real ones."""

import json

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.synth.analysis import analyse
from roundel.synth.analysis.timing import FROM_PORT, FROM_REGISTER
from roundel.synth.cells import read_library
from roundel.synth.mapping import map_design, read_netlist
from tests.support import opensta
from tests.support.toy import NAMES, netlist, real, toy_library

MAC = """
module mac(input clk, input rst, input signed [7:0] a, input signed [7:0] b, input clear, output reg signed [19:0] y,
           output parity);
  reg signed [7:0] ra, rb;
  reg rc;
  assign parity = ^ra;
  always @(posedge clk)
    if (rst) begin ra <= 0; rb <= 0; rc <= 0; y <= 0; end
    else begin ra <= a; rb <= b; rc <= clear; y <= (rc ? 20'sd0 : y) + ra * rb; end
endmodule
"""


def test_two_inverters(tmp_path):
    """In units of 0.1 ns and 10 fF: rising delay = load + slew - 1, falling = 2 load; slews: load, and 2."""
    net = netlist(tmp_path, toy_library(tmp_path), "a", "y", {"u1": "INV A=a Y=x", "u2": "INV A=x Y=y"})
    timing = analyse(net, input_slew=0.2)
    x, y = net.signals["x"], net.signals["y"]
    assert net.load[x] == pytest.approx(0.02)
    # u1 drives 2 units: falls after 4, rises after 2 + 2 - 1; u2 drives nothing: rises after 0 + 2 - 1, falls after 0.
    assert timing.arrival[FROM_PORT, :, x] == pytest.approx([0.4, 0.3])
    assert timing.slew[:, x] == pytest.approx([0.2, 0.2])
    assert timing.arrival[FROM_PORT, :, y] == pytest.approx([0.3, 0.5])
    assert timing.by_ends == {"port-port": pytest.approx(0.5)}
    assert [(step.instance, step.edge) for step in timing.path] == [("u1", 0), ("u2", 1)]
    assert timing.endpoint == "port y[0]"


def test_register_to_register_counts_setup(tmp_path):
    cells = {"u0": "DFF D=d CK=clk Q=x", "u1": "INV A=x Y=n", "u2": "DFF D=n CK=clk Q=q"}
    net = netlist(tmp_path, toy_library(tmp_path), "clk d", "q", cells)
    timing = analyse(net, input_slew=0.3, clock_slew=0.1)
    # Q rises at 3 (slew 2), falls at 4 (slew 1); n falls at 3 + 2 with slew 2, rises at 4 + 1 with slew 1;
    # setup is the slew of the data when it rises, 2 when it falls; d rises with slew 3.
    assert timing.delay_ns == pytest.approx(0.7)
    assert timing.by_ends == {
        "register-register": pytest.approx(0.7),
        "register-port": pytest.approx(0.4),
        "port-register": pytest.approx(0.3),
    }
    assert (timing.endpoint, timing.path[0].instance, timing.path[-1].edge) == ("u2/D", "u0", 0)


def test_constants_have_no_edges_and_the_worst_arc_counts(tmp_path):
    cells = {"u0": "INV A=a Y=x", "u1": "ND2 A1=1 A2=x Z=y", "u2": "ND2 A1=0 A2=1 Z=z"}
    net = netlist(tmp_path, toy_library(tmp_path), "a", "y z", cells)
    timing = analyse(net, input_slew=0.1)
    # x drives 1 unit: falls at 2, rises at 1; the NAND rises 1 after a falling, falls 2 after a rising input.
    assert timing.arrival[FROM_PORT, :, net.signals["y"]] == pytest.approx([0.3, 0.3])
    assert np.all(np.isneginf(timing.arrival[:, :, net.signals["z"]]))
    assert np.all(np.isfinite(timing.slew))


def test_the_larger_slew_counts(tmp_path):
    """A NAND's output rises with the slew of the falling input; x falls with slew 2, a with slew 1."""
    for pins in ("A1=x A2=a", "A1=a A2=x"):
        cells = {"u0": "INV A=a Y=x", "u1": f"ND2 {pins} Z=y"}
        net = netlist(tmp_path, toy_library(tmp_path), "a", "y", cells)
        assert analyse(net, input_slew=0.1).slew[1, net.signals["y"]] == pytest.approx(0.2)


def test_constants_are_no_clocks(tmp_path):
    cells = {"u0": "DFF D=d CK=0 Q=q", "u1": "DFF D=q CK=clk Q=y"}
    net = netlist(tmp_path, toy_library(tmp_path), "clk d", "y", cells)
    assert net.clock_nets == {net.signals["clk"]}


def test_black_box_starts_and_ends_paths(tmp_path):
    cells = {"m": "RAM A=a CLK=clk O=x", "u": "INV A=x Y=y", "f": "DFF D=y CK=clk Q=q"}
    net = netlist(tmp_path, toy_library(tmp_path), "clk a", "q", cells)
    timing = analyse(net, input_slew=0.1)
    assert timing.by_ends["port-register"] == 0.0
    assert timing.arrival[FROM_REGISTER, 0, net.signals["y"]] == pytest.approx(0.2)
    assert net.area == pytest.approx(7.5)  # the memory has none


def test_overload_is_reported(tmp_path):
    cells = {f"u{i}": f"INV A=x Y=y{i}" for i in range(3)} | {"drive": "INV A=a Y=x"}
    net = netlist(tmp_path, toy_library(tmp_path), "a", "y0 y1 y2", cells)
    assert analyse(net).overloaded == (net.signals["x"],)  # 6 units on a cell that may drive 5


def test_loop_is_an_error(tmp_path):
    cells = {"u0": "INV A=a Y=y", "u1": "ND2 A1=x A2=y Z=z", "u2": "INV A=z Y=x"}
    net = netlist(tmp_path, toy_library(tmp_path), "a", "y", cells)
    with pytest.raises(InputError, match="combinational loop runs through or into instance 'u1'"):
        analyse(net)


def test_bad_netlists(tmp_path):
    library = toy_library(tmp_path)
    with pytest.raises(InputError, match=r"nothing.json: cannot be read"):
        read_netlist(tmp_path / "nothing.json", library)
    path = tmp_path / "x.json"
    for text in ("{", "{}", json.dumps({"modules": {}})):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x.json: not a JSON netlist of Yosys"):
            read_netlist(path, library)


@pytest.mark.needs("opensta")
@pytest.mark.parametrize("name", NAMES)
def test_longest_path_agrees_with_opensta(tmp_path, name):
    mapped = map_design(MAC, "mac", real(name))
    net = read_netlist(mapped.json, read_library(real(name)), "mac")
    reference = opensta.run(tmp_path, net, mapped.netlist, real(name))
    # OpenSTA loads each edge with its own pin capacitance, we with their mean: about one percent.
    assert analyse(net).delay_ns == pytest.approx(reference.delay_ns, rel=0.03)
