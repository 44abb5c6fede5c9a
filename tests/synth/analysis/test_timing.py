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
from tests.support.toy import NAMES, TOY, netlist, real, toy_library

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
    timing = analyse(net)
    assert np.all(np.isneginf(timing.arrival[:, :, net.signals["q"]])), "a clock that stands starts no path"
    assert timing.by_ends == {"port-register": pytest.approx(0.2), "register-port": pytest.approx(0.4)}


def edited(folder, *changes: tuple[str, str]):
    """The toy library with texts replaced, each of which must be there."""
    text = TOY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "edited.lib").write_text(text)
    return read_library(folder / "edited.lib")


def test_slews_that_are_not_given_are_50_ps(tmp_path):
    net = netlist(tmp_path, toy_library(tmp_path), "clk d", "q", {"u": "INV A=d Y=x", "f": "DFF D=x CK=clk Q=q"})
    default, given = analyse(net), analyse(net, input_slew=0.05, clock_slew=0.05)
    assert default.by_ends == given.by_ends
    assert default.slew.tolist() == given.slew.tolist()
    assert default.slew.shape == (2, net.size)
    assert default.arrival.shape == (2, 2, net.size)
    assert default.slew[:, [net.signals["clk"], net.signals["d"]]].tolist() == [[0.05, 0.05]] * 2


def test_the_clock_has_a_slew_of_its_own_and_never_arrives(tmp_path):
    """Q rises as the inverter does: load + slew - 1 units; what gates the clock waits for its other input alone."""
    library = edited(
        tmp_path, ('cell_rise (scalar) { values ("3"); }', 'cell_rise (by_load) { values ("1, 2, 4", "3, 4, 6"); }')
    )
    cells = {"f": "DFF D=d CK=clk Q=q", "n": "ND2 A1=clk A2=d Z=y"}
    net = netlist(tmp_path, library, "clk d", "q y", cells)
    timing = analyse(net, input_slew=0.3, clock_slew=0.2)
    assert timing.arrival[FROM_REGISTER, 1, net.signals["q"]] == pytest.approx(0.1)  # 0 + 2 - 1
    clock_and_output = netlist(tmp_path, library, "clk d", "clk y", {"f": "DFF D=d CK=clk Q=y"})
    assert "port-port" not in analyse(clock_and_output).by_ends


def test_what_is_not_connected_changes_nothing(tmp_path):
    """An open output, an open input: the nets of others keep their arrivals."""
    library = toy_library(tmp_path)
    alone = analyse(netlist(tmp_path, library, "a b", "y", {"u": "INV A=a Y=y"}))
    cells = {"u": "INV A=a Y=y", "v": "ND2 A1=a A2=b", "w": "ND2 A1=b Z=x"}
    net = netlist(tmp_path, library, "a b", "x y", {"w": cells["w"], "u": cells["u"], "v": cells["v"]})
    timing = analyse(net)
    y, x = net.signals["y"], net.signals["x"]
    assert timing.arrival[FROM_PORT, :, y].tolist() == alone.arrival[FROM_PORT, :, -1].tolist()
    assert timing.arrival[FROM_PORT, :, x] == pytest.approx([0.2, 0.1])
    net = netlist(tmp_path, library, "b a", "y", {"w": "ND2 A2=b Z=y"})
    assert analyse(net).arrival[FROM_PORT, :, net.signals["y"]] == pytest.approx([0.2, 0.1])


def test_an_arc_with_tables_of_one_edge(tmp_path):
    """Without a slew there is no delay, and the other edge counts all the same."""
    for missing, edge in (("cell_fall", 0), ("fall_transition", 0), ("cell_rise", 1), ("rise_transition", 1)):
        library = edited(tmp_path, (f"{missing} (scalar)", "other (scalar)")) if missing != "rise_transition" else None
        library = library or edited(tmp_path, ("rise_transition (by_load)", "other (by_load)"))
        net = netlist(tmp_path, library, "a b", "y", {"u": "ND2 A1=a A2=b Z=y"})
        arrival = analyse(net).arrival[FROM_PORT, :, net.signals["y"]]
        assert np.isneginf(arrival[edge])
        assert arrival[1 - edge] == pytest.approx([0.2, 0.1][1 - edge])


