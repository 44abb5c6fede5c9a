"""A toy Liberty file with round numbers, netlists written by hand, and the real libraries beside the project.

Delays and energies are linear in slew and load wherever a test needs an exact value between the table's points.
"""

import json
from pathlib import Path

from roundel.synth import cells
from roundel.synth.cells import Library, read_library
from roundel.synth.mapping import Netlist, read_netlist
from tests.support.outside import need

REFERENCE = "reference"
NAMES = (REFERENCE, "sky130hd_tt", "sg13g2_typ_1p20V_25C")


def real(name: str) -> Path:
    """Path of the built-in reference library or of a real one; skips the test where that is absent."""
    if name == REFERENCE:
        return cells.REFERENCE
    return need("liberty") / f"{name}.lib.gz"


HEAD = """
library (toy) {
  /* a comment { with a brace */
  time_unit : "100ps"; voltage_unit : "1V"; leakage_power_unit : "10nW";
  capacitive_load_unit (10, ff);
  nom_voltage : 2; nom_temperature : 25;
  lu_table_template (by_load) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("1, 3"); index_2 ("1, 2, 4");
  }
  lu_table_template (by_slew_last) {
    variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1 ("1, 2, 4"); index_2 ("1, 3");
  }
  power_lut_template (energy) {
    variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("1, 3"); index_2 ("1, 4");
  }
  power_lut_template (input_energy) { variable_1 : input_transition_time; index_1 ("1, 3"); }
  lu_table_template (check) {
    variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;
    index_1 ("1, 3"); index_2 ("1, 3");
  }
"""

INVERTER = """
  cell (INV) {
    area : 1.5; cell_leakage_power : 3;
    leakage_power () { when : "A"; value : 5; }
    pin (A) { direction : input; capacitance : 2; rise_capacitance : 9; }
    pin (Y) {
      direction : output; function : "!A"; max_capacitance : 5;
      timing () {
        related_pin : "A"; timing_sense : negative_unate;
        cell_rise (by_load) { values ("1, 2, 4", "3, 4, 6"); }
        cell_fall (by_load) { values ("2, 4, 8", "2, 4, 8"); }
        rise_transition (by_slew_last) { values ("1, 1", \\
          "2, 2", "4, 4"); }
        fall_transition (scalar) { values ("2"); }
      }
      internal_power () {
        related_pin : "A";
        rise_power (energy) { values ("1, 4", "3, 6"); }
        fall_power (scalar) { values ("-0.5"); }
      }
    }
  }
"""

NAND = """
  cell (ND2) {
    area : 2;
    pin (A1, A2) { direction : input; capacitance : 1; }
    pin (Z) {
      direction : output; function : "(A1 A2)'";
      timing () {
        related_pin : "A1 A2"; timing_sense : negative_unate;
        cell_rise (scalar) { values ("1"); } rise_transition (by_load) { values ("1, 1, 1", "3, 3, 3"); }
        cell_fall (scalar) { values ("2"); } fall_transition (scalar) { values ("1"); }
      }
      internal_power () {
        related_pin : "A1"; rise_power (scalar) { values ("2"); } fall_power (scalar) { values ("2"); }
      }
      internal_power () {
        related_pin : "A2"; rise_power (scalar) { values ("6"); } fall_power (scalar) { values ("6"); }
      }
    }
  }
  cell (ND2_FORBIDDEN) {
    area : 1; dont_use : true;
    pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A & B)"; }
  }
  cell (ND2_TRISTATE) {
    area : 1;
    pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A & B)"; three_state : "A"; }
  }
"""

FLIP_FLOP = """
  cell (DFF) {
    area : 6; cell_leakage_power : 1;
    ff (IQ, IQN) { clocked_on : "CK"; next_state : "D"; }
    leakage_power () { when : "D * Q * !QN"; value : 9; }
    pin (D) {
      direction : input; capacitance : 1;
      timing () {
        related_pin : "CK"; timing_type : setup_rising;
        rise_constraint (check) { values ("1, 3", "1, 3"); }
        fall_constraint (check) { values ("2, 2", "2, 2"); }
      }
      internal_power () { when : "CK"; power (input_energy) { values ("2, 4"); } }
    }
    pin (CK) {
      direction : input; capacitance : 1; clock : true;
      internal_power () {
        when : "D & Q & !QN"; rise_power (scalar) { values ("1"); } fall_power (scalar) { values ("3"); }
      }
      internal_power () { rise_power (scalar) { values ("10"); } fall_power (scalar) { values ("30"); } }
    }
    pin (Q) {
      direction : output; function : "IQ";
      timing () {
        related_pin : "CK"; timing_type : rising_edge;
        cell_rise (scalar) { values ("3"); } rise_transition (scalar) { values ("2"); }
        cell_fall (scalar) { values ("4"); } fall_transition (scalar) { values ("1"); }
      }
      internal_power () {
        related_pin : "CK"; rise_power (scalar) { values ("4"); } fall_power (scalar) { values ("8"); }
      }
    }
    pin (QN) {
      direction : output; function : "IQN";
      internal_power () {
        related_pin : "CK"; rise_power (scalar) { values ("1"); } fall_power (scalar) { values ("1"); }
      }
    }
  }
"""

TAIL = "}\n"
TOY = HEAD + INVERTER + NAND + FLIP_FLOP + TAIL


def toy_library(folder: Path) -> Library:
    """The toy library."""
    path = folder / "toy.lib"
    path.write_text(TOY)
    return read_library(path)


def netlist(folder: Path, library: Library, inputs: str, outputs: str, cells: dict[str, str]) -> Netlist:
    """A netlist from a line per instance, `name: "CELL PIN=net PIN=net"`; nets `0` and `1` are the constants.

    Black boxes are cells whose type starts with `RAM`; their pins that start with `O` are outputs.
    """
    numbers: dict[str, int | str] = {"0": "0", "1": "1"}

    def bit(net: str) -> int | str:
        return numbers.setdefault(net, len(numbers))

    ports = {name: {"direction": "input", "bits": [bit(name)]} for name in inputs.split()}
    ports |= {name: {"direction": "output", "bits": [bit(name)]} for name in outputs.split()}
    instances = {}
    for name, line in cells.items():
        kind, *pins = line.split()
        connections = {pin: [bit(net)] for pin, net in (item.split("=") for item in pins)}
        directions = {pin: "output" if pin.startswith("O") else "input" for pin in connections}
        instances[name] = {"type": kind, "connections": connections, "port_directions": directions}
    names = {net: {"bits": [number]} for net, number in numbers.items() if isinstance(number, int)}
    path = folder / "netlist.json"
    path.write_text(json.dumps({"modules": {"top": {"ports": ports, "cells": instances, "netnames": names}}}))
    return read_netlist(path, library)