def test_the_longest_of_several_setup_times_and_none(tmp_path):
    again = 'timing () { related_pin : "CK"; timing_type : setup_rising; rise_constraint (scalar) { values ("9"); } }'
    library = edited(tmp_path, ('internal_power () { when : "CK"', again + ' internal_power () { when : "CK"'))
    net = netlist(tmp_path, library, "clk d", "q", {"u": "DFF D=d CK=clk Q=q"})
    assert analyse(net, input_slew=0.3).by_ends["port-register"] == pytest.approx(0.9)
    library = edited(tmp_path, ("timing_type : setup_rising", "timing_type : hold_rising"))
    net = netlist(tmp_path, library, "clk d", "q", {"u": "DFF D=d CK=clk Q=q"})
    assert analyse(net).by_ends["port-register"] == 0


def test_no_path_at_all(tmp_path):
    timing = analyse(netlist(tmp_path, toy_library(tmp_path), "a", "y", {"u": "ND2 A1=0 A2=1 Z=y"}))
    assert (timing.delay_ns, timing.by_ends, timing.path, timing.endpoint) == (0, {}, (), "")


def test_through_a_clock_gate_the_clock_stays_ideal(tmp_path):
    gate = """
      cell (GATE) {
        area : 4; clock_gating_integrated_cell : "latch_posedge";
        pin (E) { direction : input; capacitance : 1; clock_gate_enable_pin : true; timing () {
          related_pin : "C"; timing_type : setup_rising;
          rise_constraint (scalar) { values ("5"); } fall_constraint (scalar) { values ("6"); } } }
        pin (C) { direction : input; capacitance : 1; clock : true; clock_gate_clock_pin : true; }
        pin (G) { direction : output; clock_gate_out_pin : true; max_capacitance : 0.5; timing () {
          related_pin : "C"; timing_sense : positive_unate;
          cell_rise (scalar) { values ("7"); } rise_transition (scalar) { values ("1"); }
          cell_fall (scalar) { values ("7"); } fall_transition (scalar) { values ("1"); } } }
      }
      cell (LATCH) {
        area : 5; latch (IQ, IQN) { enable : "G"; data_in : "D"; }
        pin (D) { direction : input; capacitance : 1; } pin (G) { direction : input; capacitance : 1; clock : true; }
        pin (Q) { direction : output; function : "IQ";
          timing () { related_pin : "D"; cell_rise (scalar) { values ("2"); } rise_transition (scalar) { values ("1"); }
            cell_fall (scalar) { values ("2"); } fall_transition (scalar) { values ("1"); } }
          timing () { related_pin : "G"; timing_type : rising_edge;
            cell_rise (scalar) { values ("8"); } rise_transition (scalar) { values ("1"); }
            cell_fall (scalar) { values ("8"); } fall_transition (scalar) { values ("1"); } } }
      }
    """
    library = edited(tmp_path, ("  cell (DFF)", f"{gate}  cell (DFF)"))
    cells = {"g": "GATE E=d C=clk G=c", "f": "DFF D=d CK=c Q=q", "l": "LATCH D=d G=c Q=p", "h": "GATE E=d C=clk G=o"}
    net = netlist(tmp_path, library, "clk d", "q p o", cells)
    assert net.clock_nets == {net.signals["clk"], net.signals["c"]}
    timing = analyse(net)
    assert timing.arrival[FROM_REGISTER, :, net.signals["q"]] == pytest.approx([0.4, 0.3])
    # Latches are not transparent: they begin a path with their enable, and end one at their data.
    assert timing.arrival[FROM_REGISTER, :, net.signals["p"]] == pytest.approx([0.8, 0.8])
    assert np.all(np.isneginf(timing.arrival[FROM_PORT, :, net.signals["p"]]))
    # A gated clock that leads to a port alone is no path of data.
    assert np.all(np.isneginf(timing.arrival[:, :, net.signals["o"]]))
    assert timing.by_ends == {"port-register": pytest.approx(0.6), "register-port": pytest.approx(0.8)}
    assert timing.endpoint == "port p[0]"
    assert timing.overloaded == (), "buffers of the clock are not the netlist's"


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
    cells = {"u0": "INV A=x Y=y0", "u1": "INV A=x Y=y1", "u2": "ND2 A1=x A2=a Z=y2", "drive": "INV A=a Y=x"}
    assert analyse(netlist(tmp_path, toy_library(tmp_path), "a", "y0 y1 y2", cells)).overloaded == ()  # 5 units
    cells = {"open": "INV A=a", "drive": "INV A=a Y=x"} | {f"u{i}": "INV A=x" for i in range(3)}
    net = netlist(tmp_path, toy_library(tmp_path), "a", "", cells)
    assert analyse(net).overloaded == (net.signals["x"],)


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
